//! What a run is made from: the futures that load, and the limits for running them.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::outcome::WarmProgress;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
/// The work of a warmer. It returns the keys that are still to be warmed, if the warmer only lists
/// keys.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Vec<String>, BoxError>> + Send>>;
pub(super) type Task = Arc<dyn Fn() -> Work + Send + Sync>;
pub(super) type Loader = Arc<dyn Fn(String) -> Work + Send + Sync>;
pub(super) type Observer = Arc<dyn Fn(WarmProgress) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Registrations {
    /// In the order in which they were registered, which is also the order in which they begin.
    pub(super) warmers: Vec<(String, Task)>,
    pub(super) loaders: HashMap<String, Loaders>,
    /// All runs share these permits: the runs that a schedule, a start and an operator begin at
    /// once count together.
    pub(super) permits: Arc<Semaphore>,
    pub(super) time_limit: Duration,
    pub(super) store_wait: Duration,
    pub(super) observer: Option<Observer>,
}

/// How the keys of one prefix are loaded.
#[derive(Clone, Default)]
pub(super) struct Loaders {
    pub(super) one: Option<Loader>,
    pub(super) many: Option<BatchLoader>,
}

/// A task that has not begun: its name, for how many keys it counts, and how it begins.
pub(super) struct Job {
    pub(super) name: String,
    /// What it is called in the log: the name of a warmer, or the prefix of its keys.
    pub(super) of: String,
    pub(super) counts: u64,
    pub(super) begin: Box<dyn FnOnce() -> Work + Send>,
}

/// Makes keys, each with its arguments, into calls.
pub(super) type BatchLoader = Arc<dyn Fn(Vec<(String, String)>) -> Batches + Send + Sync>;

/// The keys of one prefix as calls.
pub(super) struct Batches {
    pub(super) calls: Vec<Job>,
    /// The keys whose arguments are no id, each with the reason.
    pub(super) refused: Vec<(String, String)>,
}

/// Drops the loaded value, which is in the cache by now, and lists no keys.
pub(super) fn nothing_further<T, E: Into<BoxError>>(load: impl Future<Output = Result<T, E>> + Send + 'static) -> Work {
    Box::pin(async move {
        match load.await {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    })
}

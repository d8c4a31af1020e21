//! What a run is made from: the futures that load, and the bounds of running them.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::outcome::WarmProgress;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
/// What a warmer does; it ends with the keys that are still to be warmed, if it only lists them.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Vec<String>, BoxError>> + Send>>;
pub(super) type Task = Arc<dyn Fn() -> Work + Send + Sync>;
pub(super) type Loader = Arc<dyn Fn(String) -> Work + Send + Sync>;
pub(super) type Observer = Arc<dyn Fn(WarmProgress) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Registrations {
    /// In the order in which they were registered, which is the order in which they are begun.
    pub(super) warmers: Vec<(String, Task)>,
    pub(super) loaders: HashMap<String, Loaders>,
    /// One for all runs of a warmer: what a schedule, a start and an operator want at once counts
    /// together.
    pub(super) permits: Arc<Semaphore>,
    pub(super) time_limit: Duration,
    pub(super) observer: Option<Observer>,
}

/// How the keys of one prefix are loaded.
#[derive(Clone, Default)]
pub(super) struct Loaders {
    pub(super) one: Option<Loader>,
    pub(super) many: Option<BatchLoader>,
}

/// One task to be: what it is called, for how many it counts, and how it begins.
pub(super) struct Job {
    pub(super) name: String,
    pub(super) counts: u64,
    pub(super) begin: Box<dyn FnOnce() -> Work + Send>,
}

/// Is given each key with its arguments.
pub(super) type BatchLoader = Arc<dyn Fn(Vec<(String, String)>) -> Batches + Send + Sync>;

/// What becomes of the keys of one prefix.
pub(super) struct Batches {
    pub(super) calls: Vec<Job>,
    /// Keys whose arguments make no id, each with the reason.
    pub(super) refused: Vec<(String, String)>,
}

/// The value is in the cache: nobody needs it here.
pub(super) fn nothing_further<T, E: Into<BoxError>>(load: impl Future<Output = Result<T, E>> + Send + 'static) -> Work {
    Box::pin(async move {
        match load.await {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    })
}

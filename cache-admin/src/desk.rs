//! What the handlers share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_core::{Cache, Warmer};
use futures_util::future::Shared;
use tokio::sync::Semaphore;

use crate::answer::{Failure, Parameters};
use crate::cost::Cost;

/// When event streams end.
pub(crate) type End = Shared<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// One cache, as operators call it.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) cache: Cache,
    pub(crate) warmer: Option<Warmer>,
}

/// The caches, what is allowed, and the limits that all requests share.
pub(crate) struct Desk {
    pub(crate) caches: Vec<Watched>,
    pub(crate) allows_actions: bool,
    pub(crate) end: End,
    pub(crate) cost: Arc<Cost>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) previews: Semaphore,
    pub(crate) warm_runs: Arc<Semaphore>,
}

impl Desk {
    /// The cache that a request means.
    pub(crate) fn of(&self, parameters: &Parameters) -> Result<&Watched, Failure> {
        let found = match parameters.one("cache") {
            None => self.caches.first(),
            Some(name) => self.caches.iter().find(|watched| watched.name == name),
        };
        found.ok_or_else(|| Failure::not_found("there is no such cache"))
    }
}

//! The loads of one cache that run in tasks of their own: a bounded number at once, and none that
//! has lost its caller once the last handle is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::LOAD_TASKS_MAX;

/// The places for such loads in this process.
pub(crate) struct LoadTasks {
    places: Arc<Semaphore>,
    /// The last handle of the cache was dropped, or the user has ended what runs in the background.
    closed: watch::Sender<bool>,
}

impl Default for LoadTasks {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LOAD_TASKS_MAX)), closed: watch::Sender::new(false) }
    }
}

impl LoadTasks {
    /// A place, unless all are taken or there are to be no more tasks.
    pub(crate) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        if *self.closed.borrow() { None } else { self.places.clone().try_acquire_owned().ok() }
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        LOAD_TASKS_MAX - self.places.available_permits()
    }

    /// Ends the loads that no caller waits for.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits for [`close`](Self::close).
    pub(crate) async fn closed(&self) {
        // The sender is here, so it is not gone.
        _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

//! The hits of one cache that are being verified: one per key, a bounded number at once, and fewer
//! loads. They end as refreshes do.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refreshes::{Refreshes, Reservation};
use crate::config::{VERIFICATIONS_MAX, VERIFY_LOADS_MAX};

/// The verifications of one cache in this process.
pub(crate) struct Verifications {
    /// Those under way; most wait for their next look.
    by_key: Arc<Refreshes>,
    loads: Arc<Semaphore>,
}

impl Default for Verifications {
    fn default() -> Self {
        Self { by_key: Arc::default(), loads: Arc::new(Semaphore::new(VERIFY_LOADS_MAX)) }
    }
}

impl Verifications {
    /// A place for the key and for one load, unless the key has one already, or all are taken.
    pub(crate) fn reserve(&self, key: &Arc<str>) -> Option<(Reservation, OwnedSemaphorePermit)> {
        let load = self.loads.clone().try_acquire_owned().ok()?;
        Some((self.by_key.reserve(key, VERIFICATIONS_MAX)?, load))
    }

    /// A place for one more load of a key that has a place; `None`: the cache is gone.
    pub(crate) async fn load(&self) -> Option<OwnedSemaphorePermit> {
        self.loads.clone().acquire_owned().await.ok()
    }

    /// Ends those under way, and lets none begin from now on.
    pub(crate) fn close(&self) {
        self.by_key.close();
    }

    /// Waits until none is under way.
    pub(crate) async fn none_under_way(&self) {
        self.by_key.none_under_way().await;
    }
}

//! The invalidations of this process as they end, for whoever listens.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::config::FEED_RECORDS_MAX;
use crate::invalidation::Cause;

/// Tells the listeners. Nothing is made ready, and nothing kept, while there are none.
#[derive(Default)]
pub(crate) struct Feed(OnceLock<broadcast::Sender<Arc<InvalidationRecord>>>);

impl Feed {
    pub(crate) fn subscribe(&self) -> InvalidationFeed {
        let sender = self.0.get_or_init(|| broadcast::Sender::new(FEED_RECORDS_MAX));
        InvalidationFeed { receiver: sender.subscribe(), lost: 0 }
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.0.get().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Does not wait for anybody: a listener that is slow loses the oldest records.
    pub(crate) fn tell(&self, record: InvalidationRecord) {
        if let Some(sender) = self.0.get() {
            // An error: the last listener has just gone.
            let _ = sender.send(Arc::new(record));
        }
    }
}

/// The invalidations and writes of one cache in this process, each told when it has ended. Made by
/// [`Cache::subscribe_invalidations`](crate::Cache::subscribe_invalidations); dropped, it ends the
/// subscription.
#[derive(Debug)]
pub struct InvalidationFeed {
    receiver: broadcast::Receiver<Arc<InvalidationRecord>>,
    lost: u64,
}

impl InvalidationFeed {
    /// The next one. `None`: the cache is gone, and nothing will come any more.
    ///
    /// # Cancel safety
    /// Dropped, it has taken nothing.
    pub async fn next(&mut self) -> Option<Arc<InvalidationRecord>> {
        loop {
            match self.receiver.recv().await {
                Ok(record) => return Some(record),
                Err(RecvError::Lagged(records)) => self.lost += records,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many this subscription has lost: it keeps 256 that were not taken, and then loses the
    /// oldest. A loss is counted by the call of [`next`](Self::next) after it.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// One invalidation or write that has ended. Holds names and counts, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InvalidationRecord {
    /// When it ended, by the clock of this process, in ms since the epoch.
    pub at_ms: u64,
    /// `names`, `pattern`, `clear`, `close`, `open`, `hold` or `write`: as in the metric
    /// `cache_invalidations_total`.
    pub kind: &'static str,
    /// What it names: the first 64.
    pub named: Vec<Cause>,
    /// How many it names.
    pub named_total: u64,
    /// Live entries that it removed, dependents included. One that failed may have removed some.
    pub removed: u64,
    /// How many of them had keys of each prefix, for the first 32 prefixes.
    pub removed_by_prefix: BTreeMap<String, u64>,
    /// How long it took, all round trips together.
    pub took_us: u64,
    /// Why it failed; `None`: it succeeded. What failed is owed and retried, and each retry is told
    /// as well.
    pub error: Option<String>,
}

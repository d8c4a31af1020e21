//! How a call waits for another's lease: for the store to say that something has changed, and where it cannot, by looking
//! again and again.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::{LEASE_POLL_MAX, LEASE_POLL_MIN, WATCHED_POLL};
use crate::runtime::budget::Spent;
use crate::store::{Change, IfPresent, Store, Watch};

/// The wait of one call.
pub(crate) struct Wait {
    watch: Option<Watch>,
    watchable: bool,
    pause: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self { watch: None, watchable: true, pause: LEASE_POLL_MIN }
    }
}

impl Wait {
    /// Until something has changed, or it is time to look: no longer than the lease, which may end without a word.
    /// A change is only worth asking for the lease again.
    pub(crate) async fn once(
        &mut self,
        spent: &mut Spent,
        store: &dyn Store,
        key: &str,
        if_present: IfPresent,
        remaining: Duration,
        deadline: Instant,
    ) -> Change {
        let asked = Instant::now();
        if self.watch.is_none() && self.watchable {
            self.watch = spent.ask(store.watch(key, if_present)).await.unwrap_or(None);
            self.watchable = self.watch.is_some();
        }
        let at_most = |pause: Duration| deadline.min(asked + pause.min(remaining.max(LEASE_POLL_MIN)));
        let Some(watch) = &self.watch else {
            // From half to all of the pause, so that those who wait do not ask in step.
            tokio::time::sleep_until(at_most(self.pause.mul_f64(0.5 + fastrand::f64() / 2.0))).await;
            self.pause = (self.pause * 2).min(LEASE_POLL_MAX);
            return Change::Nothing;
        };
        let change = tokio::time::timeout_at(at_most(WATCHED_POLL), watch.changed()).await.unwrap_or(Change::Nothing);
        if change != Change::Nothing {
            // Said once: whoever has to wait again watches anew.
            self.watch = None;
        }
        change
    }
}

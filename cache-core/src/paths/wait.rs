//! How a call waits while another process has the lease. The store tells it of a change. A store
//! that cannot is asked again and again.

use std::time::Duration;

use super::subject::Subject;
use crate::clock::{self, Instant};
use crate::config::{LEASE_POLL_MAX, LEASE_POLL_MIN, WATCHED_POLL};
use crate::observe::StoreOperation;
use crate::runtime::budget::Budget;
use crate::store::{Change, IfPresent, Store, Watch};

/// The wait of one call for the lease of its key.
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
    /// Waits for one change of the value or the lease, and says which; `Change::Nothing` when it is
    /// time to ask anyway. Waits no longer than the lease remains, because a lease may run out
    /// without a notice. Either way, the call's next step is to ask for the lease again.
    pub(crate) async fn once(
        &mut self,
        budget: &mut Budget,
        subject: &Subject,
        store: &dyn Store,
        if_present: IfPresent,
        remaining: Duration,
        until: Option<Instant>,
    ) -> Change {
        let begun = clock::now();
        let key = subject.key_text().map_or("", |key| key);
        if self.watch.is_none() && self.watchable {
            self.watch = budget
                .ask(&subject.counters, StoreOperation::Watch, |until| store.watch(key, if_present, until))
                .await
                .unwrap_or(None);
            self.watchable = self.watch.is_some();
        }
        let at_most = |pause: Duration| {
            let pause = begun + pause.min(remaining.max(LEASE_POLL_MIN));
            until.map_or(pause, |until| until.min(pause))
        };
        let Some(watch) = &self.watch else {
            tokio::time::sleep_until(at_most(clock::spread(self.pause))).await;
            self.pause = (self.pause * 2).min(LEASE_POLL_MAX);
            return Change::Nothing;
        };
        let change = tokio::time::timeout_at(at_most(WATCHED_POLL), watch.changed()).await.unwrap_or(Change::Nothing);
        if change != Change::Nothing {
            // A watch reports one change. The next wait registers a new one.
            self.watch = None;
        }
        change
    }
}

//! How a call waits for another's lease: for the store to say that something has changed, and where
//! it cannot, by looking again and again.

use std::time::Duration;

use super::subject::Subject;
use crate::clock::{self, Instant};
use crate::config::{LEASE_POLL_MAX, LEASE_POLL_MIN, WATCHED_POLL};
use crate::runtime::budget::Budget;
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
    /// Until something has changed, or it is time to look: no longer than the lease, which may end
    /// without a word. After a change the call asks for the lease again, and for nothing else.
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
            self.watch =
                budget.ask(&subject.counters, |until| store.watch(key, if_present, until)).await.unwrap_or(None);
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
            // A watch tells of one change: the next wait registers anew.
            self.watch = None;
        }
        change
    }
}

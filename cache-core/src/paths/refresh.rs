//! Refreshes in the background: one per key and process, a bounded number at once, each for a bounded time, none after the last
//! handle of the cache.
//!
//! The value that is to be replaced was served already. So a refresh waits for nobody: if another process has the lease, or
//! has stored a newer value, there is nothing to do. It loads at a reading of the clock and fills as every load does; an
//! invalidation that overtakes it has the store refuse its value.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;

use crate::config::REFRESH_RETRY_PAUSE;
use crate::entry::Fingerprint;
use crate::entry::Version;
use crate::key::Policy;
use crate::name::Name;
use crate::paths::lease::Lease;
use crate::paths::load::Loading;
use crate::paths::stamp;
use crate::runtime::Reservation;
use crate::runtime::Runtime;
use crate::runtime::budget::Spent;
use crate::store::{IfPresent, LeaseReply};

/// A refresh that is due. Dropped, it is left to another call.
pub(crate) struct Due {
    runtime: Arc<Runtime>,
    key: (Arc<str>, Name),
    policy: Policy,
    fingerprint: Fingerprint,
    /// Of the value that is to be replaced.
    version: Version,
    reservation: Reservation,
}

impl Due {
    /// `None`: somebody is at it, there is no room, or nothing to run it on.
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        key: &(Arc<str>, Name),
        policy: &Policy,
        fingerprint: Fingerprint,
        version: Version,
    ) -> Option<Box<Self>> {
        let reservation = runtime.refreshes.reserve(&key.0, runtime.config.refreshes_max)?;
        let (runtime, key, policy) = (runtime.clone(), key.clone(), policy.clone());
        Some(Box::new(Self { runtime, key, policy, fingerprint, version, reservation }))
    }

    /// Runs `reload` in a task of its own, once the lease is taken; it says whether the load succeeded.
    pub(crate) fn spawn<R, F>(self: Box<Self>, reload: R)
    where
        R: FnOnce(Box<Loading>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let Ok(handle) = Handle::try_current() else { return };
        let (refreshes, key, id) = (self.reservation.refreshes.clone(), self.key.0.clone(), self.reservation.id);
        let task = handle.spawn(async move {
            if let Some(loading) = self.lease().await
                && !self.run(reload(Box::new(loading))).await
            {
                // Its place stays taken: the very next call must not try again, nor the next after it.
                tokio::time::sleep(REFRESH_RETRY_PAUSE).await;
            }
            drop(self.reservation);
        });
        refreshes.spawned(&key, id, task.abort_handle());
    }

    /// Whether the load succeeded. One that takes longer than a load that fills may take is of no use: it is ended, for it
    /// holds a place, and the lease that keeps other processes from refreshing.
    async fn run(&self, reload: impl Future<Output = bool>) -> bool {
        let limit = self.runtime.config.fence_retention;
        let said = match tokio::time::timeout(limit, unless_it_panics(reload)).await {
            Ok(Some(succeeded)) => return succeeded,
            Ok(None) => "it panicked",
            Err(_) => "it took longer than fence_retention",
        };
        self.runtime.counted.prefix(&self.policy.prefix).hidden_failures(1);
        tracing::warn!(key = &*self.key.0, error = said, "a refresh in the background failed");
        false
    }

    /// The right to load, unless another process has it, or has made use of it already.
    async fn lease(&self) -> Option<Loading> {
        let Self { runtime, key, policy, fingerprint, version, .. } = self;
        let counters = runtime.counted.prefix(&policy.prefix);
        let mut spent = Spent::new(runtime.config.operation_deadline, counters);
        let store = runtime.store().ok()?;
        let mut lease = Lease::new(runtime, &key.0);
        let if_present = IfPresent::ReturnOther(*version);
        let asked = store.take_lease(&key.0, lease.token, runtime.config.lease, if_present, stamp::recall(policy));
        match spent.ask(asked).await.ok()? {
            LeaseReply::Granted(clock) => {
                spent.counters.refreshes(1);
                let (key, policy) = (Some(key.clone()), policy.clone());
                let loading =
                    Loading::new(runtime.clone(), key, policy, *fingerprint, Some(clock), Some(lease), None, spent);
                Some(loading.unseen())
            }
            LeaseReply::Hit(_) | LeaseReply::Held { .. } => {
                lease.forget();
                None
            }
        }
    }
}

/// `None`: it panicked. What is to come of a failed load comes of this one, too, and must not be lost with the task.
async fn unless_it_panics<T>(load: impl Future<Output = T>) -> Option<T> {
    let mut load = pin!(load);
    let poll = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| load.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    });
    poll.await
}

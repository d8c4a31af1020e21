//! Refreshes in the background: one per key and process, a bounded number at once, each for a bounded time, none after the last
//! handle of the cache.
//!
//! The value that is to be replaced was served already. So a refresh waits for nobody: if another process has the lease, or
//! has stored a newer value, there is nothing to do. It loads at a reading of the clock and fills as every load does; an
//! invalidation that overtakes it has the store refuse its value.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::cache::Inner;
use crate::config::REFRESH_RETRY_PAUSE;
use crate::entry::Fingerprint;
use crate::entry::Version;
use crate::key::Policy;
use crate::name::Name;
use crate::paths::lease::Lease;
use crate::paths::load::Loading;
use crate::paths::stamp;
use crate::runtime::budget::Spent;
use crate::store::{IfPresent, LeaseReply};

/// The refreshes of one cache in this process.
#[derive(Default)]
pub(crate) struct Refreshes {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// The last handle of the cache is gone, or its owner has ended them.
    closed: bool,
    last_id: u64,
    by_key: HashMap<Arc<str>, Refresh>,
}

struct Refresh {
    id: u64,
    /// `None`: about to be spawned.
    task: Option<AbortHandle>,
}

impl Refreshes {
    /// Room for one more, unless the key is being refreshed or `at_most` are.
    fn reserve(self: &Arc<Self>, key: &Arc<str>, at_most: usize) -> Option<Reservation> {
        let mut running = self.lock();
        if running.closed || running.by_key.len() >= at_most {
            return None;
        }
        let id = running.last_id + 1;
        let Slot::Vacant(slot) = running.by_key.entry(key.clone()) else { return None };
        slot.insert(Refresh { id, task: None });
        running.last_id = id;
        Some(Reservation { refreshes: self.clone(), key: key.clone(), id })
    }

    /// The refresh may have ended by now, and another have taken its place.
    fn spawned(&self, key: &str, id: u64, task: AbortHandle) {
        let mut running = self.lock();
        if running.closed {
            task.abort();
        } else if let Some(refresh) = running.by_key.get_mut(key).filter(|refresh| refresh.id == id) {
            refresh.task = Some(task);
        }
    }

    /// Ends what runs: nobody is left to be served what it would store.
    pub(crate) fn close(&self) {
        let mut running = self.lock();
        running.closed = true;
        running.by_key.values().filter_map(|refresh| refresh.task.as_ref()).for_each(AbortHandle::abort);
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place among the refreshes; dropped, it is free.
struct Reservation {
    refreshes: Arc<Refreshes>,
    key: Arc<str>,
    id: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.refreshes.lock().by_key.remove(&self.key);
    }
}

/// A refresh that is due. Dropped, it is left to another call.
pub(crate) struct Due {
    inner: Arc<Inner>,
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
        inner: &Arc<Inner>,
        key: &(Arc<str>, Name),
        policy: &Policy,
        fingerprint: Fingerprint,
        version: Version,
    ) -> Option<Box<Self>> {
        let reservation = inner.refreshes.reserve(&key.0, inner.config.refreshes_max)?;
        let (inner, key, policy) = (inner.clone(), key.clone(), policy.clone());
        Some(Box::new(Self { inner, key, policy, fingerprint, version, reservation }))
    }

    /// Runs `reload` in a task of its own, once the lease is taken; it says whether the load succeeded.
    pub(crate) fn spawn<R, F>(self: Box<Self>, reload: R)
    where
        R: FnOnce(Box<Loading>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return };
        let (refreshes, key, id) = (self.reservation.refreshes.clone(), self.key.0.clone(), self.reservation.id);
        let task = runtime.spawn(async move {
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
        let limit = self.inner.config.fence_retention;
        let said = match tokio::time::timeout(limit, unless_it_panics(reload)).await {
            Ok(Some(succeeded)) => return succeeded,
            Ok(None) => "it panicked",
            Err(_) => "it took longer than fence_retention",
        };
        self.inner.counted.prefix(&self.policy.prefix).hidden_failures(1);
        tracing::warn!(key = &*self.key.0, error = said, "a refresh in the background failed");
        false
    }

    /// The right to load, unless another process has it, or has made use of it already.
    async fn lease(&self) -> Option<Loading> {
        let Self { inner, key, policy, fingerprint, version, .. } = self;
        let counters = inner.counted.prefix(&policy.prefix);
        let mut spent = Spent::new(inner.config.operation_deadline, counters);
        let store = inner.store().ok()?;
        let mut lease = Lease::new(inner, &key.0);
        let if_present = IfPresent::ReturnOther(*version);
        let asked = store.take_lease(&key.0, lease.token, inner.config.lease, if_present, stamp::recall(policy));
        match spent.ask(asked).await.ok()? {
            LeaseReply::Granted(clock) => {
                spent.counters.refreshes(1);
                let (key, policy) = (Some(key.clone()), policy.clone());
                let loading =
                    Loading::new(inner.clone(), key, policy, *fingerprint, Some(clock), Some(lease), None, spent);
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

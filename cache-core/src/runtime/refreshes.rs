//! The background refreshes of one cache: one per key, a bounded number at once, none once the last
//! handle is dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The refreshes of one cache in this process.
#[derive(Default)]
pub(crate) struct Refreshes {
    running: Mutex<RefreshTable>,
    /// Told when a place is free again.
    ended: Notify,
}

#[derive(Default)]
struct RefreshTable {
    /// The last handle of the cache was dropped, or the user has ended the refreshes.
    closed: bool,
    last_id: u64,
    by_key: HashMap<Arc<str>, RefreshTask>,
}

struct RefreshTask {
    id: u64,
    /// `None`: the task is about to be spawned.
    task: Option<AbortHandle>,
}

impl Refreshes {
    /// Reserves a place for a refresh of `key`, unless the key is being refreshed already, or
    /// `at_most` keys are.
    pub(crate) fn reserve(self: &Arc<Self>, key: &Arc<str>, at_most: usize) -> Option<Reservation> {
        let mut running = self.lock();
        if running.closed || running.by_key.len() >= at_most {
            return None;
        }
        let id = running.last_id + 1;
        let Slot::Vacant(slot) = running.by_key.entry(key.clone()) else { return None };
        slot.insert(RefreshTask { id, task: None });
        running.last_id = id;
        Some(Reservation(Place { refreshes: self.clone(), key: key.clone(), id }))
    }

    /// Ends the refreshes that run: nobody is left to be served what they would store.
    pub(crate) fn close(&self) {
        let mut running = self.lock();
        running.closed = true;
        running.by_key.values().filter_map(|refresh| refresh.task.as_ref()).for_each(AbortHandle::abort);
    }

    /// Waits until none runs.
    pub(crate) async fn none_under_way(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().by_key.is_empty() {
                return;
            }
            ended.await;
        }
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, RefreshTable> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the refreshes; it is free again when this is dropped.
pub(crate) struct Reservation(Place);

/// The place of a refresh among those on record.
#[derive(Clone)]
pub(crate) struct Place {
    refreshes: Arc<Refreshes>,
    key: Arc<str>,
    id: u64,
}

impl Reservation {
    pub(crate) fn place(&self) -> Place {
        self.0.clone()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.refreshes.lock().by_key.remove(&self.0.key);
        self.0.refreshes.ended.notify_waiters();
    }
}

impl Place {
    /// Notes the task, so that it can be ended from now on. By now the task may have ended by
    /// itself, and another refresh may have taken its place.
    pub(crate) fn spawned(&self, task: AbortHandle) {
        let mut running = self.refreshes.lock();
        if running.closed {
            task.abort();
        } else if let Some(refresh) = running.by_key.get_mut(&self.key).filter(|refresh| refresh.id == self.id) {
            refresh.task = Some(task);
        }
    }
}

//! The callers that wait for a key to change, and how they are woken.
//!
//! A wake-up is only a hint: it may come for nothing, late, or not at all. So a caller that waits
//! asks the store again after each wake-up, and after a while in any case.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use crate::config::WATCHES_MAX;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, cache_loom))]
mod interleavings;

/// What is known to have changed; of two changes the greater one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Nothing,
    /// Perhaps something: changes can no longer be told.
    Unknown,
    /// The lease was given back, renewed, or overtaken by an invalidation.
    Lease,
    /// The value was stored or removed.
    Value,
}

/// The waiters of one place that learns of changes. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<WatchTable>);

#[derive(Default)]
struct WatchTable {
    by_name: Mutex<HashMap<Box<[u8]>, Vec<Listener>>>,
    /// The number of live watches. Read without the lock, so that changes that nobody waits for
    /// cost nothing.
    count: AtomicUsize,
}

struct Listener {
    of: Change,
    waiter: Arc<Waiter>,
}

struct Waiter {
    names: [Box<[u8]>; 2],
    change: watch::Sender<Change>,
}

/// A wait for the value or the lease of one key. Dropped, it leaves nothing behind.
pub(crate) struct Watch {
    registry: Arc<WatchTable>,
    waiter: Arc<Waiter>,
}

impl Watches {
    /// To be called before the caller looks whether there is still something to wait for; otherwise
    /// a change in between would be missed. `None`: [`WATCHES_MAX`] callers wait already.
    pub(crate) fn register(&self, value: &str, lease: &str) -> Option<Watch> {
        let registry = self.0.clone();
        let mut by_name = registry.lock();
        if registry.count.load(Ordering::SeqCst) >= WATCHES_MAX {
            return None;
        }
        registry.count.fetch_add(1, Ordering::SeqCst);
        let names = [value, lease].map(|name| name.as_bytes().into());
        let waiter = Arc::new(Waiter { names, change: watch::Sender::new(Change::Nothing) });
        for (name, of) in waiter.names.iter().zip([Change::Value, Change::Lease]) {
            by_name.entry(name.clone()).or_default().push(Listener { of, waiter: waiter.clone() });
        }
        drop(by_name);
        Some(Watch { registry, waiter })
    }

    /// The value or the lease that `name` stands for has changed.
    pub(crate) fn wake(&self, name: &[u8]) {
        if self.0.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let told = self.0.lock().remove(name);
        told.into_iter().flatten().for_each(|told| told.waiter.tell(told.of));
    }

    /// Anything may have changed.
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn wake_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        all.into_values().flatten().for_each(|told| told.waiter.tell(Change::Unknown));
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty() && self.0.count.load(Ordering::SeqCst) == 0
    }
}

impl WatchTable {
    // A panic while the lock is held leaves the map usable: a waiter that it loses asks again after
    // a while.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Vec<Listener>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn tell(&self, change: Change) {
        self.change.send_if_modified(|known| {
            let greater = change > *known;
            *known = change.max(*known);
            greater
        });
    }
}

impl Watch {
    /// Waits until something has changed, and says what. Returns at once if it has already. Cancel
    /// safe.
    pub(crate) async fn changed(&self) -> Change {
        let mut change = self.waiter.change.subscribe();
        let known = change.wait_for(|change| *change != Change::Nothing).await;
        // The sender cannot be gone: it is in `self`.
        known.map_or(Change::Unknown, |change| *change)
    }

    /// Tells the waiter what the look after the registration has shown.
    pub(crate) fn tell(&self, change: Change) {
        self.waiter.tell(change);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_name = self.registry.lock();
        for name in &self.waiter.names {
            if let Some(told) = by_name.get_mut(name) {
                told.retain(|told| !Arc::ptr_eq(&told.waiter, &self.waiter));
                if told.is_empty() {
                    by_name.remove(name);
                }
            }
        }
        self.registry.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now(watch: &Watch) -> Option<Change> {
        match pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(change) => Some(change),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_change_wakes_those_who_wait_for_it_and_the_greatest_counts() {
        let watches = Watches::default();
        let (a, b) = (watches.register("a", "lease:a").unwrap(), watches.register("b", "lease:b").unwrap());
        watches.wake(b"c");
        assert_eq!((now(&a), now(&b)), (None, None));
        watches.wake(b"lease:a");
        assert_eq!((now(&a), now(&b)), (Some(Change::Lease), None));
        watches.wake(b"a");
        assert_eq!((now(&a), now(&b)), (Some(Change::Value), None));
        watches.wake_all();
        assert_eq!((now(&a), now(&b)), (Some(Change::Value), Some(Change::Unknown)));
    }

    #[test]
    fn a_dropped_watch_leaves_nothing_behind() {
        let watches = Watches::default();
        let first = watches.register("a", "lease:a").unwrap();
        let second = watches.register("a", "lease:a").unwrap();
        drop(first);
        watches.wake(b"a");
        assert_eq!(now(&second), Some(Change::Value));
        drop(second);
        assert!(watches.is_empty());
    }

    #[test]
    fn no_more_than_the_limit_wait() {
        let watches = Watches::default();
        let mut waiting: Vec<_> =
            (0..WATCHES_MAX).map(|n| watches.register(&n.to_string(), "lease").unwrap()).collect();
        assert!(watches.register("one more", "lease").is_none());
        watches.wake(b"lease");
        waiting.pop();
        assert!(watches.register("one more", "lease").is_some());
    }
}

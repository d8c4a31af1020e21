//! Waiters that come while something changes, and go while others are told.

use loom::sync::Mutex;

use super::*;
use crate::sync::{block_on, explore, spawn};

/// What is stored under the key that is waited for.
type Stored = std::sync::Arc<Mutex<bool>>;

/// Registers, looks, and waits if there is something to wait for.
fn wait(watches: &Watches, stored: &Stored) {
    let watch = watches.register("a", "lease:a").unwrap();
    if !*stored.lock().unwrap() {
        assert_eq!(block_on(watch.changed()), Change::Value);
    }
}

/// A waiter that misses the change waits for ever.
#[test]
fn no_change_is_missed_between_the_look_and_the_wait() {
    explore(|| {
        let (watches, stored) = (Watches::default(), Stored::default());
        let waiter = {
            let (watches, stored) = (watches.clone(), stored.clone());
            spawn(move || wait(&watches, &stored))
        };
        *stored.lock().unwrap() = true;
        watches.wake(b"a");
        waiter.join().unwrap();
        assert!(watches.is_empty());
    });
}

#[test]
fn a_waiter_that_goes_takes_no_other_along() {
    explore(|| {
        let (watches, stored) = (Watches::default(), Stored::default());
        let waiter = {
            let (watches, stored) = (watches.clone(), stored.clone());
            spawn(move || wait(&watches, &stored))
        };
        let passing = {
            let watches = watches.clone();
            spawn(move || drop(watches.register("a", "lease:a").unwrap()))
        };
        *stored.lock().unwrap() = true;
        watches.wake(b"a");
        waiter.join().unwrap();
        passing.join().unwrap();
        assert!(watches.is_empty());
    });
}

/// The greater of two changes is what a waiter knows in the end, whichever comes first.
#[test]
fn of_two_changes_at_once_a_waiter_knows_the_greater_one() {
    explore(|| {
        let watches = Watches::default();
        let watch = watches.register("a", "lease:a").unwrap();
        let fills = {
            let watches = watches.clone();
            spawn(move || watches.wake(b"a"))
        };
        watches.wake(b"lease:a");
        fills.join().unwrap();
        assert_eq!(block_on(watch.changed()), Change::Value);
        drop(watch);
        assert!(watches.is_empty());
    });
}

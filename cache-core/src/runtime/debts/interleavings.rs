//! Invalidations that become owed, and are made good, while calls read.

use std::sync::LazyLock;

use loom::sync::Mutex as LoomMutex;

use super::*;
use crate::sync::{block_on, explore, spawn};

/// Tasks that end with their handles alone; nothing of it takes part in the orders.
static TASKS: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

fn name() -> Name {
    Name::key("k").unwrap()
}

fn owed() -> Targets {
    Targets::of(name())
}

/// What a store holds under `k`.
type Stored = Arc<LoomMutex<Option<u32>>>;

/// What a call is served.
fn read(debts: &Debts, stored: &Stored) -> Option<u32> {
    let outset = debts.outset();
    let value = *stored.lock().unwrap();
    // As `Subject::is_owed` asks.
    let is_affected = debts.is_owing() && debts.affects([&name()]);
    value.filter(|_| !is_affected && !debts.settled_since(outset))
}

/// The worker of the recovery makes good what is owed when a call has read.
#[test]
fn what_is_owed_is_not_served_while_it_is_made_good() {
    explore(|| {
        let (debts, stored) = (Arc::new(Debts::new(10)), Stored::new(LoomMutex::new(Some(1))));
        debts.incur(owed(), ClosingId::new());
        let worker = {
            let (debts, stored) = (debts.clone(), stored.clone());
            spawn(move || {
                let (targets, _, until) = debts.owed();
                assert_eq!(targets.names, [name()]);
                *stored.lock().unwrap() = None;
                debts.settle(until);
            })
        };
        assert_eq!(read(&debts, &stored), None);
        worker.join().unwrap();
        *stored.lock().unwrap() = Some(2);
        assert_eq!(read(&debts, &stored), Some(2));
    });
}

/// An attempt that began before a debt was incurred does not settle it.
#[test]
fn a_debt_that_is_incurred_meanwhile_stays() {
    explore(|| {
        let (debts, stored) = (Arc::new(Debts::new(10)), Stored::new(LoomMutex::new(Some(1))));
        debts.incur(owed(), ClosingId::new());
        let worker = {
            let (debts, stored) = (debts.clone(), stored.clone());
            spawn(move || {
                let (_, _, until) = debts.owed();
                *stored.lock().unwrap() = None;
                debts.settle(until);
            })
        };
        // Another process stores once more what this one then fails to invalidate.
        *stored.lock().unwrap() = Some(1);
        debts.incur(owed(), ClosingId::new());
        assert_eq!(read(&debts, &stored), None);
        worker.join().unwrap();
        assert_eq!(read(&debts, &stored), None);
    });
}

/// Whoever owes something finds a worker, or begins one.
#[test]
fn nothing_is_owed_without_a_worker() {
    explore(|| {
        let debts = Arc::new(Debts::new(10));
        let employ = |debts: &Debts| debts.employ(|_| Some(TASKS.spawn(std::future::pending())));
        debts.incur(owed(), ClosingId::new());
        employ(&debts);
        let worker = {
            let debts = debts.clone();
            spawn(move || {
                let (_, _, until) = debts.owed();
                debts.settle(until);
                debts.dismiss(1)
            })
        };
        debts.incur(owed(), ClosingId::new());
        employ(&debts);
        let has_gone = worker.join().unwrap();
        let ledger = debts.lock();
        let works = ledger.worker.as_ref().is_some_and(|worker| worker.id > 1 || !has_gone);
        assert!(works || !ledger.owes());
    });
}

/// Whoever waits for the end of what is under way is told of it.
#[test]
fn the_end_of_what_is_under_way_is_not_missed() {
    explore(|| {
        let debts = Arc::new(Debts::new(10));
        let number = debts.begin(Arc::new(owed()));
        let ends = {
            let debts = debts.clone();
            spawn(move || debts.end(number))
        };
        block_on(debts.none_under_way());
        ends.join().unwrap();
        assert!(debts.unsent().is_empty());
    });
}

/// It is in one of the two lists at any time.
#[test]
fn what_fails_is_under_way_or_owed_at_any_time() {
    explore(|| {
        let debts = Arc::new(Debts::new(10));
        let number = debts.begin(Arc::new(owed()));
        let fails = {
            let debts = debts.clone();
            spawn(move || {
                debts.incur(owed(), ClosingId::new());
                debts.end(number);
            })
        };
        assert!(!debts.unsent().is_empty());
        fails.join().unwrap();
        assert!(!debts.unsent().is_empty());
    });
}

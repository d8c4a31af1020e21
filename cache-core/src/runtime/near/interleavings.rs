//! Copies that are made while their entries change, and while their connection ends.

use loom::sync::Mutex as LoomMutex;

use super::*;
use crate::key::CachedFunction;
use crate::observe::CounterTable;
use crate::sync::{explore, spawn};

static FUNCTION: CachedFunction = CachedFunction::of_one("function", ":{}");

/// What the store holds.
type Stored = Arc<LoomMutex<u32>>;

/// Of an id of its own: caches of one id share what they doubt.
fn near() -> Arc<Near> {
    Near::new(fastrand::u128(..), &Config::default(), None)
}

fn place() -> NearPlace {
    NearPlace::new(&FUNCTION).part(&1).finish().unwrap()
}

/// A read for a copy: the placeholder comes first.
fn read(near: &Arc<Near>, stored: &Stored, voucher: &Arc<Voucher>) {
    let placeholder = near.expect(&"k".into()).unwrap();
    let value = *stored.lock().unwrap();
    placeholder.keep(NewCopy {
        place: &place(),
        lifespan: Lifespan::Near(Duration::from_secs(5)),
        bytes: 100,
        voucher: voucher.clone(),
        counters: SharedCounters::Looked(CounterTable::default().prefix("k")),
        value,
    });
}

fn copy(near: &Near) -> Option<u32> {
    near.table.get(place().bytes(), |copy| *copy.value.downcast_ref::<u32>().unwrap())
}

fn nothing_is_amiss(near: &Near) {
    assert!(near.expects_nothing());
    assert_eq!(near.board().copies(), near.table.len());
    drop(near.lost());
    assert!(near.board().is_empty() && near.table.len() == 0);
}

/// Whoever is told of a change has no copy from before it when the telling has returned.
#[test]
fn no_copy_is_older_than_the_last_change_that_was_told() {
    explore(|| {
        let (near, stored, voucher) = (near(), Stored::default(), Voucher::for_good());
        let reads = {
            let (near, stored, voucher) = (near.clone(), stored.clone(), voucher.clone());
            spawn(move || read(&near, &stored, &voucher))
        };
        *stored.lock().unwrap() = 1;
        drop(near.changed("k"));
        assert!(copy(&near).is_none_or(|copy| copy == 1), "at once");
        reads.join().unwrap();
        assert!(copy(&near).is_none_or(|copy| copy == 1), "later");
        nothing_is_amiss(&near);
    });
}

#[test]
fn two_reads_and_a_change_leave_the_table_and_the_board_alike() {
    explore(|| {
        let (near, stored, voucher) = (near(), Stored::default(), Voucher::for_good());
        let reads = [1, 2].map(|_| {
            let (near, stored, voucher) = (near.clone(), stored.clone(), voucher.clone());
            spawn(move || read(&near, &stored, &voucher))
        });
        drop(near.changed("k"));
        reads.into_iter().for_each(|read| read.join().unwrap());
        nothing_is_amiss(&near);
    });
}

/// No change is told any more: what a dead connection has read makes no copy.
#[test]
fn a_connection_that_has_ended_leaves_no_copy() {
    explore(|| {
        let (near, stored, voucher) = (near(), Stored::default(), Voucher::of_connection());
        let reads = {
            let (near, stored, voucher) = (near.clone(), stored.clone(), voucher.clone());
            spawn(move || read(&near, &stored, &voucher))
        };
        voucher.revoke();
        drop(near.lost());
        reads.join().unwrap();
        assert_eq!(copy(&near), None);
        nothing_is_amiss(&near);
    });
}

/// Of two answers the one to the later question counts, whichever is noted last.
#[test]
fn a_later_answer_is_not_forgotten_for_an_earlier_one() {
    explore(|| {
        let (voucher, asked) = (Voucher::of_connection(), clock::now());
        let earlier = {
            let voucher = voucher.clone();
            spawn(move || voucher.answered(asked))
        };
        let later = asked + Duration::from_nanos(1);
        voucher.answered(later);
        assert!(voucher.vouches(later, crate::clock::stamp(asked)));
        earlier.join().unwrap();
        assert!(voucher.vouches(later, crate::clock::stamp(asked)));
    });
}

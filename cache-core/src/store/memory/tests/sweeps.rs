//! Pattern walks.

use std::time::Duration;

use super::{Partition, key, tag};
use crate::store::SweepScope::{AllIndexes, Dependents, Values};
use crate::store::{FillReply, Refusal};

#[test]
fn a_pattern_removes_what_matches_with_its_dependents() {
    let mut partition = Partition::new();
    partition.stored("user:1", &[]);
    partition.stored("user:2", &[]);
    partition.stored("product:1", &[]);
    partition.stored("order", &[key("user:2")]);
    assert_eq!(partition.sweep("user:*", Values), 3);
    assert!(partition.has("product:1"));
    assert!(!partition.has("order"));
    assert_eq!(partition.state.fences.len(), 0, "the floor says it all");
}

#[test]
fn a_fill_in_flight_is_refused_after_a_walk() {
    let mut partition = Partition::new();
    let load = partition.load("user:1");
    partition.sweep("nothing", Values);
    assert_eq!(partition.fill(&load, &[]), FillReply::Refused(Refusal::BelowFloor));
}

#[test]
fn a_load_between_two_pages_is_refused_after_the_last() {
    let mut partition = Partition::with(|settings| settings.keys_per_page = 1);
    partition.stored_for("user:1", &[], Duration::from_secs(1));
    partition.stored("user:2", &[]);
    let (next, ..) = partition.page("user:*", Values, 0);
    assert!(partition.has("user:1"));
    let load = partition.load("order"); // and reads `user:1`
    partition.pass(Duration::from_secs(1)); // which expires before its page comes
    partition.page("user:*", Values, next.expect("another page"));
    assert_eq!(partition.fill(&load, &[key("user:1")]), FillReply::Refused(Refusal::BelowFloor));
}

#[test]
fn dependents_of_entries_that_are_gone_are_found() {
    let mut partition = Partition::new();
    partition.stored_for("user:1", &[], Duration::from_secs(1));
    partition.stored("order", &[key("user:1")]);
    partition.pass(Duration::from_secs(1));
    partition.settle();
    assert_eq!(partition.sweep("user:*", Values), 0);
    assert_eq!(partition.sweep("user:*", Dependents), 1);
    assert!(!partition.has("order"));
}

#[test]
fn clear_removes_everything_and_its_bookkeeping() {
    let mut partition = Partition::new();
    for number in 0..50 {
        partition.stored(&format!("a:{number}"), &[tag("t"), key("b")]);
    }
    partition.stored_for("c", &[tag("u")], Duration::from_secs(1));
    partition.pass(Duration::from_secs(1));
    assert_eq!(partition.sweep("*", Values), 50);
    partition.sweep("*", AllIndexes);
    assert_eq!(partition.state.indexes.len(), 0);
    assert_eq!(partition.state.fences.len(), 0);
}

#[test]
fn a_walk_meets_every_key_that_is_there_all_the_time() {
    let mut partition = Partition::with(|settings| settings.keys_per_page = 3);
    for number in 0..40 {
        partition.stored(&format!("a:{number}"), &[]);
    }
    let mut next = Some(0);
    let mut pages = 0;
    while let Some(cursor) = next {
        // The last key of each page goes, a key ahead is replaced, others come.
        partition.invalidate(&[key(&format!("a:{}", 39 - pages * 3))]);
        if pages < 6 {
            partition.stored(&format!("a:{}", 20 - pages), &[]);
        }
        partition.stored(&format!("b:{pages}"), &[]);
        (next, ..) = partition.page("a:*", Values, cursor);
        pages += 1;
        assert!(pages < 20, "keys that come during a walk must not keep it going");
    }
    for number in 0..40 {
        assert!(!partition.has(&format!("a:{number}")), "a:{number} was missed");
    }
}

#[test]
fn a_page_says_what_it_has_left() {
    let mut partition = Partition::with(|settings| settings.members_per_chunk = 2);
    partition.stored("user:1", &[]);
    for number in 0..5 {
        partition.stored(&format!("order:{number}"), &[key("user:1")]);
    }
    let (next, removed, mut rest) = partition.page("user:*", Values, 0);
    assert_eq!((next, removed, rest.left()), (None, 3, 1));
    assert_eq!(partition.step(&mut rest).removed, 2);
    assert_eq!((partition.finish(rest), partition.has("user:1")), (1, false));
}

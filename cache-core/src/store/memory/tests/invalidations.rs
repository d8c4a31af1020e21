//! Chunks, cascades and what they leave behind.

use std::time::Duration;

use super::{Partition, TTL, key, tag};
use crate::store::{FillReply, Refusal, Removal};

/// What a chunk removed, and what it left.
fn left(drained: &Removal) -> (u64, u64) {
    (drained.removed, drained.pending)
}

fn one_member_per_chunk() -> Partition {
    Partition::with(|settings| settings.members_per_chunk = 1)
}

#[test]
fn a_tag_removes_its_entries_and_says_how_many() {
    let mut partition = Partition::new();
    for product in ["p:1", "p:2", "p:3"] {
        partition.stored(product, &[tag("toys")]);
    }
    partition.stored("p:4", &[tag("books")]);
    assert_eq!(partition.invalidate(&[tag("toys")]), 3);
    assert!(partition.has("p:4"));
    assert_eq!(partition.invalidate(&[tag("toys")]), 0);
}

#[test]
fn expired_entries_are_not_counted() {
    let mut partition = Partition::new();
    partition.stored_for("a", &[tag("t")], TTL);
    partition.stored_for("b", &[tag("t")], TTL * 2);
    partition.pass(TTL);
    assert_eq!(partition.invalidate(&[tag("t"), key("a")]), 1);
}

#[test]
fn a_cascade_goes_through_circles_and_counts_each_entry_once() {
    let mut partition = Partition::new();
    partition.stored("a", &[key("c"), tag("t")]);
    partition.stored("b", &[key("a"), tag("t")]);
    partition.stored("c", &[key("b"), key("a")]);
    partition.stored("d", &[key("d2")]);
    assert_eq!(partition.invalidate(&[key("b")]), 3);
    assert!(partition.has("d"));
    assert_eq!(partition.state.indexes.len(), 1);
}

#[test]
fn a_removed_leaf_is_fenced() {
    let mut partition = Partition::new();
    partition.stored("leaf", &[tag("t")]);
    let load = partition.load("outer"); // and reads `leaf`, which nothing depends on yet
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("leaf")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn a_member_counts_although_its_entry_is_gone() {
    let mut partition = Partition::new();
    partition.stored_for("middle", &[tag("t")], Duration::from_secs(1));
    partition.stored("outer", &[key("middle")]);
    partition.pass(Duration::from_secs(1));
    partition.settle();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
    assert!(!partition.has("outer"));
}

#[test]
fn a_member_whose_entry_no_longer_has_the_tag_stays_but_its_dependents_fall() {
    let mut partition = Partition::new();
    partition.stored_for("middle", &[tag("t")], Duration::from_secs(1));
    partition.stored("outer", &[key("middle")]);
    partition.pass(Duration::from_secs(1));
    partition.stored("middle", &[tag("other")]);
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
    assert!(partition.has("middle"));
    assert!(!partition.has("outer"));
}

#[test]
fn a_short_lived_member_does_not_shorten_a_tags_life() {
    let mut partition = Partition::new();
    partition.stored_for("long", &[tag("t")], TTL * 20);
    partition.stored_for("short", &[tag("t")], Duration::from_secs(1));
    partition.pass(TTL * 19);
    partition.settle();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
}

#[test]
fn a_chunk_visits_no_more_than_its_members() {
    let mut partition = one_member_per_chunk();
    for logical in ["a", "b", "c"] {
        partition.stored(logical, &[tag("t")]);
    }
    assert_eq!(left(&partition.chunk(&[tag("t")])), (1, 1));
    assert_eq!(left(&partition.chunk(&[])), (1, 1));
    assert_eq!(left(&partition.chunk(&[])), (1, 0));
}

#[test]
fn an_entry_with_many_memberships_costs_more_than_one_visit() {
    let mut partition = Partition::with(|settings| settings.members_per_chunk = 100);
    let names: Vec<_> = (0..1_600).map(|number| tag(&format!("{number}"))).collect();
    partition.stored("a", &[names.clone(), vec![tag("t")]].concat());
    partition.stored("b", &[tag("t")]);
    assert_eq!(left(&partition.chunk(&[tag("t")])), (1, 1));
}

#[test]
fn what_a_crashed_client_left_is_finished_by_anyones_next_invalidation() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[key("a")]);
    partition.stored("c", &[key("b")]);
    assert_eq!(partition.chunk(&[tag("t")]).removed, 1); // and is never heard of again
    partition.invalidate(&[tag("unrelated")]);
    assert!(!partition.has("b"));
    assert!(!partition.has("c"));
}

#[test]
fn what_was_loaded_between_two_chunks_is_refused_after_the_last() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[tag("t")]);
    partition.chunk(&[tag("t")]);
    assert!(partition.has("b"));
    let load = partition.load("outer"); // and reads `b`, which is still there
    partition.invalidate(&[]);
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn names_left_deeper_in_a_cascade_are_fenced_again_too() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[key("a")]);
    partition.stored("c", &[key("a")]);
    partition.chunk(&[tag("t")]);
    let load = partition.load("outer"); // and reads `c`, which depends on `a`
    partition.chunk(&[]);
    assert!(partition.has("c"));
    assert_eq!(partition.fill(&load, &[key("a")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn what_was_filled_between_two_chunks_is_removed_by_the_next() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[tag("t")]);
    partition.chunk(&[tag("t")]);
    partition.stored("outer", &[tag("t")]);
    partition.invalidate(&[]);
    assert!(!partition.has("outer"));
}

#[test]
fn a_resent_chunk_changes_nothing() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("t")]);
    assert_eq!(left(&partition.chunk(&[tag("t")])), (1, 0));
    assert_eq!(partition.chunk(&[tag("t")]), Removal::default());
}

#[test]
fn a_deep_cascade_is_drained_without_recursion() {
    let mut partition = Partition::new();
    partition.stored("0", &[]);
    for depth in 1..5_000_u32 {
        let load = partition.load(&depth.to_string());
        let fill = crate::store::Fill {
            key: &load.key,
            value: bytes::Bytes::new(),
            names: &[key(&(depth - 1).to_string())],
            ttl: TTL,
            clock: &load.clock,
            token: load.token,
            learned: None,
        };
        partition.state.fill(&key(&load.key), &fill, partition.now);
    }
    let mut drained = partition.state.invalidate(&[key("0")], partition.now);
    let mut removed = drained.removed;
    while drained.pending > 0 {
        assert_eq!(drained.pending, 1);
        drained = partition.state.invalidate(&[], partition.now);
        removed += drained.removed;
    }
    assert_eq!(removed, 5_000);
    partition.check();
}

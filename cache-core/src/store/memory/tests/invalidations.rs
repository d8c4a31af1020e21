//! Chunks, cascades and what they leave behind.

use std::time::Duration;

use super::{Partition, TTL, key, tag};
use crate::store::{FillReply, Intent, Operation, Refusal, Removal};

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
    let given = [tag("t")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    assert_eq!(left(&partition.step(&mut operation)), (1, 1));
    assert_eq!(left(&partition.step(&mut operation)), (1, 1));
    assert_eq!(left(&partition.step(&mut operation)), (1, 0));
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
fn what_a_crashed_client_left_is_finished_by_the_next_invalidation_of_the_same() {
    let mut partition = Partition::with(|settings| settings.members_per_chunk = 2);
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[key("a")]);
    partition.stored("c", &[key("b")]);
    assert_eq!(left(&partition.chunk(&[tag("t")])), (0, 2)); // and is never heard of again
    assert_eq!(partition.invalidate(&[tag("t")]), 3);
    assert_eq!(partition.state.indexes.len(), 0);
}

#[test]
fn a_membership_stays_until_what_it_leads_to_is_gone() {
    let mut partition = Partition::with(|settings| settings.members_per_chunk = 2);
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[key("a")]);
    partition.stored("c", &[key("a")]);
    partition.chunk(&[tag("t")]); // removes `b`
    assert!(!partition.has("b") && partition.has("c"));
    assert_eq!(partition.invalidate(&[tag("t")]), 2);
}

#[test]
fn what_was_loaded_between_two_chunks_is_refused_after_the_last() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[tag("t")]);
    let given = [tag("t")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    partition.step(&mut operation);
    assert!(partition.has("b"));
    let load = partition.load("outer"); // and reads `b`, which is still there
    partition.finish(operation);
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn what_was_filled_between_two_chunks_is_removed_by_the_next() {
    let mut partition = one_member_per_chunk();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[tag("t")]);
    let given = [tag("t")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    partition.step(&mut operation);
    partition.stored("outer", &[tag("t")]);
    partition.finish(operation);
    assert!(!partition.has("outer"));
}

#[test]
fn a_given_key_falls_with_the_first_of_its_chunks() {
    let mut partition = one_member_per_chunk();
    partition.stored("old", &[tag("t")]);
    partition.stored("b", &[key("old")]);
    partition.stored("c", &[key("old")]);
    let given = [key("old")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    partition.step(&mut operation);
    assert!(!partition.has("b") && partition.has("c"));
    assert!(!partition.has("old"), "what is made from it would come before where the next chunk goes on");
    partition.stored("old", &[tag("t")]);
    partition.finish(operation);
    assert!(partition.has("old") && !partition.has("c"));
}

#[test]
fn a_given_key_that_is_in_a_circle_falls_with_the_first_of_its_chunks_too() {
    let mut partition = Partition::with(|settings| settings.members_per_chunk = 3);
    partition.stored("old", &[key("e")]);
    for dependent in ["b", "c", "d", "e"] {
        partition.stored(dependent, &[key("old")]);
    }
    let given = [key("old")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    partition.step(&mut operation);
    assert!(partition.has("e") && !partition.has("old"));
    partition.stored("old", &[key("e")]); // made from it, for it is still there
    partition.finish(operation);
    assert!(!partition.has("old") && !partition.has("e"));
}

#[test]
fn a_circle_that_takes_a_whole_chunk_ends() {
    for members_per_chunk in 1..20 {
        let mut partition = Partition::with(|settings| settings.members_per_chunk = members_per_chunk);
        partition.stored("a", &[key("b"), tag("t")]);
        partition.stored("b", &[key("a"), tag("t")]);
        let given = [tag("t")];
        let mut operation = Operation::new(&given, Intent::Invalidate);
        for _ in 0..100 {
            if partition.step(&mut operation).pending == 0 {
                break;
            }
        }
        assert!(!partition.has("a") && !partition.has("b"));
        assert_eq!(partition.state.indexes.len(), 0, "{members_per_chunk} members in a chunk");
    }
}

#[test]
fn a_resent_chunk_changes_nothing() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("t")]);
    assert_eq!(left(&partition.chunk(&[tag("t")])), (1, 0));
    assert_eq!(partition.chunk(&[tag("t")]), Removal::default());
}

/// Each depends on the one before; with `closed`, the first one on the last.
fn chain(partition: &mut Partition, length: u32, is_closed: bool) {
    for number in 0..length {
        let before = if is_closed { (number + length - 1) % length } else { number.wrapping_sub(1) };
        let names = if before < length { vec![key(&before.to_string())] } else { Vec::new() };
        let load = partition.load(&number.to_string());
        let fill = crate::store::Fill {
            key: &load.key,
            value: bytes::Bytes::new(),
            names: &names,
            ttl: TTL,
            clock: &load.clock,
            token: load.token,
            learned: None,
        };
        partition.state.fill(&key(&load.key), &fill, &[], partition.now);
    }
}

#[test]
fn a_deep_cascade_is_drained_a_chunk_at_a_time() {
    let mut partition = Partition::new();
    chain(&mut partition, 5_000, false);
    let given = [key("0")];
    let mut operation = Operation::new(&given, Intent::Invalidate);
    let (mut removed, mut steps) = (0, 0);
    while !operation.is_done() {
        let chunk = operation.next_chunk(0).expect("it is not done");
        assert_eq!(chunk.effort, 0);
        let reply = partition.state.take(&chunk, partition.now).expect("nothing is closed");
        removed += operation.take_in(&chunk, reply).removed;
        steps += 1;
    }
    assert_eq!((removed, partition.state.indexes.len()), (5_000, 0));
    assert!(steps < 60, "{steps} steps");
    partition.check();
}

/// None of its entries comes after what depends on it.
#[test]
fn a_circle_that_is_longer_than_a_chunk_falls_as_a_whole() {
    let mut partition = Partition::new();
    chain(&mut partition, 1_000, true);
    partition.stored("other", &[tag("t")]);
    assert_eq!(partition.invalidate(&[key("0")]), 1_000);
    assert_eq!(partition.state.indexes.len(), 1);
}

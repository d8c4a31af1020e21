//! Leases, fills and writes.

use std::time::Duration;

use super::{LEASE, Partition, TTL, key, tag};
use crate::store::{FillReply, IfPresent, LeaseReply, LeaseRequest, Recall, Refusal, Token};

#[test]
fn a_value_is_there_until_its_ttl_ends() {
    let mut partition = Partition::new();
    partition.stored("a", &[]);
    partition.pass(TTL - Duration::from_millis(1));
    assert!(partition.has("a"));
    partition.pass(Duration::from_millis(1));
    assert!(!partition.has("a"));
}

#[test]
fn the_second_to_ask_for_a_lease_is_told_how_long_to_wait() {
    let mut partition = Partition::new();
    partition.load("a");
    partition.pass(LEASE / 4);
    let reply = partition.state.take_lease(
        &key("a"),
        &LeaseRequest::waiting(Token(99), LEASE, IfPresent::Return, Recall::Nothing),
        partition.now,
    );
    assert!(matches!(reply, LeaseReply::Held { remaining, .. } if remaining == LEASE * 3 / 4));
    partition.pass(LEASE * 3 / 4);
    assert!(partition.is_free("a"));
}

#[test]
fn a_lease_answers_with_the_value_if_somebody_filled_meanwhile() {
    let mut partition = Partition::new();
    partition.stored("a", &[]);
    let reply = partition.state.take_lease(
        &key("a"),
        &LeaseRequest::waiting(Token(99), LEASE, IfPresent::Return, Recall::Nothing),
        partition.now,
    );
    assert!(matches!(reply, LeaseReply::Hit(value) if value == "a"));
}

#[test]
fn a_lease_that_a_fence_of_its_key_overtook_is_free() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.invalidate(&[tag("other")]);
    assert!(!partition.is_free("a"));
    partition.invalidate(&[key("a")]);
    assert!(partition.is_free("a"));
    assert!(!partition.state.renew_lease(&key("a"), load.token, LEASE, partition.now));
}

#[test]
fn a_lease_that_the_floor_overtook_is_free() {
    let mut partition = Partition::with(|settings| settings.fences_max = 0);
    partition.load("a");
    partition.invalidate(&[tag("other")]);
    assert!(partition.is_free("a"));
}

#[test]
fn a_renewed_lease_lasts_longer() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.pass(LEASE / 2);
    assert!(partition.state.renew_lease(&key("a"), load.token, LEASE, partition.now));
    partition.pass(LEASE * 3 / 4);
    assert!(!partition.is_free("a"));
    partition.pass(LEASE / 4);
    assert!(!partition.state.renew_lease(&key("a"), load.token, LEASE, partition.now));
}

// A late fill of the same process would otherwise end the lease of its own successor.
#[test]
fn only_the_token_that_took_a_lease_gives_it_back() {
    let mut partition = Partition::new();
    let first = partition.load("a");
    partition.invalidate(&[key("a")]);
    let second = partition.load("a");
    assert_eq!(partition.fill(&first, &[]), FillReply::Refused(Refusal::Fenced));
    assert!(!partition.is_free("a"));
    assert_eq!(partition.fill(&second, &[]), FillReply::Stored);
    assert!(partition.is_free("a"));
}

#[test]
fn a_resent_request_is_granted_its_own_lease() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    let again = partition.state.take_lease(
        &key("a"),
        &LeaseRequest::waiting(load.token, LEASE, IfPresent::Return, Recall::Nothing),
        partition.now,
    );
    assert!(matches!(again, LeaseReply::Granted(_)));
}

#[test]
fn late_fill_is_refused_after_invalidation_of_its_key() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.invalidate(&[key("a")]);
    assert_eq!(partition.fill(&load, &[]), FillReply::Refused(Refusal::Fenced));
    assert!(!partition.has("a"));
}

#[test]
fn late_fill_is_refused_after_invalidation_of_a_tag() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("b"), tag("t")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn late_fill_is_refused_after_invalidation_of_a_dependency() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.invalidate(&[key("b")]);
    assert_eq!(partition.fill(&load, &[key("b"), tag("t")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn a_load_that_began_after_the_invalidation_fills() {
    let mut partition = Partition::new();
    partition.invalidate(&[key("a"), tag("t")]);
    partition.stored("a", &[tag("t")]);
    assert!(partition.has("a"));
}

#[test]
fn a_dropped_fence_still_refuses() {
    let mut partition = Partition::with(|settings| settings.fences_max = 1);
    let load = partition.load("a");
    partition.invalidate(&[tag("t")]);
    partition.invalidate(&[tag("other")]);
    assert_eq!(partition.state.fences.of(&tag("t")), None, "the oldest fence is dropped");
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Refused(Refusal::BelowFloor));
}

#[test]
fn an_old_fence_is_dropped_into_the_floor() {
    let mut partition = Partition::new();
    partition.invalidate(&[tag("t")]);
    let seq = partition.state.fences.of(&tag("t")).expect("fenced");
    partition.pass(partition.state.settings.fence_retention);
    partition.settle();
    assert_eq!(partition.state.fences.len(), 0);
    assert_eq!(partition.state.fences.floor(), seq);
}

#[test]
fn a_reading_of_a_lost_clock_is_worth_nothing() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    let mut lost = Partition::new();
    lost.now = partition.now;
    let settings = partition.state.settings.clone();
    // The time stands still: the new clock's `seq` alone does not tell the two apart.
    lost.state = super::State::new(settings, Default::default(), 2, lost.now);
    assert_eq!(lost.fill(&load, &[]), FillReply::Refused(Refusal::ForeignIncarnation));
}

// The dead member through which its dependency was reached may have been reaped meanwhile.
#[test]
fn a_load_that_took_longer_than_the_retention_does_not_fill() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    partition.pass(partition.state.settings.fence_retention + Duration::from_millis(1));
    assert_eq!(partition.fill(&load, &[]), FillReply::Refused(Refusal::TooOld));
}

#[test]
fn a_resent_fill_changes_nothing() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Stored);
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Stored);
    assert_eq!(partition.state.indexes.memberships().count(), 1);
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[tag("t")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn a_replaced_entry_leaves_the_tags_it_no_longer_has() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("old"), tag("kept")]);
    partition.stored("a", &[tag("kept"), tag("new")]);
    assert!(!partition.state.indexes.is_member(&tag("old"), &key("a")));
    assert_eq!(partition.invalidate(&[tag("old")]), 0);
    assert_eq!(partition.invalidate(&[tag("new")]), 1);
}

#[test]
fn a_replaced_entry_with_dependents_still_leads_to_them() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("old")]);
    partition.stored("b", &[key("a")]);
    partition.stored("a", &[]);
    assert_eq!(partition.invalidate(&[tag("old")]), 1, "b falls");
    assert!(partition.has("a"), "a no longer has the tag");
    assert!(!partition.has("b"));
}

#[test]
fn a_write_replaces_the_value_and_removes_its_dependents() {
    let mut partition = Partition::new();
    partition.stored("a", &[]);
    partition.stored("b", &[key("a")]);
    let clock = partition.reading();
    let written = partition.write("a", &[], &clock);
    assert_eq!(written.fill, FillReply::Stored);
    assert_eq!(written.drained.removed, 2);
    assert!(partition.has("a"));
    assert!(!partition.has("b"));
}

#[test]
fn a_load_that_began_before_a_write_is_refused_after_it() {
    let mut partition = Partition::new();
    let load = partition.load("a");
    let clock = partition.reading();
    partition.write("a", &[], &clock);
    assert_eq!(partition.fill(&load, &[]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn two_concurrent_writers_end_in_a_miss() {
    let mut partition = Partition::new();
    let first = partition.reading();
    let second = first.clone();
    assert_eq!(partition.write("a", &[], &second).fill, FillReply::Stored);
    assert_eq!(partition.write("a", &[], &first).fill, FillReply::Refused(Refusal::Fenced));
    assert!(!partition.has("a"));
}

#[test]
fn a_refused_write_fences_its_key_all_the_same() {
    let mut partition = Partition::new();
    let clock = partition.reading();
    partition.invalidate(&[tag("t")]);
    let load = partition.load("a");
    assert_eq!(partition.write("a", &[tag("t")], &clock).fill, FillReply::Refused(Refusal::Fenced));
    assert_eq!(partition.fill(&load, &[]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn a_write_is_refused_for_a_fence_of_a_dependency() {
    let mut partition = Partition::new();
    partition.stored("a", &[]);
    let clock = partition.reading();
    partition.invalidate(&[key("b")]);
    assert_eq!(partition.write("a", &[key("b")], &clock).fill, FillReply::Refused(Refusal::Fenced));
    assert!(!partition.has("a"));
}

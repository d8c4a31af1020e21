//! The protocol's rules, each as a test that runs on every store. The star is the design's: without
//! the rule, a stale read.
//!
//! Servers and clusters come from `CACHE_TEST_REDIS_URL`, `CACHE_TEST_REDIS_CLUSTER_URL` and the
//! like for Valkey, which `cargo xtask test` sets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    ClockReading, Fill, FillReply, IfHeld, IfPresent, Intent, LeaseReply, LeaseRequest, Operation, Recall, Refusal,
    Removal, Store, SweepScope, Token, WriteReply,
};
use crate::config::{Config, INVALIDATE_MEMBERS_PER_CHUNK};
use crate::entry::Version;
use crate::error::Error;
use crate::name::Name;
use crate::store::far;

const SECOND: Duration = Duration::from_secs(1);

pub(in crate::store) mod rig;
use rig::{Rig, first_step, parse};

#[macro_use]
mod stores;

mod closing;
mod counting;
mod following;
mod learned;
mod leaving;
mod looking;
mod losing;
mod taking_over;
mod watching;

on_every_store! {
    a_value_and_its_memberships_appear_together
    a_fill_is_refused_after_its_key_was_invalidated
    a_fill_is_refused_after_one_of_its_tags_was_invalidated
    a_fill_is_refused_after_one_of_its_dependencies_was_invalidated
    a_fill_that_began_after_the_invalidation_is_stored
    a_removed_leaf_is_fenced
    a_membership_counts_when_its_entry_is_gone
    a_tag_that_nobody_has_leaves_the_key_that_is_spelled_like_it
    an_entry_that_left_a_tag_stays_when_the_tag_falls
    an_entry_that_left_a_tag_still_leads_to_what_was_made_from_it
    a_cascade_follows_cycles_and_counts_each_entry_once
    every_chunk_fences_again_what_it_left
    a_pattern_takes_dependents_whose_entry_is_gone
    every_page_of_a_pattern_raises_the_floor
    a_pattern_leaves_other_keys_alone
    clear_empties_the_namespace
    a_write_always_fences_its_key
    a_write_is_not_stored_over_a_fence_of_its_tags
    two_writers_end_in_a_miss
    a_write_takes_its_dependents_along
    a_lease_is_held_by_one_token
    a_lease_ends_by_itself_and_a_renewal_says_when
    a_fill_leaves_the_lease_of_another_token_alone
    a_lease_that_a_fence_has_overtaken_is_free
    a_lease_answers_with_a_value_that_was_filled_meanwhile
    a_lease_answers_with_any_value_but_the_one_that_is_too_old
    a_foreign_token_neither_renews_nor_releases_a_lease
    a_value_is_discarded_as_by_the_end_of_its_ttl
    a_discarded_value_leaves_the_indexes_that_nothing_needs
    a_discard_removes_only_the_version_that_it_means
    a_discard_gives_back_the_lease_of_its_own_token_alone
    many_keys_are_answered_in_their_order
    a_resent_fill_is_harmless
    a_load_older_than_the_retention_does_not_fill
    a_write_older_than_the_retention_removes_and_stores_nothing
    a_fence_is_dropped_only_into_the_floor
    a_large_value_with_many_names_is_stored_whole
    many_names_are_checked_again_by_the_last_step
}

on_one_partition! {
    a_dead_clients_cascade_is_finished_by_the_next_invalidation
    a_write_goes_on_with_what_a_dead_client_has_left
}

async fn a_value_and_its_memberships_appear_together(rig: Rig) {
    rig.fill("a:1", &["tT", "kb:1"]).await;
    assert_eq!(rig.get("a:1").await.as_deref(), Some(&b"a:1"[..]));
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("a:1").await, None);
    rig.fill("a:1", &["tT", "kb:1"]).await;
    assert_eq!(rig.invalidate(&["kb:1"]).await, 1);
}

async fn a_fill_is_refused_after_its_key_was_invalidated(rig: Rig) {
    let clock = rig.reading("a:1").await;
    assert_eq!(rig.invalidate(&["ka:1"]).await, 0);
    assert_eq!(rig.try_fill("a:1", &[], &clock).await, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.get("a:1").await, None);
}

async fn a_fill_is_refused_after_one_of_its_tags_was_invalidated(rig: Rig) {
    let clock = rig.reading("a:1").await;
    assert_eq!(rig.invalidate(&["tT"]).await, 0);
    assert_eq!(rig.try_fill("a:1", &["tS", "tT"], &clock).await, FillReply::Refused(Refusal::Fenced));
}

async fn a_fill_is_refused_after_one_of_its_dependencies_was_invalidated(rig: Rig) {
    let clock = rig.reading("a:1").await;
    assert_eq!(rig.invalidate(&["kb:1"]).await, 0);
    assert_eq!(rig.try_fill("a:1", &["kb:1"], &clock).await, FillReply::Refused(Refusal::Fenced));
}

async fn a_fill_that_began_after_the_invalidation_is_stored(rig: Rig) {
    rig.invalidate(&["ka:1", "tT"]).await;
    let clock = rig.reading("a:1").await;
    assert_eq!(rig.try_fill("a:1", &["tT"], &clock).await, FillReply::Stored);
}

/// ★ `D` is made from `m` while `T` falls. Nothing depends on `m` yet, so only its own fence can
/// refuse `D`.
async fn a_removed_leaf_is_fenced(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    let clock = rig.reading("D").await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.try_fill("D", &["km"], &clock).await, FillReply::Refused(Refusal::Fenced));
}

/// ★ `T` reaches `D` through `m`, also when `m` expired first.
async fn a_membership_counts_when_its_entry_is_gone(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.fill("D", &["km"]).await;
    rig.lose_entry("m").await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("D").await, None);
}

async fn a_tag_that_nobody_has_leaves_the_key_that_is_spelled_like_it(rig: Rig) {
    rig.fill("T", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 0);
    assert!(rig.get("T").await.is_some());
}

async fn an_entry_that_left_a_tag_stays_when_the_tag_falls(rig: Rig) {
    rig.fill("a:1", &["tT"]).await;
    rig.fill("a:1", &["tS"]).await;
    assert_eq!(rig.bookkeeping().await, 1, "the index of the tag that it left is gone");
    assert_eq!(rig.invalidate(&["tT"]).await, 0);
    assert!(rig.get("a:1").await.is_some());
    // A dead membership of an earlier life does not count either.
    rig.lose_entry("a:1").await;
    rig.fill("a:1", &["tU"]).await;
    assert_eq!(rig.invalidate(&["tS"]).await, 0);
    assert_eq!(rig.invalidate(&["tU"]).await, 1);
}

/// `D` was made from the first `m`, which had `T`.
async fn an_entry_that_left_a_tag_still_leads_to_what_was_made_from_it(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.fill("D", &["km"]).await;
    rig.fill("m", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert!(rig.get("m").await.is_some() && rig.get("D").await.is_none());
}

async fn a_cascade_follows_cycles_and_counts_each_entry_once(rig: Rig) {
    rig.fill("a", &["kc", "tT"]).await;
    rig.fill("b", &["ka", "tT"]).await;
    rig.fill("c", &["kb"]).await;
    rig.fill("other", &["kx"]).await;
    assert_eq!(rig.invalidate(&["kb"]).await, 3);
    assert!(rig.get("other").await.is_some());
}

/// ★ The work that is left is kept in the store, not in the client.
async fn a_dead_clients_cascade_is_finished_by_the_next_invalidation(rig: Rig) {
    let members = INVALIDATE_MEMBERS_PER_CHUNK + 50;
    rig.fill_many(members, &["tT"]).await;
    let first = rig.chunk(&["tT"]).await;
    assert!(first.pending > 0, "one chunk must not be enough");
    assert_eq!(first.removed, INVALIDATE_MEMBERS_PER_CHUNK as u64);
    // That client sends nothing more. Another invalidates the same.
    assert_eq!(rig.invalidate(&["tT"]).await, 50);
}

/// ★ Between two chunks, a load reads an entry that has yet to fall.
async fn every_chunk_fences_again_what_it_left(rig: Rig) {
    rig.fill_many(INVALIDATE_MEMBERS_PER_CHUNK + 50, &["tT"]).await;
    let given = parse(&["tT"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    assert!(rig.step(&mut operation).await.pending > 0);
    let clock = rig.reading("D").await;
    rig.finish(operation).await;
    assert_eq!(rig.try_fill("D", &["tT"], &clock).await, FillReply::Refused(Refusal::Fenced));
}

/// ★ `D` was made from `m:1`, which expired before the pattern came.
async fn a_pattern_takes_dependents_whose_entry_is_gone(rig: Rig) {
    rig.fill("m:1", &[]).await;
    rig.fill("D", &["km:1"]).await;
    rig.lose_entry("m:1").await;
    assert_eq!(rig.sweep("m:*", &[SweepScope::Values, SweepScope::Dependents]).await, 1);
    assert_eq!(rig.get("D").await, None);
}

/// ★ A load that begins between two pages may read what a later page removes.
async fn every_page_of_a_pattern_raises_the_floor(rig: Rig) {
    rig.sweep("m:*", &[SweepScope::Values]).await;
    let clock = rig.reading("D").await;
    rig.sweep("m:*", &[SweepScope::Dependents]).await;
    assert_eq!(rig.try_fill("D", &[], &clock).await, FillReply::Refused(Refusal::BelowFloor));
}

async fn a_pattern_leaves_other_keys_alone(rig: Rig) {
    for key in ["board:1", "board:2", "boards:1", "b"] {
        rig.fill(key, &[]).await;
    }
    assert_eq!(rig.sweep("board:*", &[SweepScope::Values, SweepScope::Dependents]).await, 2);
    assert!(rig.get("boards:1").await.is_some());
    assert!(rig.get("b").await.is_some());
}

async fn clear_empties_the_namespace(rig: Rig) {
    rig.fill_many(1_000, &["tT"]).await;
    rig.fill("D", &["km:1"]).await;
    assert_eq!(rig.sweep("*", &[SweepScope::Values, SweepScope::AllIndexes]).await, 1_001);
    assert_eq!(rig.bookkeeping().await, 0, "indexes and pending work outlived clear");
}

/// ★ The writer's own value was refused; a load from before it must be as well.
async fn a_write_always_fences_its_key(rig: Rig) {
    let load = rig.reading("a").await;
    let reading = rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap();
    rig.invalidate(&["tT"]).await;
    assert_eq!(rig.write("a", &["tT"], &reading).await.fill, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.try_fill("a", &[], &load).await, FillReply::Refused(Refusal::Fenced));
}

/// ★ The key alone is not enough.
async fn a_write_is_not_stored_over_a_fence_of_its_tags(rig: Rig) {
    let reading = rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap();
    rig.invalidate(&["tT"]).await;
    assert_eq!(rig.write("a", &["tT"], &reading).await.fill, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.get("a").await, None);
}

async fn two_writers_end_in_a_miss(rig: Rig) {
    let (first, second) = (
        rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap(),
        rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap(),
    );
    assert_eq!(rig.write("a", &[], &first).await.fill, FillReply::Stored);
    assert_eq!(rig.write("a", &[], &second).await.fill, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.get("a").await, None);
}

async fn a_write_takes_its_dependents_along(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("D", &["ka"]).await;
    rig.fill("E", &["kD"]).await;
    let reading = rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap();
    let written = rig.write("a", &["tT"], &reading).await;
    assert_eq!((written.fill, written.drained.pending), (FillReply::Stored, 0));
    assert!(rig.get("a").await.is_some() && rig.get("D").await.is_none() && rig.get("E").await.is_none());
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

/// ★ Who had begun it may have died.
async fn a_write_goes_on_with_what_a_dead_client_has_left(rig: Rig) {
    const MANY: usize = INVALIDATE_MEMBERS_PER_CHUNK + 50;
    rig.fill_many(MANY, &["ka"]).await;
    let first = rig.chunk(&["ka"]).await;
    assert!(first.pending > 0, "one chunk must not be enough");
    let WriteReply { fill, drained, .. } = rig.write("a", &[], &rig.reading("a").await).await;
    assert_eq!((fill, first.removed + drained.removed, drained.pending), (FillReply::Stored, MANY as u64, 0));
}

async fn a_lease_is_held_by_one_token(rig: Rig) {
    let token = Token::new();
    assert!(matches!(rig.lease("a", token).await, LeaseReply::Granted(_)));
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Held { .. }));
    rig.store.release_lease("a", token, far()).await.unwrap();
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
}

async fn a_lease_ends_by_itself_and_a_renewal_says_when(rig: Rig) {
    let moment = Duration::from_millis(1);
    rig.store
        .take_lease("a", LeaseRequest::waiting(Token::new(), moment, IfPresent::Return, Recall::Nothing), far())
        .await
        .unwrap();
    rig.until_granted("a").await;
    let mine = Token::new();
    rig.lease("b", mine).await;
    assert!(rig.store.renew_lease("b", mine, 60 * SECOND, far()).await.unwrap());
    let LeaseReply::Held { remaining, .. } = rig.lease("b", Token::new()).await else { panic!("it is held") };
    assert!(remaining > 30 * SECOND && remaining <= 60 * SECOND, "{remaining:?}");
    assert!(rig.store.renew_lease("b", mine, moment, far()).await.unwrap());
    rig.until_granted("b").await;
}

/// Who gave up waiting fills while the leader still loads.
async fn a_fill_leaves_the_lease_of_another_token_alone(rig: Rig) {
    for (key, expected) in [("a", FillReply::Stored), ("b", FillReply::Refused(Refusal::Fenced))] {
        let clock = rig.reading(key).await;
        if expected != FillReply::Stored {
            rig.invalidate(&["tT"]).await;
        }
        assert_eq!(rig.try_fill(key, &["tT"], &clock).await, expected);
        let asked = rig
            .store
            .take_lease(key, LeaseRequest::waiting(Token::new(), SECOND, IfPresent::Ignore, Recall::Nothing), far())
            .await
            .unwrap();
        assert!(matches!(asked, LeaseReply::Held { .. }), "{key}");
    }
}

/// ★ What its holder loads would be refused: nobody should wait for it.
async fn a_lease_that_a_fence_has_overtaken_is_free(rig: Rig) {
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    rig.invalidate(&["ka"]).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    // Nobody looks for the lease of what falls with its tag: there the fence alone tells.
    rig.fill("b", &["tT"]).await;
    rig.reading("b").await;
    rig.invalidate(&["tT"]).await;
    assert!(matches!(rig.lease("b", Token::new()).await, LeaseReply::Granted(_)));
    rig.sweep("x*", &[SweepScope::Values]).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
}

async fn a_lease_answers_with_a_value_that_was_filled_meanwhile(rig: Rig) {
    rig.fill("a", &[]).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Hit(value) if value.ends_with(b"a")));
    let ignoring = rig
        .store
        .take_lease("a", LeaseRequest::waiting(Token::new(), SECOND, IfPresent::Ignore, Recall::Nothing), far())
        .await;
    assert!(matches!(ignoring.unwrap(), LeaseReply::Granted(_)));
}

async fn a_lease_answers_with_any_value_but_the_one_that_is_too_old(rig: Rig) {
    rig.fill("a", &[]).await;
    let stored = Version([0; 24]);
    let other = rig
        .store
        .take_lease(
            "a",
            LeaseRequest::waiting(Token::new(), SECOND, IfPresent::ReturnOther(Version([13; 24])), Recall::Nothing),
            far(),
        )
        .await;
    assert!(matches!(other.unwrap(), LeaseReply::Hit(value) if value.ends_with(b"a")));
    let same = rig
        .store
        .take_lease(
            "a",
            LeaseRequest::waiting(Token::new(), SECOND, IfPresent::ReturnOther(stored), Recall::Nothing),
            far(),
        )
        .await;
    assert!(matches!(same.unwrap(), LeaseReply::Granted(_)));
}

/// ★ What was made from it must be reached through its tags all the same.
async fn a_value_is_discarded_as_by_the_end_of_its_ttl(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.fill("D", &["km"]).await;
    let before = rig.reading("m").await;
    rig.store.discard("m", Token::new(), None, far()).await.unwrap();
    assert_eq!(rig.get("m").await, None);
    assert!(rig.get("D").await.is_some(), "nothing falls with it");
    assert_eq!(rig.try_fill("E", &["km"], &before).await, FillReply::Stored, "it fences nothing");
    assert_eq!(rig.invalidate(&["tT"]).await, 2);
    rig.store.discard("m", Token::new(), None, far()).await.unwrap();
}

async fn a_discarded_value_leaves_the_indexes_that_nothing_needs(rig: Rig) {
    rig.fill("a", &["tT", "kb"]).await;
    rig.fill("c", &["tT"]).await;
    rig.store.discard("a", Token::new(), None, far()).await.unwrap();
    assert_eq!(rig.bookkeeping().await, 1, "that of the tag");
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

async fn a_discard_removes_only_the_version_that_it_means(rig: Rig) {
    rig.fill("a", &[]).await;
    rig.store.discard("a", Token::new(), Some(Version([13; 24])), far()).await.unwrap();
    assert!(rig.get("a").await.is_some());
    rig.store.discard("a", Token::new(), Some(Version([0; 24])), far()).await.unwrap();
    assert_eq!(rig.get("a").await, None);
}

async fn a_discard_gives_back_the_lease_of_its_own_token_alone(rig: Rig) {
    let (mine, foreign) = (Token::new(), Token::new());
    rig.lease("a", mine).await;
    rig.store.discard("a", foreign, None, far()).await.unwrap();
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Held { .. }));
    rig.store.discard("a", mine, None, far()).await.unwrap();
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
}

async fn many_keys_are_answered_in_their_order(rig: Rig) {
    rig.fill("a:1", &[]).await;
    rig.fill("a:3", &[]).await;
    let asked = ["a:3", "a:2", "a:1", "a:3"];
    for home in asked.map(|key| rig.store.home(key)) {
        let asked: Vec<&str> = asked.into_iter().filter(|key| rig.store.home(key) == home).collect();
        let keys: Vec<Arc<str>> = asked.iter().map(|key| Arc::from(*key)).collect();
        let values = rig.store.get_many(&keys, far()).await.unwrap();
        let payload = |value: Bytes| value.iter().skip(56).map(|byte| char::from(*byte)).collect::<String>();
        let values: Vec<Option<String>> = values.into_iter().map(|value| value.map(payload)).collect();
        let stored = asked.iter().map(|key| (*key != "a:2").then(|| (*key).to_owned()));
        assert_eq!(values, stored.collect::<Vec<_>>());
    }
    assert!(rig.store.get_many(&[], far()).await.unwrap().is_empty());
}

async fn a_foreign_token_neither_renews_nor_releases_a_lease(rig: Rig) {
    let (mine, foreign) = (Token::new(), Token::new());
    rig.lease("a", mine).await;
    assert!(!rig.store.renew_lease("a", foreign, SECOND, far()).await.unwrap());
    rig.store.release_lease("a", foreign, far()).await.unwrap();
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Held { .. }));
    assert!(rig.store.renew_lease("a", mine, SECOND, far()).await.unwrap());
}

async fn a_resent_fill_is_harmless(rig: Rig) {
    let clock = rig.reading("a").await;
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FillReply::Stored);
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FillReply::Stored);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FillReply::Refused(Refusal::Fenced));
}

async fn a_load_older_than_the_retention_does_not_fill(rig: Rig) {
    let mut clock = rig.reading("a").await;
    clock.read_at -= rig.retention() + Duration::from_secs(1);
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::TooOld));
}

/// By the clock of its process: a step of the store's clock cannot make an old reading look young.
async fn a_write_older_than_the_retention_removes_and_stores_nothing(rig: Rig) {
    rig.fill("a", &[]).await;
    rig.fill("b", &["ka"]).await;
    let mut clock = rig.reading("a").await;
    clock.read_at -= rig.retention() + Duration::from_secs(1);
    let reply = rig.write("a", &[], &clock).await;
    assert_eq!((reply.fill, reply.drained.removed), (FillReply::Refused(Refusal::TooOld), 2));
    assert_eq!((rig.get("a").await, rig.get("b").await), (None, None));
}

/// ★ With the retention over at once, the fence itself is gone by the next script; the floor
/// remembers.
async fn a_fence_is_dropped_only_into_the_floor(rig: Rig) {
    let rig = rig.without_retention();
    let mut clock = rig.reading("a").await;
    clock.read_at_ms += 3_600_000; // never too old: the floor alone may refuse it
    clock.read_at = Instant::now() + Duration::from_secs(3_600);
    rig.invalidate(&["ka"]).await;
    rig.wait_a_tick().await;
    // Of the same partition.
    rig.invalidate(&["ta"]).await;
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::BelowFloor));
}

async fn a_large_value_with_many_names_is_stored_whole(rig: Rig) {
    let names = many_names();
    let clock = rig.reading("a").await;
    assert_eq!(rig.try_fill_bytes("a", &names, &clock, &vec![b'x'; 300_000]).await, FillReply::Stored);
    assert!(rig.get("a").await.is_some_and(|value| value.len() == 300_000));
    for tag in ["t0000", "t0300", "t0999"] {
        rig.fill("D", &[tag]).await;
        assert_eq!(rig.invalidate(&[tag]).await, if tag == "t0000" { 2 } else { 1 });
    }
}

async fn many_names_are_checked_again_by_the_last_step(rig: Rig) {
    let names = many_names();
    let clock = rig.reading("a").await;
    rig.invalidate(&["t0001"]).await;
    assert_eq!(rig.try_fill_bytes("a", &names, &clock, b"x").await, FillReply::Refused(Refusal::Fenced));
    let clock = rig.reading("a").await;
    rig.invalidate(&["t0999"]).await;
    assert_eq!(rig.try_fill_bytes("a", &names, &clock, b"x").await, FillReply::Refused(Refusal::Fenced));
}

fn many_names() -> Vec<Name> {
    (0..1_000).map(|at| Name::tag(&format!("{at:04}")).unwrap()).collect()
}

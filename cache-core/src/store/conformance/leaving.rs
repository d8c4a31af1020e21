//! What is removed leaves the indexes of its names, and what that may cost one chunk.

use super::*;
use crate::config::{INVALIDATE_MEMBERS_PER_CHUNK, INVALIDATE_NAMES_PER_CHUNK};
use crate::store::Partitions;
use crate::store::conformance::rig::TTL;
use crate::store::rules::Rule;

on_every_store! {
    a_given_key_falls_with_the_first_of_its_chunks
    what_is_made_after_a_mark_was_followed_falls_too
    more_members_that_stay_than_a_chunk_visits_are_passed
    a_key_that_is_given_beside_its_tag_hides_no_other_member
    a_member_that_is_stored_again_between_two_chunks_hides_no_other
    a_chunk_may_end_behind_a_mark
    two_operations_in_one_circle_end
    a_circle_that_leads_elsewhere_is_there_until_that_was_visited
    what_is_removed_leaves_the_indexes_of_its_names
    what_an_entry_with_many_names_has_not_left_leads_to_nothing
    an_entry_that_is_stored_again_meanwhile_stays_in_its_indexes
    a_write_keeps_the_memberships_of_what_it_replaces
    more_names_than_a_chunk_looks_at_are_all_drained
}

on_one_partition! {
    a_chunk_counts_the_names_of_given_keys
    a_chunk_counts_the_names_of_what_it_visits
    what_falls_below_a_member_leaves_its_place_to_no_other
}

/// As many as an entry may have, and longer than most.
fn most_names() -> Vec<Name> {
    (0..4_000).map(|at| Name::tag(&format!("a tag of thirty bytes {at:07}")).unwrap()).collect()
}

impl Rig {
    async fn fill_with(&self, key: &str, names: &[Name]) {
        let clock = self.reading(key).await;
        assert_eq!(self.try_fill_bytes(key, names, &clock, key.as_bytes()).await, FillReply::Stored);
    }

    /// The first step of removing two entries with these names: there may be more to do.
    async fn leave_some_of(&self, names: &[Name], operation: &mut Operation<'_>) {
        for key in ["a", "b"] {
            self.fill_with(key, names).await;
        }
        assert_eq!(self.step(operation).await.removed, 2);
        assert!(self.get("a").await.is_none() && self.get("b").await.is_none());
    }
}

async fn what_is_removed_leaves_the_indexes_of_its_names(rig: Rig) {
    for invalidated in ["ka", "tT", "kb", "*", "write"] {
        rig.fill("a", &["tT", "tS", "kb"]).await;
        assert_eq!(rig.bookkeeping().await, 3);
        match invalidated {
            "*" => _ = rig.sweep("*", &[SweepScope::Values]).await,
            "write" => {
                let clock = rig.reading("a").await;
                rig.invalidate(&["tU"]).await;
                assert!(matches!(rig.write("a", &["tT", "tU"], &clock).await.fill, FillReply::Refused(_)));
            }
            name => assert_eq!(rig.invalidate(&[name]).await, 1),
        }
        assert_eq!(rig.bookkeeping().await, 0, "after {invalidated}");
    }
}

/// What is made from `d` stands before it in the index that is emptied, and falls in the midst of
/// that: those that come after `d` have other places then.
async fn what_falls_below_a_member_leaves_its_place_to_no_other(rig: Rig) {
    for at in 0..50 {
        rig.fill(&format!("a{at:02}"), &["tT", "kd"]).await;
    }
    rig.fill("d", &["tT"]).await;
    for at in 100..300 {
        rig.fill(&format!("p{at}"), &["tT"]).await;
    }
    assert_eq!(rig.invalidate(&["tT"]).await, 251);
    assert!(rig.get("p149").await.is_none());
}

/// A store leaves as many as one step may take. The others are reaped.
async fn what_an_entry_with_many_names_has_not_left_leads_to_nothing(rig: Rig) {
    let (names, given) = (most_names(), parse(&["ka", "kb"]));
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    rig.leave_some_of(&names, &mut operation).await;
    rig.finish(operation).await;
    assert_eq!(rig.operate(&names, Intent::Invalidate).await, 0);
    assert_eq!(rig.bookkeeping().await, 0);
}

/// ★ What is left to leave is of the entry that was removed.
async fn an_entry_that_is_stored_again_meanwhile_stays_in_its_indexes(rig: Rig) {
    let (names, given) = (most_names(), parse(&["ka", "kb"]));
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    rig.leave_some_of(&names, &mut operation).await;
    let (kept, dropped) = names.split_at(3_900);
    rig.fill_with("a", kept).await;
    rig.finish(operation).await;
    assert!(rig.get("a").await.is_some());
    for name in [&kept[0], &kept[2_000], &kept[3_899]] {
        assert_eq!(rig.invalidate(&[name.as_str()]).await, 1);
        rig.fill_with("a", kept).await;
    }
    assert_eq!(rig.invalidate(&[dropped[0].as_str()]).await, 0);
}

async fn a_write_keeps_the_memberships_of_what_it_replaces(rig: Rig) {
    rig.fill("a", &["tS", "tT"]).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write("a", &["tT", "tU"], &clock).await.fill, FillReply::Stored);
    assert_eq!(rig.bookkeeping().await, 2);
    assert_eq!(rig.invalidate(&["tS"]).await, 0);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

/// ★ `Ok` is returned when nothing is pending.
async fn more_names_than_a_chunk_looks_at_are_all_drained(rig: Rig) {
    let tags: Vec<String> = (0..200).map(|at| format!("tT:{at}")).collect();
    let clock = rig.reading("a").await;
    for (at, tag) in tags.iter().enumerate() {
        for member in 0..4 {
            assert_eq!(rig.try_fill(&format!("m:{at}:{member}"), &[tag], &clock).await, FillReply::Stored);
        }
    }
    let given: Vec<&str> = tags.iter().map(String::as_str).collect();
    assert_eq!(rig.invalidate(&given).await, 800);
    assert_eq!(rig.bookkeeping().await, 0);
}

/// Members weigh what is read and written for them.
async fn a_chunk_counts_the_names_of_what_it_visits(rig: Rig) {
    let names = [vec![Name::tag("T").unwrap()], most_names()].concat();
    let clock = rig.reading("a").await;
    for at in 0..30 {
        assert_eq!(rig.try_fill_bytes(&format!("m:{at}"), &names, &clock, b"m").await, FillReply::Stored);
    }
    let given = parse(&["tT"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    let first = rig.step(&mut operation).await;
    assert!(first.removed <= 8 && first.pending > 0, "{first:?}");
    assert_eq!(first.removed + rig.finish(operation).await, 30);
}

/// ★ Those that there is no budget for are removed by a later chunk.
async fn a_chunk_counts_the_names_of_given_keys(rig: Rig) {
    let names = most_names();
    let clock = rig.reading("a").await;
    let keys: Vec<String> = (0..20).map(|at| format!("km:{at}")).collect();
    for key in &keys {
        assert_eq!(rig.try_fill_bytes(&key[1..], &names, &clock, b"m").await, FillReply::Stored);
    }
    assert!(keys.len() <= INVALIDATE_NAMES_PER_CHUNK);
    let given = parse(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    let first = rig.step(&mut operation).await;
    assert!(first.removed <= 8 && first.pending > 0, "{first:?}");
    let late = rig.reading("D").await;
    assert_eq!(first.removed + rig.finish(operation).await, 20);
    assert_eq!(rig.try_fill("D", &["km:19"], &late).await, FillReply::Refused(Refusal::Fenced));
}

/// Keys with this prefix that are stored beside another one, or elsewhere, if there are four
/// partitions or sixteen.
fn keys(prefix: &str, beside: &str, is_beside: bool) -> impl Iterator<Item = String> {
    let homes = |key: &str| [4, 16].map(|count| Partitions::new(count).home_of_key(key));
    let beside = homes(beside);
    (0..).map(move |number| format!("{prefix}:{number}")).filter(move |key| match is_beside {
        true => homes(key) == beside,
        false => std::iter::zip(homes(key), beside).all(|(home, other)| home != other),
    })
}

/// ★ Whoever reads it between two chunks would make something of it whose place the next one has
/// passed already.
async fn a_given_key_falls_with_the_first_of_its_chunks(rig: Rig) {
    rig.fill("old", &[]).await;
    for member in keys("m", "old", true).take(INVALIDATE_MEMBERS_PER_CHUNK + 50) {
        rig.fill(&member, &["kold"]).await;
    }
    let given = parse(&["kold"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    assert!(rig.step(&mut operation).await.pending > 0);
    assert!(rig.get("old").await.is_none());
    rig.fill("old", &[]).await;
    rig.finish(operation).await;
    assert!(rig.get("old").await.is_some(), "it is newer than the invalidation");
    assert_eq!(rig.bookkeeping().await, 0);
}

/// Whether something stale is left. Members stay in both chunks: what depends on them is elsewhere.
async fn leaves_what_was_made_of_a_given_key_between_two_chunks(rig: Rig) -> bool {
    let mut elsewhere = keys("c", "old", false);
    let [b, z] = ["b", "z"].map(|prefix| keys(prefix, "old", true).next().expect("some key is stored there"));
    rig.fill("old", &[]).await;
    let members = keys("m", "old", true).take(INVALIDATE_MEMBERS_PER_CHUNK);
    for member in [b.clone()].into_iter().chain(members).chain([z.clone()]) {
        rig.fill(&member, &["kold"]).await;
    }
    for member in [&b, &z] {
        let key = elsewhere.next().expect("some key is stored elsewhere");
        rig.fill(&key, &[&format!("k{member}")]).await;
    }
    let given = parse(&["kold"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    rig.step(&mut operation).await;
    if rig.get("old").await.is_some() {
        rig.fill(&b, &["kold"]).await; // made from it
    }
    rig.finish(operation).await;
    rig.get(&b).await.is_some()
}

#[tokio::test]
async fn what_is_made_of_a_given_key_between_two_chunks_would_stay_if_it_fell_last() {
    for count in [4, 16] {
        assert!(!leaves_what_was_made_of_a_given_key_between_two_chunks(Rig::of_partitions(count)).await);
        let broken = Rig::breaking(Rule::GivenEntriesFallFirst, count);
        assert!(leaves_what_was_made_of_a_given_key_between_two_chunks(broken).await, "{count} partitions");
    }
}

/// ★ A partition that was visited is visited again if a load has registered for it meanwhile that
/// has read what was still there.
async fn what_is_made_after_a_mark_was_followed_falls_too(rig: Rig) {
    let b = keys("b", "a", true).next().expect("some key is stored there");
    let c = keys("c", "a", false).next().expect("some key is stored elsewhere");
    let of_b = format!("k{b}");
    rig.fill("a", &["tT"]).await;
    rig.fill(&b, &["ka"]).await;
    rig.fill(&c, &[&of_b]).await;
    for member in keys("m", "a", true).take(3 * INVALIDATE_MEMBERS_PER_CHUNK) {
        rig.fill(&member, &["ka"]).await;
    }
    let given = parse(&["tT"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    while rig.get(&c).await.is_some() {
        rig.step(&mut operation).await;
    }
    assert!(rig.get("a").await.is_some());
    rig.fill(&b, &["ka"]).await; // made from it, for it is still there
    rig.fill(&c, &[&of_b]).await;
    rig.finish(operation).await;
    assert!(rig.get("a").await.is_none() && rig.get(&b).await.is_none());
    assert!(rig.get(&c).await.is_none());
}

/// They stay for what depends on them elsewhere, and whoever comes from above meets them again.
async fn more_members_that_stay_than_a_chunk_visits_are_passed(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    let members = keys("m", "a", true).zip(keys("c", "a", false));
    for (member, elsewhere) in members.take(INVALIDATE_MEMBERS_PER_CHUNK + 50) {
        rig.fill(&member, &["ka"]).await;
        rig.fill(&elsewhere, &[&format!("k{member}")]).await;
    }
    let given = parse(&["tT"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    let mut removed = 0;
    for _ in 0..100 {
        if operation.is_done() {
            break;
        }
        removed += rig.step(&mut operation).await.removed;
    }
    assert!(operation.is_done(), "{} names are left", operation.left());
    assert_eq!(removed, 1 + 2 * (INVALIDATE_MEMBERS_PER_CHUNK as u64 + 50));
}

/// ★ It leaves the index of the tag while that is emptied, slice by slice.
async fn a_key_that_is_given_beside_its_tag_hides_no_other_member(rig: Rig) {
    rig.fill_many(150, &["tT"]).await;
    assert_eq!(rig.invalidate(&["km:0", "tT"]).await, 150);
    for at in 0..150 {
        assert!(rig.get(&format!("m:{at}")).await.is_none(), "m:{at}");
    }
}

/// ★ It stays for what depends on it elsewhere, and lives longer than before: so it has its place
/// behind members that no chunk has visited yet. What leads elsewhere is met behind it.
async fn a_member_that_is_stored_again_between_two_chunks_hides_no_other(rig: Rig) {
    let stays = keys("b", "a", true).next().expect("some key is stored there");
    let elsewhere = keys("c", "a", false).next().expect("some key is stored elsewhere");
    rig.fill_for(&stays, &["ka"], TTL / 2).await;
    rig.fill_for(&elsewhere, &[&format!("k{stays}"), "ka"], 4 * TTL).await;
    let members: Vec<_> = keys("m", "a", true).take(INVALIDATE_MEMBERS_PER_CHUNK + 50).collect();
    for member in &members {
        rig.fill(member, &["ka"]).await;
    }
    let given = parse(&["ka"]);
    let mut operation = rig.store.begin(&given, Intent::Invalidate);
    assert!(rig.step(&mut operation).await.pending > 0);
    rig.fill_for(&stays, &["ka"], 2 * TTL).await;
    rig.finish(operation).await;
    for member in &members {
        assert!(rig.get(member).await.is_none(), "{member}");
    }
    assert!(rig.get(&elsewhere).await.is_none());
}

/// ★ Whoever has members elsewhere is met before members that live longer.
async fn a_chunk_may_end_behind_a_mark(rig: Rig) {
    let elsewhere = keys("c", "a", false).next().expect("some key is stored elsewhere");
    rig.fill_for(&elsewhere, &["ka"], TTL / 2).await;
    for member in keys("m", "a", true).take(INVALIDATE_MEMBERS_PER_CHUNK + 50) {
        rig.fill(&member, &["ka"]).await;
    }
    assert_eq!(rig.invalidate(&["ka"]).await, INVALIDATE_MEMBERS_PER_CHUNK as u64 + 51);
}

/// Each fences what the other has fenced. They go step by step, so that neither is ever ahead.
async fn two_operations_in_one_circle_end(rig: Rig) {
    let other = keys("other", "a", false).next().expect("some key is stored elsewhere");
    rig.fill("a", &[&format!("k{other}")]).await;
    rig.fill(&other, &["ka"]).await;
    let given = parse(&["ka"]);
    let mut operations = [0, 1].map(|_| rig.store.begin(&given, Intent::Invalidate));
    for _ in 0..100 {
        for operation in operations.iter_mut().filter(|operation| !operation.is_done()) {
            rig.step(operation).await;
        }
    }
    assert!(operations.iter().all(Operation::is_done));
    assert!(rig.get("a").await.is_none() && rig.get(&other).await.is_none());
}

/// ★ The first operation has not come to the other partition yet, or never does.
async fn a_circle_that_leads_elsewhere_is_there_until_that_was_visited(rig: Rig) {
    let beside = keys("b", "a", true).next().expect("some key is stored there");
    let elsewhere = keys("y", "a", false).next().expect("some key is stored elsewhere");
    let (a, given) = ("ka", format!("k{beside}"));
    rig.fill("a", &[&given]).await;
    for key in [&beside, &elsewhere] {
        rig.fill(key, &[a]).await;
    }
    let names = parse(&[a]);
    let mut first = rig.store.begin(&names, Intent::Invalidate);
    rig.step(&mut first).await;
    rig.invalidate(&[&given]).await;
    assert!(rig.get(&elsewhere).await.is_none());
}

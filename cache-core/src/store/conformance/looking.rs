//! Looks that change nothing: a preview is what the invalidation then removes.

use std::collections::BTreeSet;

use super::*;
use crate::cache::Cache;
use crate::config::{EXPLAIN_DEPENDENTS_MAX, EXPLAIN_NAMES_MAX, INVALIDATE_NAMES_PER_CHUNK, LIST_KEYS_PER_PAGE};
use crate::error::ErrorKind;
use crate::freshness::TtlClasses;
use crate::invalidation::Invalidation;
use crate::paths::listing::{Listing, ListingCursor};
use crate::store::{ClosingId, KeyFacts, Look};

on_every_store! {
    a_preview_is_what_the_invalidation_then_removes
    a_preview_of_a_pattern_goes_through_every_page
    the_facts_tell_who_has_the_lease
    the_facts_tell_how_many_operations_have_closed_a_name
    a_listing_has_every_key_and_no_bookkeeping
    a_listing_has_the_tags_that_lead_to_something
    a_listing_goes_page_by_page_and_can_be_resumed
    a_listing_tells_of_no_entry_that_is_gone
    a_listing_from_a_place_that_is_not_there_ends
}

on_one_partition! {
    a_preview_has_what_a_dead_client_has_left
    a_preview_has_the_keys_that_a_chunk_has_left
    the_facts_are_bounded
    the_facts_are_what_is_known_of_a_key
    a_preview_goes_on_where_a_look_ended
}

const KEYS: [&str; 12] = ["a:0", "a:1", "a:2", "a:3", "a:4", "a:5", "b:0", "b:1", "b:2", "b:3", "b:4", "c"];
const TAGS: [&str; 4] = ["tR", "tS", "tT", "tU"];

impl Rig {
    fn cache(&self) -> Cache {
        let config = Config { operation_deadline: 10 * SECOND, ..Config::default() };
        Cache::new(Some(self.store.clone()), config, TtlClasses::default(), crate::runtime::tenants::Tenancy::Disabled)
    }

    async fn fill_living(&self, key: &str, names: &[&str], ttl: Duration) {
        let (names, clock) = (parse(names), self.store.read_clock(key, Recall::Nothing, far()).await.unwrap());
        let value = rig::stored(&names, key.as_bytes());
        let fill = Fill { key, value, names: &names, ttl, clock: &clock, token: Token::new(), learned: None };
        assert_eq!(self.store.fill(fill, far()).await.unwrap(), FillReply::Stored);
    }

    async fn stored_keys(&self) -> BTreeSet<String> {
        let mut stored = BTreeSet::new();
        for key in KEYS {
            if self.store.get(key, far()).await.unwrap().is_some() {
                stored.insert(key.to_owned());
            }
        }
        stored
    }
}

/// Entries that depend on each other in circles, expire, and come again with other names.
async fn grow(rig: &Rig, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(5..40) {
        let key = KEYS[random.usize(..KEYS.len())];
        let mut names = BTreeSet::new();
        for _ in 0..random.usize(..4) {
            names.insert(TAGS[random.usize(..TAGS.len())].to_owned());
            names.insert(format!("k{}", KEYS[random.usize(..KEYS.len())]));
        }
        names.remove(&format!("k{key}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match random.usize(..4) {
            0 => {
                rig.fill_living(key, &names, Duration::from_millis(1)).await;
                while rig.get(key).await.is_some() {
                    tokio::task::yield_now().await;
                }
            }
            1 => rig.store.discard(key, Token::new(), None, far()).await.unwrap(),
            _ => rig.fill_living(key, &names, 600 * SECOND).await,
        }
    }
}

fn any_invalidation(random: &mut fastrand::Rng) -> Invalidation {
    let mut invalidation = Invalidation::new();
    for _ in 0..random.usize(1..3) {
        invalidation = match random.usize(..8) {
            0..3 => invalidation.key(KEYS[random.usize(..KEYS.len())]),
            3..6 => invalidation.tag(&TAGS[random.usize(..TAGS.len())][1..]),
            6 => invalidation.pattern(["a:*", "b:[0-2]", "c"][random.usize(..3)]),
            _ if random.usize(..4) == 0 => Invalidation::everything(),
            _ => invalidation.key("missing"),
        };
    }
    invalidation
}

async fn a_preview_is_what_the_invalidation_then_removes(rig: Rig) {
    let (cache, mut fell) = (rig.cache(), 0);
    for _ in 0..20 {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        grow(&rig, &mut random).await;
        let of_this = random.fork();
        let (before, previewed) = (rig.stored_keys().await, any_invalidation(&mut of_this.clone()));
        let told = format!("seed {seed}: {previewed:?}");
        let preview = cache.preview(previewed).await.unwrap();
        assert_eq!(rig.stored_keys().await, before, "{told}: a preview touches nothing");
        let removed = cache.invalidate(any_invalidation(&mut of_this.clone())).await.unwrap().entries;
        let gone: BTreeSet<_> = before.difference(&rig.stored_keys().await).cloned().collect();
        let keys: Vec<_> = preview.entries.iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(keys, gone.into_iter().collect::<Vec<_>>(), "{told}");
        assert_eq!((removed, preview.stop), (keys.len() as u64, None), "{told}");
        fell += removed;
    }
    assert!(fell > 10, "only {fell} fell");
}

/// The next invalidation of the same goes on with it.
async fn a_preview_has_what_a_dead_client_has_left(rig: Rig) {
    rig.fill_many(INVALIDATE_MEMBERS_PER_CHUNK + 50, &["tT"]).await;
    assert!(rig.chunk(&["tT"]).await.pending > 0);
    let (cache, of_tag) = (rig.cache(), || Invalidation::new().tag("T"));
    let previewed = cache.preview(of_tag()).await.unwrap();
    assert_eq!((previewed.entries.len(), previewed.stop), (50, None));
    assert_eq!(cache.invalidate(of_tag()).await.unwrap().entries, 50);
}

async fn a_preview_has_the_keys_that_a_chunk_has_left(rig: Rig) {
    let tags: Vec<String> = (0..32).map(|number| format!("t{number:02}")).collect();
    rig.fill_many(INVALIDATE_NAMES_PER_CHUNK, &tags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let keys: Vec<String> = (0..INVALIDATE_NAMES_PER_CHUNK).map(|at| format!("km:{at}")).collect();
    let left = INVALIDATE_NAMES_PER_CHUNK as u64
        - rig.chunk(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await.removed;
    let again = || keys.iter().fold(Invalidation::new(), |all, key| all.key(&key[1..]));
    let (cache, of_keys) = (rig.cache(), again);
    let previewed = cache.preview(of_keys()).await.unwrap();
    assert_eq!((previewed.entries.len() as u64, previewed.stop), (left, None));
    assert!(left > 0 && cache.invalidate(of_keys()).await.unwrap().entries == left);
}

/// Several chunks of members, and among them one with more names than a chunk reads at once.
async fn a_preview_goes_on_where_a_look_ended(rig: Rig) {
    rig.fill_many(2 * INVALIDATE_MEMBERS_PER_CHUNK + 50, &["tS", "tT"]).await;
    let long: Vec<String> = (0..2_000).map(|number| format!("t{number:0200}")).chain(["tT".to_owned()]).collect();
    rig.fill("m:3", &long.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let members = parse(&["tT"]);
    let first = rig.store.look(Look::Members { names: &members, from: 0 }, far()).await.unwrap();
    assert!(first.next.is_some() && first.falling.len() <= INVALIDATE_MEMBERS_PER_CHUNK, "{first:?}");
    let (cache, tag) = (rig.cache(), || Invalidation::new().tag("T"));
    let previewed = cache.preview(tag()).await.unwrap();
    assert_eq!((previewed.entries.len(), previewed.stop), (2 * INVALIDATE_MEMBERS_PER_CHUNK + 50, None));
    assert_eq!(cache.invalidate(tag()).await.unwrap().entries, 2 * INVALIDATE_MEMBERS_PER_CHUNK as u64 + 50);
}

async fn a_preview_of_a_pattern_goes_through_every_page(rig: Rig) {
    rig.fill_many(1_000, &["tT"]).await;
    rig.fill("D", &["km:1"]).await;
    rig.fill("E", &["km:gone"]).await;
    rig.fill("other", &[]).await;
    for (invalidation, falls) in [(Invalidation::new().pattern("m:*"), 1_002), (Invalidation::everything(), 1_003)] {
        let told = format!("{invalidation:?}");
        let previewed = rig.cache().preview(invalidation).await.unwrap();
        assert_eq!((previewed.entries.len(), previewed.stop), (falls, None), "{told}");
    }
    assert_eq!(rig.sweep("m:*", &[SweepScope::Values, SweepScope::Dependents]).await, 1_002);
}

async fn facts(rig: &Rig, key: &str) -> KeyFacts {
    rig.store.facts(key, far()).await.unwrap()
}

async fn the_facts_are_what_is_known_of_a_key(rig: Rig) {
    let nothing = facts(&rig, "a").await;
    assert_eq!((nothing.head, nothing.entry_names, nothing.dependents, nothing.lease), (None, 0, 0, None));
    assert_eq!((nothing.names.len(), nothing.names[0].name.as_str(), nothing.learned), (1, "ka", None));
    rig.invalidate(&["tS"]).await;
    let (clock, learned) = (rig.reading("a").await, Bytes::from_static(b"learned"));
    let names = parse(&["tT", "tS", "kb"]);
    let filled = rig.fill_teaching("a", &names, &clock, Some((learned.clone(), 60 * SECOND))).await;
    assert_eq!(filled, FillReply::Stored);
    rig.fill("D", &["ka"]).await;
    rig.fill("E", &["ka"]).await;
    rig.lose_entry("E").await;
    let known = facts(&rig, "a").await;
    assert_eq!(known.head.unwrap()[..56], rig::stored(&names, b"")[..56]);
    assert!(known.kept_ms > 590_000 && known.kept_ms <= 600_000, "{}", known.kept_ms);
    let fences: Vec<_> = known.names.iter().map(|facts| (facts.name.as_str(), facts.fence)).collect();
    assert_eq!(fences, [("ka", None), ("kb", None), ("tS", Some(clock.seq)), ("tT", None)]);
    assert!(known.floor > 0 && known.floor < clock.seq, "{} {clock:?}", known.floor);
    assert!(known.now_ms.abs_diff(clock.read_at_ms) < 60_000, "{} {clock:?}", known.now_ms);
    assert_eq!((known.entry_names, known.dependents, known.learned), (3, 2, Some(learned)));
    assert_eq!(known.first_dependents, [("D".into(), true), ("E".into(), false)]);
    rig.lose_entry("a").await;
    let gone = facts(&rig, "a").await;
    assert_eq!((gone.head, gone.kept_ms, gone.names.len(), gone.dependents), (None, 0, 1, 2));
}

async fn the_facts_tell_who_has_the_lease(rig: Rig) {
    rig.reading("a").await;
    let lease = facts(&rig, "a").await.lease.unwrap();
    assert!(lease.remaining_ms > 0 && lease.remaining_ms <= 5_000 && lease.held_ms < 5_000, "{lease:?}");
    assert_eq!((lease.takeovers, lease.is_overtaken), (0, false));
    let if_held = IfHeld::TakeOver(Duration::ZERO);
    let asks = LeaseRequest::waiting(Token::new(), 5 * SECOND, IfPresent::Return, Recall::Nothing);
    let taken = rig.store.take_lease("a", LeaseRequest { if_held, ..asks }, far()).await.unwrap();
    assert!(matches!(taken, LeaseReply::Granted(_)));
    assert_eq!(facts(&rig, "a").await.lease.unwrap().takeovers, 1);
    rig.sweep("x*", &[SweepScope::Values]).await;
    assert!(facts(&rig, "a").await.lease.unwrap().is_overtaken, "by the floor");
    // Nobody takes the lease away of what falls with its tag.
    rig.fill("b", &["tT"]).await;
    rig.reading("b").await;
    rig.invalidate(&["tT"]).await;
    assert!(facts(&rig, "b").await.lease.unwrap().is_overtaken, "by a fence");
}

async fn the_facts_tell_how_many_operations_have_closed_a_name(rig: Rig) {
    let marks = async || facts(&rig, "a").await.names[0].marks;
    rig.close(&["ka", "kb"], ClosingId(1), 600 * SECOND).await;
    assert_eq!(marks().await, 1);
    rig.close(&["ka"], ClosingId(2), 600 * SECOND).await;
    assert_eq!(marks().await, 2);
    rig.open(&["ka"], ClosingId(1)).await;
    assert_eq!(marks().await, 1);
    // A mark that has ended closes nothing, although nobody has taken it away yet.
    rig.close(&["ka"], ClosingId(3), Duration::from_millis(1)).await;
    let ended = async {
        while marks().await != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(10 * SECOND, ended).await.unwrap();
}

async fn the_facts_are_bounded(rig: Rig) {
    let names: Vec<String> = (0..600).map(|number| format!("t{number:03}")).collect();
    rig.fill("a", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for at in 0..EXPLAIN_DEPENDENTS_MAX + 5 {
        rig.fill(&format!("D:{at}"), &["ka"]).await;
    }
    let known = facts(&rig, "a").await;
    assert_eq!((known.names.len(), known.entry_names), (1 + EXPLAIN_NAMES_MAX, 600));
    assert_eq!((known.first_dependents.len(), known.dependents), (EXPLAIN_DEPENDENTS_MAX, 55));
}

async fn all_of(mut listing: Listing) -> Vec<String> {
    let mut names = BTreeSet::new();
    while let Some(page) = listing.next_page().await.unwrap() {
        assert!(page.is_sorted_by(|one, next| one < next), "{page:?}");
        names.extend(page);
    }
    assert_eq!((listing.cursor(), listing.next_page().await.unwrap()), (None, None));
    names.into_iter().collect()
}

async fn a_listing_has_every_key_and_no_bookkeeping(rig: Rig) {
    rig.fill("flight:1", &["tT", "kb"]).await;
    rig.fill("flight:2", &["kflight:1"]).await;
    rig.fill("board", &[]).await;
    rig.reading("leased").await;
    rig.invalidate(&["kgone"]).await;
    let cache = rig.cache();
    assert_eq!(all_of(cache.keys("*")).await, ["board", "flight:1", "flight:2"]);
    assert_eq!(all_of(cache.keys("flight:*")).await, ["flight:1", "flight:2"]);
    assert_eq!(all_of(cache.keys("flight:[2-9]")).await, ["flight:2"]);
    assert_eq!(all_of(cache.keys("T")).await, [""; 0]);
    for bad in ["", "~index:*", "a\nb"] {
        assert_eq!(cache.keys(bad).next_page().await.unwrap_err().kind(), ErrorKind::Config, "{bad:?}");
    }
}

async fn a_listing_has_the_tags_that_lead_to_something(rig: Rig) {
    rig.fill("a", &["tx:1", "tx:2", "kb"]).await;
    rig.fill("b", &["tx:2", "ty"]).await;
    let cache = rig.cache();
    assert_eq!(all_of(cache.tags("*")).await, ["x:1", "x:2", "y"]);
    assert_eq!(all_of(cache.tags("x:*")).await, ["x:1", "x:2"]);
    rig.invalidate(&["tx:1"]).await;
    assert_eq!(all_of(cache.tags("*")).await, ["x:2", "y"]);
}

async fn a_listing_goes_page_by_page_and_can_be_resumed(rig: Rig) {
    rig.fill_many(2 * LIST_KEYS_PER_PAGE + 50, &["tT"]).await;
    let cache = rig.cache();
    let (mut seen, mut pages, mut listing) = (BTreeSet::new(), 0, cache.keys("m:*"));
    while let Some(page) = listing.next_page().await.unwrap() {
        // What a server returns beside the count that was asked for is the rest of a bucket.
        assert!(page.len() <= LIST_KEYS_PER_PAGE + 100, "{}", page.len());
        seen.extend(page);
        pages += 1;
        let Some(cursor) = listing.cursor() else { break };
        listing = cache.keys("m:*").resume_at(cursor.to_string().parse::<ListingCursor>().unwrap());
    }
    assert_eq!(seen, (0..2 * LIST_KEYS_PER_PAGE + 50).map(|at| format!("m:{at}")).collect());
    assert!(pages >= 3, "{pages}");
}

async fn a_listing_tells_of_no_entry_that_is_gone(rig: Rig) {
    rig.fill_living("a", &["tT"], Duration::from_millis(1)).await;
    rig.fill("b", &["tT"]).await;
    while rig.get("a").await.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(all_of(rig.cache().keys("*")).await, ["b"]);
}

/// A cursor may come from whoever asks for a page.
async fn a_listing_from_a_place_that_is_not_there_ends(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    let cursor: ListingCursor = u64::MAX.to_string().parse().unwrap();
    for listing in [rig.cache().keys("*"), rig.cache().tags("*")] {
        all_of(listing.resume_at(cursor)).await;
    }
}

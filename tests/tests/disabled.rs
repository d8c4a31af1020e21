//! Calls of a disabled cache beside calls of another one: neither disturbs the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{Cache, CallResult, cached, observe};
use serde::{Deserialize, Serialize, Serializer};

struct Two {
    on: Cache,
    off: Cache,
}

#[cached(ttl = "1h", skip(two), cache = two.off)]
async fn uncached(two: &Two, id: u64) -> u64 {
    let _ = two;
    id
}

#[cached(ttl = "1h", skip(two), cache = two.on)]
async fn made_of_uncached(two: &Two, id: u64) -> u64 {
    uncached(two, id).await
}

#[cached(ttl = "1h", skip(two), cache = two.on)]
async fn part(two: &Two, id: u64) -> u64 {
    let _ = two;
    id
}

#[cached(ttl = "1h", skip(two), cache = two.off)]
async fn made_of_part(two: &Two, id: u64) -> u64 {
    part(two, id).await
}

fn two() -> Two {
    Two { on: Cache::in_memory(), off: Cache::disabled() }
}

/// What the disabled cache has read may change, and no invalidation would reach what was made of
/// it.
#[tokio::test]
async fn a_value_that_a_call_of_a_disabled_cache_went_into_is_not_stored() {
    let two = two();
    for _ in 0..2 {
        assert_eq!(made_of_uncached(&two, 1).await, 1);
    }
    let stats = two.on.stats();
    assert_eq!((stats.total().loads, stats.total().unstored, two.off.stats().total().loads), (2, 2, 2));
}

#[tokio::test]
async fn a_refresh_in_a_disabled_cache_does_not_load_what_another_one_holds() {
    let two = two();
    part(&two, 1).await;
    assert_eq!(made_of_part::refresh(&two, 1).await, 1);
    assert_eq!((two.on.stats().total().hits, two.on.stats().total().loads), (1, 1));
}

/// The body is no load to which the calls inside would belong.
#[tokio::test]
async fn a_call_inside_is_served_what_its_own_cache_holds() {
    let two = two();
    for _ in 0..3 {
        assert_eq!(made_of_part(&two, 1).await, 1);
    }
    assert_eq!((two.on.stats().total().hits, two.on.stats().total().loads), (2, 1));
    assert_eq!((two.off.stats().total().loads, two.off.stats().total().bypasses), (3, 0));
}

/// Counts how often it becomes a part of a key or of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct Counted(u64);

static SPELLED: AtomicU64 = AtomicU64::new(0);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SPELLED.fetch_add(1, Ordering::Relaxed);
        self.0.serialize(serializer)
    }
}

#[cached(ttl = "1h", skip(cache), cache = cache, each = ids, tags = ["counted:{ids.0}"])]
async fn counted(cache: &Cache, ids: &[Counted]) -> Result<HashMap<Counted, Counted>, String> {
    let found = ids.iter().map(|id| (id.clone(), Counted(ids.len() as u64)));
    if ids.contains(&Counted(0)) { Err("no such id".to_owned()) } else { Ok(found.collect()) }
}

#[tokio::test]
async fn many_ids_of_a_disabled_cache_are_loaded_once_and_nothing_is_encoded() {
    let (cache, ids) = (Cache::disabled(), [3, 1, 3].map(Counted));
    let (loaded, log) = observe(counted(&cache, &ids)).await;
    assert_eq!(loaded.unwrap(), [3, 1].map(|id| (Counted(id), Counted(2))).into());
    counted(&cache, &[Counted(0)]).await.unwrap_err();
    assert_eq!(counted(&cache, &[]).await.unwrap(), HashMap::new());
    assert_eq!(SPELLED.load(Ordering::Relaxed), 0);
    assert_eq!(log.calls().len(), 2);
    assert!(log.calls().iter().all(|call| call.result == CallResult::Bypass && call.load_time.is_some()), "{log:?}");
    let stats = cache.stats();
    let counted: Vec<_> = stats.total().counters().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("failed_loads", 1), ("loads", 2)]);
    assert_eq!(stats.total().unstored_by_reason().count(), 0);
}

#[cached(ttl = "1h", skip(cache), cache = cache, each = ids)]
async fn many(cache: &Cache, ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

/// What is read there may change, and no invalidation would reach what was made of it.
#[tokio::test]
async fn many_ids_of_a_disabled_cache_taint_the_load_around_them() {
    let (on, off) = (Cache::in_memory(), Cache::disabled());
    for _ in 0..2 {
        let load = async || many(&off, &[1]).await;
        assert_eq!(on.get_or_load("around", load).await.unwrap().len(), 1);
    }
    assert_eq!((on.stats().total().loads, on.stats().total().fills), (2, 0));
}

#[tokio::test]
async fn loads_of_a_disabled_cache_are_told_by_outcome_although_they_are_not_timed() {
    let cache = Cache::disabled();
    many(&cache, &[1]).await.unwrap();
    let _ = cache.get_or_load("key", async || Err::<u64, _>("none")).await;
    let two = Two { on: Cache::in_memory(), off: cache.clone() };
    uncached(&two, 1).await;
    let text = cache.stats().to_prometheus();
    let told = |outcome: &str| {
        let is_it = |line: &&str| line.starts_with("cache_loads_total{") && line.contains(outcome);
        let counts = text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum::<u64>()
    };
    assert_eq!((told("\"ok\""), told("\"failed\""), told("\"cancelled\"")), (2, 1, 0), "{text}");
}

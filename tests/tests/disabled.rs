//! Calls of a disabled cache beside calls of another one: neither disturbs the other.

use cache_core::{Cache, cached};

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

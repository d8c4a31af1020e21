//! Values that are served because a load failed: to whom, for how long, and what is made from them.

use super::freshness::{MINUTE, age, aged, call, gated, swr, value};
use super::*;
use crate::key::Policy;

const CALLERS: u64 = 100;
const LOAD: Duration = Duration::from_millis(10);

fn sie() -> Policy {
    Policy::new("k").ttl(MINUTE).stale_if_error(MINUTE)
}

/// A call whose load fails after a while.
fn failing(cache: &Cache) -> JoinHandle<Result<u32, &'static str>> {
    failing_after(cache, tokio::time::sleep(LOAD))
}

/// A call whose load fails once the gate is open.
fn failing_at(cache: &Cache, gate: &Gate) -> JoinHandle<Result<u32, &'static str>> {
    let gate = gate.clone();
    failing_after(cache, async move { gate.pass().await })
}

fn failing_after(
    cache: &Cache,
    wait: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<Result<u32, &'static str>> {
    let cache = cache.clone();
    let body = move || async move {
        wait.await;
        Err("down")
    };
    tokio::spawn(async move { call(&cache, tagged("k", &[]), sie(), body).await })
}

#[tokio::test(start_paused = true)]
async fn if_the_load_fails_the_value_before_it_is_served_for_its_window() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    assert_eq!(call(&cache, tagged("k", &[]), sie(), || async { Err("down") }).await, Ok(1));
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.hits, stats.misses, stats.stale_hits, stats.hidden_failures), (0, 2, 1, 1));
    assert_eq!(
        call(&cache, tagged("k", &[]), swr(), || async { Ok(2) }).await,
        Ok(1),
        "the stale value is still there"
    );
    age(&store, "k", MINUTE).await;
    assert_eq!(call(&cache, tagged("k", &[]), sie(), || async { Err("down") }).await, Err("down"));
    assert_eq!(value(&cache, sie(), 3).await, 3, "a load that succeeds is what callers get");
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_value_never_stands_in_for_a_failed_load() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    let gate = Gate::default();
    let early = failing_at(&cache, &gate);
    gate.reached().await;
    cache.invalidate_key("k").await.unwrap();
    assert_eq!(call(&cache, tagged("k", &[]), sie(), || async { Err("down") }).await, Err("down"));
    gate.open();
    assert_eq!(early.await.unwrap(), Ok(1), "it began before the invalidation");
    assert_eq!(call(&cache, tagged("k", &[]), sie(), || async { Err("down") }).await, Err("down"));
}

/// A follower that joins the flight of a failing load after an invalidation must not get what its
/// leader falls back to, nor what those who came before fall back to.
#[tokio::test(start_paused = true)]
async fn followers_never_share_a_value_that_stands_in() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    let gate = Gate::default();
    let leader = failing_at(&cache, &gate);
    gate.reached().await;
    let before = failing(&cache);
    idle().await;
    // Another process: this one's flights are not closed by it.
    on(&store).invalidate_key("k").await.unwrap();
    let after = failing(&cache);
    idle().await;
    gate.open();
    assert_eq!(leader.await.unwrap(), Ok(1));
    assert_eq!(before.await.unwrap(), Ok(1), "it has read the value itself, before the invalidation");
    assert_eq!(after.await.unwrap(), Err("down"));
    assert_eq!(cache.stats().prefix("k").loads, 3, "the first, the leader's, and that of the call without a value");
}

/// All have read the value, and one load has failed.
#[tokio::test(start_paused = true)]
async fn after_a_load_that_failed_nobody_waits_for_a_turn_to_fail() {
    for processes in [1, 2] {
        let (cache, store) = rig();
        aged(&store, &cache, sie()).await;
        let caches: Vec<Cache> = (0..processes).map(|_| on(&store)).collect();
        let begun = tokio::time::Instant::now();
        let mut calls = Vec::new();
        for _ in 0..CALLERS {
            calls.extend(caches.iter().map(failing));
        }
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(1));
        }
        let waited = begun.elapsed();
        assert!(waited <= (LOAD + Duration::from_millis(1)) * processes, "{waited:?} for {processes} processes");
        for cache in caches {
            let stats = cache.stats().prefix("k");
            assert_eq!((stats.loads, stats.hidden_failures), (1, 1), "one for each process");
            assert_eq!((stats.misses, stats.stale_hits, stats.hits), (CALLERS, CALLERS, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_window_a_value_stands_in_for_no_follower() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    age(&store, "k", MINUTE).await;
    let calls = [failing(&cache), failing(&cache), failing(&cache)];
    for call in calls {
        assert_eq!(call.await.unwrap(), Err("down"));
    }
    assert_eq!(cache.stats().prefix("k").stale_hits, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_from_a_value_that_stands_in_is_not_stored() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    for round in 1..=2 {
        let inner = cache.clone();
        let body = async move { call(&inner, tagged("k", &[]), sie(), || async { Err("down") }).await.unwrap() };
        assert_eq!(load(&cache, "outer", body).await, 1);
        assert_eq!(cache.stats().prefix("outer").loads, round);
    }
    let (gate, inner) = (Gate::default(), cache.clone());
    let leader = failing_at(&cache, &gate);
    gate.reached().await;
    let body = async move { call(&inner, tagged("k", &[]), sie(), || async { Err("down") }).await.unwrap() };
    let follower = spawn(&cache, "outer", body);
    idle().await;
    gate.open();
    assert_eq!((leader.await.unwrap(), follower.await.unwrap()), (Ok(1), 1));
    assert_eq!(cache.stats().prefix("k").loads, 4, "the follower's did not run");
    assert_eq!(cache.stats().prefix("outer").unstored, 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_stale_value_takes_what_another_process_loads_meanwhile() {
    let (here, store) = rig();
    let there = on(&store);
    aged(&store, &here, sie()).await;
    let gate = Gate::default();
    let (cache, held) = (here.clone(), gate.clone());
    let first = tokio::spawn(async move { gated(&cache, sie(), &held, 2).await });
    gate.reached().await;
    let second = tokio::spawn({
        let there = there.clone();
        async move { value(&there, sie(), 3).await }
    });
    idle().await;
    gate.open();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (2, 2));
    assert_eq!(there.stats().total().loads, 0);
}

#[tokio::test(start_paused = true)]
async fn a_value_does_not_stand_in_for_a_load_that_failed_after_its_window() {
    let (cache, _store) = rig();
    let failing = |after| failing_after(&cache, tokio::time::sleep(after));
    assert_eq!(value(&cache, sie(), 1).await, 1);
    tokio::time::advance(MINUTE).await;
    assert_eq!(failing(MINUTE / 2).await.unwrap(), Ok(1));
    assert_eq!(failing(MINUTE / 2).await.unwrap(), Err("down"));
}

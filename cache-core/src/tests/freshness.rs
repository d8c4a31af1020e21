//! Values past their TTL, or near its end: who is served what, who loads, and what is stored.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::entry::{self, Entry, Header};
use crate::key::Policy;
use crate::private::{Call, Load, Step, coding};
use crate::store::Store;

mod adaptive;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn swr() -> Policy {
    Policy::new("k").ttl(MINUTE).stale_while_revalidate(MINUTE)
}

/// What generated code does with a policy that refreshes in the background.
pub(super) async fn call<F>(
    cache: &Cache,
    key: Key<u32>,
    policy: Policy,
    body: impl FnOnce() -> F + Send + 'static,
) -> Result<u32, &'static str>
where
    F: Future<Output = Result<u32, &'static str>> + Send,
{
    let load = match Call::new(Some(cache), key, policy, coding()).in_background().lookup().await {
        Step::Return(value) => return Ok(value),
        Step::ReturnAndRefresh(value, refresh) => {
            refresh.spawn_once(|load| async move { run(load, body).await.is_ok() });
            return Ok(value);
        }
        Step::Load(load) => load,
    };
    run(load, body).await
}

pub(super) async fn run<F: Future<Output = Result<u32, &'static str>>>(
    mut load: Load<u32>,
    body: impl FnOnce() -> F,
) -> Result<u32, &'static str> {
    match load.run(body()).await {
        Ok(value) => {
            load.fill(Some(&value), Default::default()).await;
            Ok(value)
        }
        Err(error) => load.failed(error).ok_or(error),
    }
}

pub(super) async fn value(cache: &Cache, policy: Policy, value: u32) -> u32 {
    call(cache, tagged("k", &[]), policy, move || async move { Ok(value) }).await.unwrap()
}

/// A load that waits at the gate.
pub(super) async fn gated(cache: &Cache, policy: Policy, gate: &Gate, value: u32) -> u32 {
    let gate = gate.clone();
    call(cache, tagged("k", &[]), policy, move || async move { Ok(gate.body(value).await) }).await.unwrap()
}

/// Moves the end of its TTL into the past.
pub(super) async fn age(store: &Faulty, key: &str, by: Duration) {
    let stored = Entry::decode(store.bytes(key).await.unwrap()).unwrap();
    let soft_expires_at_ms = store.wall_ms() - by.as_millis() as u64;
    let header = Header { soft_expires_at_ms, ..*stored.header() };
    let aged = entry::encode(&header, &stored.names().unwrap(), &stored.payload()).unwrap();
    store.forge(key, aged).await;
}

pub(super) async fn aged(store: &Faulty, cache: &Cache, policy: Policy) {
    assert_eq!(value(cache, policy, 1).await, 1);
    age(store, "k", Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_at_once_and_refreshed_once() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    let gate = Gate::default();
    assert_eq!(gated(&cache, swr(), &gate, 2).await, 1);
    gate.reached().await;
    for _ in 0..10 {
        assert_eq!(value(&cache, swr(), 3).await, 1, "one refresh at a time");
    }
    gate.open();
    idle().await;
    assert_eq!(value(&cache, swr(), 4).await, 2);
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.hits, stats.misses, stats.stale_hits), (12, 1, 11));
    assert_eq!((stats.loads, stats.refreshes, stats.fills), (2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_process_leaves_to_another_what_that_one_refreshes_or_has_refreshed() {
    let (here, store) = rig();
    let there = on(&store);
    aged(&store, &here, swr()).await;
    let gate = Gate::default();
    gated(&here, swr(), &gate, 2).await;
    gate.reached().await;
    assert_eq!(value(&there, swr(), 3).await, 1);
    idle().await;
    assert_eq!(there.stats().total().loads, 0, "the lease is held");
    // This one has read the stale value; before it asks for the lease, the other's refresh ends.
    let late = store.hold(Op::TakeLease);
    assert_eq!(value(&there, swr(), 3).await, 1);
    late.reached().await;
    gate.open();
    idle().await;
    late.open();
    idle().await;
    assert_eq!(there.stats().total().loads, 0, "a newer value is stored");
    assert_eq!(value(&there, swr(), 3).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_an_invalidation_overtook_stores_nothing() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    let gate = Gate::default();
    gated(&cache, swr(), &gate, 2).await;
    gate.reached().await;
    cache.invalidate_key("k").await.unwrap();
    assert_eq!(value(&cache, swr(), 3).await, 3, "neither the stale value nor the refresh's");
    gate.open();
    idle().await;
    assert_eq!(value(&cache, swr(), 4).await, 3);
    assert_eq!(cache.stats().total().refused_fills, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_refresh_is_counted_disturbs_nobody_and_is_not_repeated_at_once() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    for _ in 0..5 {
        assert_eq!(call(&cache, tagged("k", &[]), swr(), || async { Err("down") }).await, Ok(1));
        idle().await;
    }
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.hidden_failures, stats.loads), (1, 2));
    tokio::time::sleep(crate::config::REFRESH_RETRY_PAUSE).await;
    idle().await;
    assert_eq!(value(&cache, swr(), 2).await, 1);
    idle().await;
    assert_eq!(value(&cache, swr(), 3).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_is_one_that_failed() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    for _ in 0..5 {
        assert_eq!(call(&cache, tagged("k", &[]), swr(), || async { panic!("in a refresh") }).await, Ok(1));
        idle().await;
    }
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.hidden_failures, stats.refreshes), (1, 1), "counted, and not repeated at once");
    assert_eq!(store.calls(Op::ReleaseLease), 1, "another process may try");
    tokio::time::sleep(crate::config::REFRESH_RETRY_PAUSE).await;
    idle().await;
    assert_eq!(value(&cache, swr(), 2).await, 1);
    idle().await;
    assert_eq!(value(&cache, swr(), 3).await, 2);
}

/// It holds the only place there is, and the lease.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_hangs_is_ended() {
    let store = Faulty::new();
    let cache = with(&store, |config| config.refreshes_max = 1);
    aged(&store, &cache, swr()).await;
    let gate = Gate::default();
    assert_eq!(gated(&cache, swr(), &gate, 2).await, 1);
    gate.reached().await;
    tokio::time::sleep(crate::config::FENCE_RETENTION - Duration::from_secs(1)).await;
    age(&store, "k", Duration::from_secs(1)).await;
    assert_eq!(value(&cache, swr(), 3).await, 1);
    idle().await;
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.refreshes, stats.hidden_failures), (1, 0), "a slow one goes on");
    tokio::time::sleep(Duration::from_secs(2)).await;
    age(&store, "k", Duration::from_secs(1)).await;
    assert_eq!(value(&cache, swr(), 3).await, 1);
    idle().await;
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.refreshes, stats.hidden_failures), (2, 1));
    assert_eq!(value(&cache, swr(), 4).await, 3);
}

/// Whatever it needs of the store and does not get, callers are served what they were served
/// before, and the next call tries again.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_the_store_fails_harms_nobody() {
    for op in [Op::TakeLease, Op::Fill] {
        for hangs in [false, true] {
            let (cache, store) = rig();
            aged(&store, &cache, swr()).await;
            if hangs {
                store.hang(op)
            } else {
                store.fail(op)
            }
            assert_eq!(value(&cache, swr(), 2).await, 1);
            idle().await;
            tokio::time::sleep(2 * DEADLINE).await;
            let stats = cache.stats().prefix("k");
            assert_eq!((stats.refreshes, stats.errors), (u64::from(op == Op::Fill), 1), "{op:?}");
            assert_eq!(stored_value(&store).await, 1);
            store.heal(op);
            assert_eq!(value(&cache, swr(), 3).await, 1);
            idle().await;
            assert_eq!(value(&cache, swr(), 4).await, 3, "{op:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_bounded() {
    let store = Faulty::new();
    let cache = with(&store, |config| config.refreshes_max = 1);
    for key in ["a", "b"] {
        call(&cache, tagged(key, &[]), swr(), || async { Ok(1) }).await.unwrap();
        age(&store, key, Duration::from_secs(1)).await;
    }
    let gate = Gate::default();
    let held = gate.clone();
    call(&cache, tagged("a", &[]), swr(), move || async move { Ok(held.body(2).await) }).await.unwrap();
    gate.reached().await;
    assert_eq!(call(&cache, tagged("b", &[]), swr(), || async { Ok(2) }).await, Ok(1));
    idle().await;
    assert_eq!(cache.stats().total().refreshes, 1, "no room");
    gate.open();
    idle().await;
    assert_eq!(call(&cache, tagged("b", &[]), swr(), || async { Ok(2) }).await, Ok(1));
    idle().await;
    assert_eq!(cache.stats().total().refreshes, 2);
}

#[tokio::test(start_paused = true)]
async fn with_the_last_handle_refreshes_end_and_give_their_lease_back() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    let gate = Gate::default();
    gated(&cache, swr(), &gate, 2).await;
    gate.reached().await;
    let second = cache.clone();
    drop(cache);
    idle().await;
    assert_eq!(store.calls(Op::ReleaseLease), 0, "a handle is left");
    drop(second);
    idle().await;
    assert_eq!(store.calls(Op::ReleaseLease), 1);
    gate.open();
    idle().await;
    assert_eq!(stored_value(&store).await, 1, "nothing was stored");
}

#[tokio::test(start_paused = true)]
async fn refreshes_can_be_ended_while_handles_are_left() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    let gate = Gate::default();
    gated(&cache, swr(), &gate, 2).await;
    gate.reached().await;
    cache.clone().end_refreshes();
    idle().await;
    assert_eq!(store.calls(Op::ReleaseLease), 1);
    gate.open();
    assert_eq!(value(&cache, swr(), 3).await, 1, "served, and not refreshed");
    idle().await;
    assert_eq!((stored_value(&store).await, cache.stats().total().refreshes), (1, 1));
}

/// Its call outlives the last handle: what is due then is left, also if it was due before.
#[tokio::test(start_paused = true)]
async fn after_the_last_handle_no_refresh_begins() {
    for due_before in [false, true] {
        let (cache, store) = rig();
        aged(&store, &cache, swr()).await;
        let looks = store.hold(Op::Get);
        let call = tokio::spawn(Call::new(Some(&cache), tagged("k", &[]), swr(), coding()).in_background().lookup());
        looks.reached().await;
        let mut handle = Some(cache);
        handle.take_if(|_| !due_before);
        looks.open();
        match call.await.unwrap() {
            Step::ReturnAndRefresh(1, refresh) if due_before => {
                drop(handle.take());
                refresh.spawn(|load| async move { run(load, || async { Ok(2) }).await.is_ok() });
            }
            Step::Return(1) if !due_before => {}
            _ => panic!("due before: {due_before}"),
        }
        idle().await;
        assert_eq!(store.calls(Op::TakeLease), 1, "the first load's");
    }
}

async fn stored_value(store: &Faulty) -> u32 {
    crate::entry::codec::decode(&Entry::decode(store.bytes("k").await.unwrap()).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn inside_a_load_a_stale_value_is_loaded() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    let outer = {
        let cache = cache.clone();
        load(&cache.clone(), "outer", async move { value(&cache, swr(), 2).await }).await
    };
    assert_eq!(outer, 2);
    assert_eq!(cache.stats().prefix("k").stale_hits, 0);
    assert_eq!(get(&cache, "outer", 9).await, 2, "made of fresh values, it is stored");
}

#[tokio::test(start_paused = true)]
async fn after_its_window_a_stale_value_is_a_miss() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    age(&store, "k", MINUTE).await;
    assert_eq!(value(&cache, swr(), 2).await, 2);
    assert_eq!(cache.stats().prefix("k").stale_hits, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_that_cannot_refresh_in_the_background_load() {
    let (cache, store) = rig();
    aged(&store, &cache, swr()).await;
    assert_eq!(get(&cache, "k", 2).await, 2);
    aged_again(&store).await;
    let store_less = with(&store, |config| config.refreshes_max = 0);
    assert_eq!(value(&store_less, swr(), 3).await, 3);
}

async fn aged_again(store: &Faulty) {
    age(store, "k", Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_is_refreshed_before_its_ttl_ends_and_the_caller_does_not_wait() {
    static LOADS: AtomicU32 = AtomicU32::new(0);
    let (cache, _store) = rig();
    let policy = || Policy::new("k").ttl(MINUTE).early_refresh(1e9);
    let body = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(LOADS.fetch_add(1, Ordering::Relaxed))
    };
    assert_eq!(call(&cache, tagged("k", &[]), policy(), body).await, Ok(0));
    assert_eq!(call(&cache, tagged("k", &[]), policy(), body).await, Ok(0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stored(&cache, "k").await, Some(1));
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.hits, stats.stale_hits, stats.refreshes), (1, 0, 1));
}

/// Not the time of the host, which a paused test does not move.
#[tokio::test(start_paused = true)]
async fn stale_windows_of_an_embedded_cache_follow_a_paused_clock() {
    let (cache, _store) = rig();
    let instant = Duration::from_millis(1);
    tokio::time::advance(60 * MINUTE).await;
    assert_eq!(value(&cache, swr(), 1).await, 1);
    tokio::time::advance(MINUTE - instant).await;
    assert_eq!(value(&cache, swr(), 2).await, 1);
    idle().await;
    assert_eq!(cache.stats().total().refreshes, 0, "its TTL is not over");
    tokio::time::advance(instant).await;
    assert_eq!(value(&cache, swr(), 2).await, 1);
    idle().await;
    assert_eq!(value(&cache, swr(), 3).await, 2, "refreshed");
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(value(&cache, swr(), 3).await, 3, "the window is over");
}

#[tokio::test(start_paused = true)]
async fn none_has_no_stale_windows() {
    let (cache, store) = rig();
    let policy = swr().negative_ttl(Duration::from_secs(5));
    let key = || TextKey::literal("k").unwrap().typed::<Option<u32>>();
    let Step::Load(load) = Call::new(Some(&cache), key(), policy.clone(), coding()).lookup().await else {
        panic!("a hit")
    };
    load.fill(Some(&None), Default::default()).await;
    assert_eq!(store.last_ttl(), Some(Duration::from_secs(5)));
    cache.invalidate_key("k").await.unwrap();
    let Step::Load(load) = Call::new(Some(&cache), key(), policy, coding()).lookup().await else { panic!("a hit") };
    load.fill(Some(&Some(1)), Default::default()).await;
    assert_eq!(store.last_ttl(), Some(2 * MINUTE));
}

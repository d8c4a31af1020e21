//! `adaptive_ttl`: who learns what, and that it costs no round trip.

use super::*;
use crate::key::{Captured, Recipe};
use crate::name::Names;
use crate::private::{Around, Known, Target, coding, write_through};

const INITIAL: Duration = Duration::from_millis(3_162);

/// What is known of a new key: the square root of the lower bound times the middle of the bounds.
fn adaptive() -> Policy {
    Policy::new("k").adaptive_ttl(1_000, 100_000)
}

/// Loads `value` once the entry has expired, and says for how long it is stored.
async fn expire_and_load(cache: &Cache, store: &Faulty, loaded: u32) -> Duration {
    tokio::time::sleep(store.last_ttl().unwrap_or_default()).await;
    assert_eq!(value(cache, adaptive(), loaded).await, loaded, "expired");
    store.last_ttl().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_ttl_grows_while_the_value_stays_and_shrinks_when_it_changes() {
    let (here, store) = rig();
    assert_eq!(expire_and_load(&here, &store, 1).await, INITIAL);
    let longer = expire_and_load(&here, &store, 1).await;
    assert!(longer > INITIAL, "{longer:?}");
    let there = on(&store);
    let longest = expire_and_load(&there, &store, 1).await;
    assert!(longest > longer, "{longest:?}: what one process learns all know");
    let shorter = expire_and_load(&there, &store, 2).await;
    assert!(shorter < longest, "{shorter:?}");
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_value_counts_as_changed() {
    let (cache, store) = rig();
    assert_eq!(expire_and_load(&cache, &store, 1).await, INITIAL);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cache.invalidate_key("k").await.unwrap();
    assert_eq!(value(&cache, adaptive(), 1).await, 1);
    assert!(store.last_ttl().unwrap() < INITIAL);
}

#[tokio::test(start_paused = true)]
async fn a_refused_fill_teaches_nothing() {
    let (cache, store) = rig();
    assert_eq!(expire_and_load(&cache, &store, 1).await, INITIAL);
    tokio::time::sleep(INITIAL).await;
    let gate = Gate::default();
    let late = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move { gated(&cache, adaptive(), &gate, 2).await }
    });
    gate.reached().await;
    cache.invalidate_key("k").await.unwrap();
    gate.open();
    assert_eq!(late.await.unwrap(), 2);
    assert_eq!(cache.stats().total().refused_fills, 1);
    assert_eq!(value(&cache, adaptive(), 1).await, 1);
    assert!(store.last_ttl().unwrap() > INITIAL, "the same value as the last one that was stored");
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_costs_no_round_trip() {
    let asked = async |policy: Policy| {
        let (cache, store) = rig();
        value(&cache, policy.clone(), 1).await;
        assert_eq!([Op::Get, Op::TakeLease, Op::Fill].map(|op| store.calls(op)), [1, 1, 1]);
        cache.put(written(policy), &1).await.unwrap();
        store.all_calls()
    };
    assert_eq!(asked(adaptive()).await, 5);
    assert_eq!(asked(Policy::new("k").ttl(MINUTE)).await, 5);
}

/// The key as a companion makes it.
fn written(policy: Policy) -> Key<u32> {
    let recipe = Recipe { policy, captured: Captured::new(), declared: |_, _| Names::new(), keep: |_| true };
    tagged("k", &[]).with_recipe(recipe)
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_by_what_is_known_and_teaches() {
    for through in [false, true] {
        let (cache, store) = rig();
        let write = async |value: u32| {
            // Long before the TTL ends: a write is no sign of an invalidation.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if through {
                let target = Target::<_, Known, Known>::new(written(adaptive()), coding(), None);
                write_through(Some(&cache), target, Around::Open).await.finish(Some(&value)).await;
            } else {
                assert!(cache.put(written(adaptive()), &value).await.unwrap().stored);
            }
            store.last_ttl().unwrap()
        };
        assert_eq!(write(1).await, INITIAL);
        let longer = write(1).await;
        assert!(longer > INITIAL, "{longer:?}: it wrote what was there");
        let shorter = write(2).await;
        assert!(shorter < longer, "{shorter:?}: the data changed");
        tokio::time::sleep(INITIAL * 2).await;
        assert_eq!(value(&cache, adaptive(), 2).await, 2);
        assert!(store.last_ttl().unwrap() > shorter, "what was written did not change");
    }
}

/// Another writer's value may be the newer one.
#[tokio::test(start_paused = true)]
async fn a_refused_write_teaches_nothing() {
    let (cache, store) = rig();
    assert_eq!(expire_and_load(&cache, &store, 1).await, INITIAL);
    tokio::time::sleep(INITIAL).await;
    let read = store.hold_answer(Op::ReadClock);
    let put = tokio::spawn({
        let cache = cache.clone();
        async move { cache.put(written(adaptive()), &2).await.unwrap().stored }
    });
    read.reached().await;
    cache.invalidate_key("k").await.unwrap();
    read.open();
    assert!(!put.await.unwrap());
    assert_eq!(value(&cache, adaptive(), 1).await, 1);
    assert!(store.last_ttl().unwrap() > INITIAL, "the same value as the last one that was stored");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_goes_by_what_is_known_and_is_no_sign_of_an_invalidation() {
    let (cache, store) = rig();
    let policy = || adaptive().stale_while_revalidate(MINUTE);
    assert_eq!(value(&cache, policy(), 1).await, 1);
    age(&store, "k", Duration::ZERO).await;
    tokio::time::sleep(INITIAL).await;
    assert_eq!(value(&cache, policy(), 1).await, 1);
    idle().await;
    assert_eq!(cache.stats().prefix("k").refreshes, 1);
    assert!(store.last_ttl().unwrap() > INITIAL + MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_load_without_the_lease_goes_by_what_is_known() {
    let (here, store) = rig();
    let impatient = with(&store, |config| config.lease_wait = Duration::ZERO);
    assert_eq!(expire_and_load(&here, &store, 1).await, INITIAL);
    tokio::time::sleep(INITIAL).await;
    let gate = Gate::default();
    let held = tokio::spawn({
        let gate = gate.clone();
        async move { gated(&here, adaptive(), &gate, 1).await }
    });
    gate.reached().await;
    assert_eq!(value(&impatient, adaptive(), 1).await, 1);
    assert_eq!(impatient.stats().prefix("k").fills, 1);
    assert!(store.last_ttl().unwrap() > INITIAL);
    gate.open();
    held.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn loads_beside_the_leader_go_by_what_is_known() {
    let (cache, store) = rig();
    assert_eq!(expire_and_load(&cache, &store, 1).await, INITIAL);
    tokio::time::sleep(INITIAL).await;
    let loads = Arc::new(AtomicU32::new(0));
    let gate = Gate::default();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (cache, loads, gate) = (cache.clone(), loads.clone(), gate.clone());
            let body = move || async move {
                tokio::task::yield_now().await;
                match loads.fetch_add(1, Ordering::SeqCst) {
                    // Twice in a row: now two callers load at once.
                    0 | 1 => Err("down"),
                    2 => Ok(gate.body(1).await),
                    _ => Ok(1),
                }
            };
            tokio::spawn(async move { call(&cache, tagged("k", &[]), adaptive(), body).await })
        })
        .collect();
    gate.reached().await;
    idle().await;
    gate.open();
    for call in calls {
        _ = call.await.unwrap();
    }
    assert_eq!((store.calls(Op::ReadClock), store.calls(Op::Fill)), (1, 3));
    assert!(store.ttls()[1..].iter().all(|ttl| *ttl > INITIAL), "{:?}", store.ttls());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_stored_teaches_nothing() {
    let (cache, store) = rig();
    assert_eq!(expire_and_load(&cache, &store, 1).await, INITIAL);
    tokio::time::sleep(INITIAL).await;
    let failed = call(&cache, tagged("k", &[]), adaptive(), || async { Err("down") }).await;
    assert_eq!(failed, Err("down"));
    let small = with(&store, |config| config.value_bytes_max = 0);
    assert_eq!(value(&small, adaptive(), 2).await, 2);
    assert_eq!(value(&cache, adaptive(), 1).await, 1);
    assert!(store.last_ttl().unwrap() > INITIAL, "the same value as the last one that was stored");
}

//! Callers who no longer wait for a load, and are served what they have read before.

use tokio::time::Instant;

use super::finish::{call, sie};
use super::freshness::{MINUTE, age, aged};
use super::*;
use crate::config::LOAD_TASKS_MAX;
use crate::entry::{self, Entry};
use crate::key::Policy;

const TIMEOUT: Duration = Duration::from_millis(200);
const LOAD: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    sie().load_timeout(TIMEOUT)
}

/// A call whose load waits at the gate, and then is `value`, or an error.
fn at(cache: &Cache, gate: &Gate, value: Result<u32, &'static str>) -> JoinHandle<Result<u32, &'static str>> {
    let (cache, gate) = (cache.clone(), gate.clone());
    let body = move || async move {
        gate.pass().await;
        value
    };
    tokio::spawn(async move { call(&cache, tagged("k", &[]), policy(), body).await })
}

fn slow(cache: &Cache, value: u32) -> JoinHandle<Result<u32, &'static str>> {
    let cache = cache.clone();
    let body = move || async move {
        tokio::time::sleep(LOAD).await;
        Ok(value)
    };
    tokio::spawn(async move { call(&cache, tagged("k", &[]), policy(), body).await })
}

/// What the call gets, and after which time.
async fn timed(call: JoinHandle<Result<u32, &'static str>>) -> (Result<u32, &'static str>, Duration) {
    let begun = Instant::now();
    (tokio::time::timeout(MINUTE, call).await.expect("it is served").unwrap(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn past_it_the_caller_is_served_what_it_has_read_and_the_load_fills() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    assert_eq!(timed(slow(&cache, 2)).await, (Ok(1), TIMEOUT));
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.loads, stats.fills, stats.stale_hits, stats.misses), (2, 1, 1, 2));
    tokio::time::sleep(LOAD).await;
    assert_eq!(call(&cache, tagged("k", &[]), policy(), || async { Ok(forbidden().await) }).await, Ok(2));
    assert_eq!(cache.stats().prefix("k").hidden_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_ends_before_it_is_what_the_caller_gets() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    assert_eq!(call(&cache, tagged("k", &[]), policy(), || async { Ok(2) }).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_such_a_value_waits_on() {
    let (cache, store) = rig();
    assert_eq!(timed(slow(&cache, 1)).await, (Ok(1), LOAD));
    age(&store, "k", MINUTE + MINUTE).await;
    assert_eq!(timed(slow(&cache, 2)).await, (Ok(2), LOAD));
}

/// The store is slower than `load_timeout`. The call is to load all the same: if it were served
/// before it has the lease, nobody would load.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_late_before_it_has_the_lease_loads_all_the_same() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let granted = store.hold_answer(Op::TakeLease);
    let call = slow(&cache, 2);
    granted.reached().await;
    tokio::time::sleep(TIMEOUT + TIMEOUT / 10).await;
    granted.open();
    assert_eq!(timed(call).await, (Ok(1), Duration::ZERO));
    tokio::time::sleep(2 * LOAD).await;
    assert_eq!(stored(&cache, "k").await, Some(2));
}

/// An answer from before an invalidation that this process owed, and that was made good meanwhile,
/// does not say that the value is still there.
#[tokio::test(start_paused = true)]
async fn a_value_whose_invalidation_was_made_good_meanwhile_is_served_to_nobody() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let gate = Gate::default();
    let call = at(&cache, &gate, Ok(2));
    gate.reached().await;
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    let answered = store.hold_answer(Op::Get);
    answered.reached().await;
    store.heal(Op::Invalidate);
    while cache.runtime.debts.is_owing() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answered.open();
    idle().await;
    assert!(!call.is_finished(), "it waits on");
    gate.open();
    assert_eq!(call.await.unwrap(), Ok(2));
}

/// Each counts from its own beginning, and each is served what it has read itself: those of this
/// process, and those of another one.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_load_of_others_are_served_as_well() {
    let (cache, store) = rig();
    let elsewhere = on(&store);
    aged(&store, &cache, policy()).await;
    let first = slow(&cache, 2);
    tokio::time::sleep(TIMEOUT / 2).await;
    let others: Vec<_> = [&cache, &elsewhere, &cache, &elsewhere].map(|cache| slow(cache, 3)).into();
    idle().await;
    assert_eq!(timed(first).await, (Ok(1), TIMEOUT / 2));
    for (at, other) in others.into_iter().enumerate() {
        assert_eq!(timed(other).await, (Ok(1), if at == 0 { TIMEOUT / 2 } else { Duration::ZERO }));
    }
    tokio::time::sleep(LOAD).await;
    assert_eq!(cache.stats().total().loads + elsewhere.stats().total().loads, 2);
    assert_eq!(stored(&cache, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_invalidated_meanwhile_is_served_to_nobody() {
    for (by_another, replaced) in [(false, false), (true, false), (false, true), (true, true)] {
        let (cache, store) = rig();
        aged(&store, &cache, policy()).await;
        let gate = Gate::default();
        let leader = at(&cache, &gate, Ok(2));
        gate.reached().await;
        let follower = at(&cache, &Gate::default(), Ok(3));
        idle().await;
        let writer = if by_another { on(&store) } else { cache.clone() };
        match replaced {
            true => _ = writer.put(tagged("k", &[]), &4).await.unwrap(),
            false => _ = writer.invalidate_key("k").await.unwrap(),
        }
        tokio::time::sleep(TIMEOUT).await;
        assert!(!leader.is_finished(), "by another: {by_another}, replaced: {replaced}");
        gate.open();
        assert_eq!(leader.await.unwrap(), Ok(2), "it waited on");
        follower.abort();
        assert_ne!(follower.await.unwrap_or(Ok(2)), Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_invalidation_is_owed_is_served_to_nobody() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let gate = Gate::default();
    let call = at(&cache, &gate, Ok(2));
    gate.reached().await;
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    tokio::time::sleep(TIMEOUT).await;
    assert!(!call.is_finished());
    gate.open();
    assert_eq!(call.await.unwrap(), Ok(2));
}

/// What it has read is still good for a load that fails after all.
#[tokio::test(start_paused = true)]
async fn where_the_store_does_not_say_that_the_value_is_still_there_the_caller_waits_on() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let gate = Gate::default();
    let call = at(&cache, &gate, Err("down"));
    gate.reached().await;
    store.hang(Op::Get);
    tokio::time::sleep(TIMEOUT + DEADLINE).await;
    assert!(!call.is_finished());
    gate.open();
    assert_eq!(call.await.unwrap(), Ok(1));
    assert_eq!(cache.stats().total().hidden_failures, 1);
}

/// A payload that the type does not read.
#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_read_is_served_to_nobody() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let stored = Entry::decode(store.bytes("k").await.unwrap()).unwrap();
    store.forge("k", entry::encode(stored.header(), &[], b"\"text\"").unwrap()).await;
    let leader = slow(&cache, 2);
    idle().await;
    let follower = slow(&cache, 3);
    assert_eq!(timed(leader).await, (Ok(2), LOAD));
    assert_eq!(tokio::time::timeout(MINUTE, follower).await.expect("it is served").unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_after_its_caller_was_served_is_counted() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let gate = Gate::default();
    assert_eq!(timed(at(&cache, &gate, Err("down"))).await, (Ok(1), TIMEOUT));
    gate.open();
    idle().await;
    assert_eq!((cache.stats().total().hidden_failures, cache.stats().total().stale_hits), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_served_for_a_load_that_takes_long_taints_the_enclosing_load() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let begun = Instant::now();
    let inner = slow(&cache, 2);
    let inside = {
        let cache = cache.clone();
        async move { call(&cache, tagged("k", &[]), policy(), || async { Ok(forbidden().await) }).await.unwrap() }
    };
    idle().await;
    assert_eq!(load(&cache, "outer", inside).await, 1);
    assert_eq!(begun.elapsed(), TIMEOUT);
    assert_eq!(stored(&cache, "outer").await, None);
    inner.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_of_tasks_callers_wait_on() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let _places: Vec<_> = (0..LOAD_TASKS_MAX).map(|_| cache.runtime.load_tasks.reserve().unwrap()).collect();
    assert_eq!(timed(slow(&cache, 2)).await, (Ok(2), LOAD));
}

#[tokio::test(start_paused = true)]
async fn the_longest_is_for_ever() {
    let (cache, store) = rig();
    aged(&store, &cache, policy()).await;
    let policy = sie().load_timeout(Duration::MAX);
    assert_eq!(call(&cache, tagged("k", &[]), policy, || async { Ok(2) }).await, Ok(2));
}

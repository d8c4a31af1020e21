//! Loads in tasks of their own: what they outlive, and what they are to the loads around them.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::{Instant, timeout};

use super::freshness::{MINUTE, aged, run};
use super::*;
use crate::config::{FENCE_RETENTION, LOAD_TASKS_MAX};
use crate::key::Policy;
use crate::private::{Call, Finish, Step, coding};

const LOAD: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_millis(100);

fn policy() -> Policy {
    Policy::new("k").ttl(MINUTE)
}

pub(super) fn sie() -> Policy {
    policy().stale_if_error(MINUTE)
}

/// What generated code does for a function with `finish` or `load_timeout`.
pub(super) async fn call<F>(
    cache: &Cache,
    key: Key<u32>,
    policy: Policy,
    body: impl FnOnce() -> F + Send + 'static,
) -> Result<u32, &'static str>
where
    F: Future<Output = Result<u32, &'static str>> + Send,
{
    match Call::new(Some(cache), key, policy, coding()).in_background().lookup().await {
        Step::Return(value) | Step::ReturnAndRefresh(value, _) => Ok(value),
        Step::Load(load) => match load.finish(move |load| async move { run(load, body).await }).await {
            Finish::Ended(output) => output,
            Finish::Late(value) => Ok(value),
        },
    }
}

async fn get(cache: &Cache, key: &str, body: impl Future<Output = u32> + Send + 'static) -> u32 {
    call(cache, tagged(key, &[]), policy(), move || async move { Ok(body.await) }).await.unwrap()
}

fn begin(cache: &Cache, key: &str, body: impl Future<Output = u32> + Send + 'static) -> JoinHandle<u32> {
    let (cache, key) = (cache.clone(), key.to_owned());
    tokio::spawn(async move { get(&cache, &key, body).await })
}

/// Ends a call whose load is under way.
async fn abandon(call: JoinHandle<u32>) {
    call.abort();
    call.await.unwrap_err();
}

async fn slow(loads: Arc<AtomicU32>) -> u32 {
    tokio::time::sleep(LOAD).await;
    loads.fetch_add(1, Ordering::SeqCst) + 1
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_cost_one_load_and_the_next_call_hits() {
    let (cache, _) = rig();
    let ended = Arc::new(AtomicU32::new(0));
    let begun = Instant::now();
    let first = timeout(PATIENCE, get(&cache, "k", slow(ended.clone()))).await;
    let second = timeout(PATIENCE, get(&cache, "k", slow(ended.clone()))).await;
    assert_eq!((first.ok(), second.ok()), (None, Some(1)));
    assert_eq!(begun.elapsed(), LOAD, "the second follows the load that the first began");
    assert_eq!(timeout(PATIENCE, get(&cache, "k", forbidden())).await, Ok(1));
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.loads, stats.fills, stats.hits, stats.shared), (1, 1, 1, 1));
}

/// The same callers of a function without `finish`.
#[tokio::test(start_paused = true)]
async fn without_it_each_caller_that_gives_up_takes_its_load_along() {
    let (cache, _) = rig();
    let ended = Arc::new(AtomicU32::new(0));
    for _ in 0..5 {
        timeout(PATIENCE, load(&cache, "k", slow(ended.clone()))).await.unwrap_err();
    }
    assert_eq!((cache.stats().prefix("k").loads, ended.load(Ordering::SeqCst)), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_load_without_callers_is_refused_like_every_other_that_is_overtaken() {
    for by_another in [false, true] {
        let (cache, store) = rig();
        let gate = Gate::default();
        let first = begin(&cache, "k", gate.body(1));
        gate.reached().await;
        abandon(first).await;
        let writer = if by_another { on(&store) } else { cache.clone() };
        writer.invalidate_key("k").await.unwrap();
        assert_eq!(get(&on(&store), "k", async { 2 }).await, 2);
        gate.open();
        idle().await;
        assert_eq!(cache.stats().total().refused_fills, 1);
        assert_eq!(get(&cache, "k", forbidden()).await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_to_the_caller_and_the_next_call_loads() {
    let (cache, _) = rig();
    let call = begin(&cache, "k", async { panic!("no such table") });
    let panic = call.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no such table"));
    assert_eq!(get(&cache, "k", async { 2 }).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_no_caller_sees_is_counted() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let failing = |gate: &Gate| {
        let (cache, gate) = (cache.clone(), gate.clone());
        let body = move || async move {
            gate.pass().await;
            Err("down")
        };
        tokio::spawn(async move { call(&cache, tagged("k", &[]), policy(), body).await })
    };
    let seen = failing(&gate);
    gate.reached().await;
    gate.open();
    assert_eq!(seen.await.unwrap(), Err("down"));
    assert_eq!(cache.stats().total().hidden_failures, 0);
    let unseen = failing(&gate);
    gate.reached().await;
    unseen.abort();
    unseen.await.unwrap_err();
    gate.open();
    idle().await;
    assert_eq!(cache.stats().total().hidden_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_no_caller_sees_is_counted() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let waits = gate.clone();
    let call = begin(&cache, "k", async move {
        waits.pass().await;
        panic!("no such table")
    });
    gate.reached().await;
    abandon(call).await;
    gate.open();
    idle().await;
    assert_eq!(cache.stats().total().hidden_failures, 1);
    assert_eq!(cache.runtime.load_tasks.taken(), 0);
    assert_eq!(get(&on(&store), "k", async { 2 }).await, 2, "its lease was given back");
}

#[tokio::test(start_paused = true)]
async fn a_load_without_callers_ends_when_it_can_no_longer_fill() {
    let (cache, store) = rig();
    let (gate, with_a_caller) = (Gate::default(), Gate::default());
    let kept = begin(&cache, "with a caller", with_a_caller.body(1));
    let first = begin(&cache, "k", gate.body(1));
    gate.reached().await;
    abandon(first).await;
    tokio::time::sleep(FENCE_RETENTION - Duration::from_millis(1)).await;
    assert_eq!(cache.runtime.load_tasks.taken(), 2);
    assert_eq!(cache.stats().total().hidden_failures, 0);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(cache.runtime.load_tasks.taken(), 1);
    assert_eq!(cache.stats().total().hidden_failures, 1);
    assert_eq!(get(&on(&store), "k", async { 2 }).await, 2, "its lease was given back");
    with_a_caller.open();
    assert_eq!(kept.await.unwrap(), 1, "who waits is served, however long it takes");
}

#[tokio::test(start_paused = true)]
async fn a_load_without_callers_ends_with_the_last_handle() {
    for ends in [|cache: Cache| drop(cache), |cache: Cache| cache.end_refreshes()] {
        let (cache, _) = rig();
        let runtime = cache.runtime.clone();
        let (gate, with_a_caller) = (Gate::default(), Gate::default());
        // A call holds no handle of the cache: an argument of the function may.
        let begin = |key: &'static str, gate: &Gate| {
            let call = Call::new(Some(&cache), tagged(key, &[]), policy(), coding());
            let body = gate.body(1);
            let body = move || async move { Ok(body.await) };
            tokio::spawn(async move {
                let Step::Load(load) = call.lookup().await else { panic!("nothing is stored") };
                match load.finish(move |load| async move { run(load, body).await }).await {
                    Finish::Ended(output) => output,
                    Finish::Late(value) => Ok(value),
                }
            })
        };
        let kept = begin("with a caller", &with_a_caller);
        let first = begin("k", &gate);
        gate.reached().await;
        with_a_caller.reached().await;
        first.abort();
        first.await.unwrap_err();
        idle().await;
        assert_eq!(runtime.load_tasks.taken(), 2);
        ends(cache);
        idle().await;
        assert_eq!(runtime.load_tasks.taken(), 1);
        with_a_caller.open();
        assert_eq!(kept.await.unwrap(), Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_a_load_ends_with_its_caller() {
    let (cache, _) = rig();
    let mut calls = Vec::new();
    for n in 0..LOAD_TASKS_MAX {
        calls.push(begin(&cache, &format!("k:{n}"), std::future::pending()));
    }
    idle().await;
    assert_eq!(cache.runtime.load_tasks.taken(), LOAD_TASKS_MAX);
    let gate = Gate::default();
    let one_more = begin(&cache, "k", gate.body(1));
    gate.reached().await;
    abandon(one_more).await;
    assert_eq!(get(&cache, "k", async { 2 }).await, 2, "nobody has the lease");
    calls.iter().for_each(JoinHandle::abort);
}

/// The store failed, so nothing could be stored.
#[tokio::test(start_paused = true)]
async fn a_load_that_cannot_fill_ends_with_its_caller() {
    let (cache, store) = rig();
    store.fail(Op::Get);
    for cache in [cache, Cache::disabled()] {
        let body = Arc::new(());
        let inside = body.clone();
        let gate = Gate::default();
        let waits = gate.clone();
        let call = begin(&cache, "k", async move {
            waits.pass().await;
            drop(inside);
            1
        });
        gate.reached().await;
        abandon(call).await;
        assert_eq!(Arc::strong_count(&body), 1, "its source is not asked in vain");
    }
}

#[test]
fn a_load_ends_with_its_runtime_and_another_one_takes_over() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cache, _) = rig();
    let (gone, stays) = (runtime(), runtime());
    let gate = Gate::default();
    gone.block_on(async {
        let call = begin(&cache, "k", gate.body(1));
        gate.reached().await;
        abandon(call).await;
    });
    drop(gone);
    assert_eq!(cache.runtime.load_tasks.taken(), 0);
    assert_eq!(stays.block_on(get(&cache, "k", async { 2 })), 2);
}

#[test]
fn a_caller_that_outlives_the_runtime_of_its_load_panics() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cache, _) = rig();
    let (gone, stays) = (runtime(), runtime());
    let gate = Gate::default();
    let mut call = Box::pin(get(&cache, "k", gate.body(1)));
    gone.block_on(async {
        tokio::select! {
            _ = &mut call => panic!("it waits at the gate"),
            () = gate.reached() => {}
        }
    });
    drop(gone);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stays.block_on(call)));
    let said = polled.unwrap_err();
    assert!(said.downcast_ref::<&str>().is_some_and(|said| said.contains("runtime was shut down")));
}

/// A cached function with `finish` inside a load of the key "outer".
async fn outer<F>(cache: &Cache, inner: Key<u32>, policy: Policy, body: impl FnOnce() -> F + Send + 'static) -> u32
where
    F: Future<Output = Result<u32, &'static str>> + Send,
{
    load(cache, "outer", async { call(cache, inner, policy, body).await.unwrap() }).await
}

#[tokio::test(start_paused = true)]
async fn the_enclosing_load_inherits_what_it_was_made_from() {
    let (cache, _) = rig();
    for invalidated in ["inner", "innermost"] {
        let body = {
            let cache = cache.clone();
            move || async move { Ok(super::get(&cache, "innermost", 1).await) }
        };
        assert_eq!(outer(&cache, tagged("inner", &[]), policy(), body).await, 1);
        assert!(cache.invalidate_key(invalidated).await.unwrap().entries >= 2);
        assert_eq!(stored(&cache, "outer").await, None, "{invalidated}");
    }
}

/// What the load is made from goes to the enclosing load at once, and stays there although the call
/// is dropped.
#[tokio::test(start_paused = true)]
async fn the_enclosing_load_depends_on_a_call_that_it_gave_up() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let body = gate.body(1);
    let read = load(&cache, "outer", async {
        let inner = call(&cache, tagged("inner", &[]), policy(), move || async move { Ok(body.await) });
        timeout(PATIENCE, inner).await.map_or(0, |value| value.unwrap())
    });
    assert_eq!(read.await, 0);
    assert_eq!(stored(&cache, "outer").await, Some(0));
    gate.open();
    idle().await;
    assert_eq!(stored(&cache, "inner").await, Some(1), "it goes on");
    assert_eq!(cache.invalidate_key("inner").await.unwrap().entries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_stands_in_for_it_taints_the_enclosing_load() {
    let (cache, store) = rig();
    aged(&store, &cache, sie()).await;
    assert_eq!(outer(&cache, tagged("k", &[]), sie(), || async { Err("down") }).await, 1);
    assert_eq!(stored(&cache, "outer").await, None);
    assert_eq!(cache.stats().total().unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_call_and_all_inside_it_one_deadline() {
    for hanging in [&[Op::Get, Op::TakeLease, Op::Fill][..], &[Op::Fill]] {
        let (cache, store) = rig();
        hanging.iter().for_each(|op| store.hang(*op));
        let begun = Instant::now();
        let innermost = {
            let cache = cache.clone();
            move || async move { call(&cache, tagged("innermost", &[]), policy(), || async { Ok(1) }).await }
        };
        assert_eq!(outer(&cache, tagged("inner", &[]), policy(), innermost).await, 1);
        assert_eq!(begun.elapsed(), DEADLINE, "{hanging:?}");
    }
}

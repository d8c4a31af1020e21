//! A traced future: what its output was made from, and how long that is fresh.

use super::*;
use crate::call::Step;
use crate::invalidation::Cause;
use crate::key::Policy;
use crate::name::Names;
use crate::observe::CallResult;
use crate::private::{Call, coding};
use crate::runtime::trace::Trace;
use crate::{in_current_load, observe};

const TTL: Duration = Duration::from_secs(60);

fn key(text: &str) -> Cause {
    Cause::Key(text.to_owned())
}

/// One call of a function whose values live for a minute, and may then be served for `stale`.
async fn call(cache: &Cache, name: &str, ttl: Duration, stale: Duration, body: impl Future<Output = u32>) -> u32 {
    let policy = Policy::new("k").ttl(ttl).stale_while_revalidate(stale);
    let mut load = match Call::new(Some(cache), tagged(name, &[]), policy, coding()).in_background().lookup().await {
        Step::Return(value) | Step::ReturnAndRefresh(value, _) => return value,
        Step::Load(load) => load,
    };
    let value = load.run(body).await;
    let mut names = Names::new();
    names.tag("t");
    load.fill(Some(&value), names).await;
    value
}

async fn trace_of(cache: &Cache, body: impl Future<Output = u32>) -> Trace {
    cache.trace(body).await.1
}

#[tokio::test(start_paused = true)]
async fn a_hit_and_a_load_have_the_same_names_and_what_is_left_of_their_ttl() {
    let (cache, _) = rig();
    let page = || async {
        let inner = call(&cache, "inner", TTL / 4, TTL, async { 1 });
        call(&cache, "outer", TTL, 2 * TTL, inner).await
    };
    let loaded = trace_of(&cache, page()).await;
    let names = [key("inner"), key("outer"), Cause::Tag("t".to_owned())];
    assert_eq!((loaded.names(), loaded.is_complete()), (&names[..], true));
    // The inner value is part of the outer one, which lives for as long as it does.
    assert_eq!((loaded.fresh_for(), loaded.stale_while_revalidate()), (Some(TTL), 2 * TTL));
    tokio::time::advance(TTL / 2).await;
    let hit = trace_of(&cache, page()).await;
    assert_eq!((hit.names(), hit.fresh_for(), hit.stale_while_revalidate()), (&names[..], Some(TTL / 2), 2 * TTL));
}

#[tokio::test(start_paused = true)]
async fn the_call_that_ends_first_counts_and_each_window_does() {
    let (cache, _) = rig();
    let page = async {
        call(&cache, "long", TTL, Duration::ZERO, async { 1 }).await
            + call(&cache, "short", TTL / 4, TTL, async { 1 }).await
    };
    let trace = trace_of(&cache, page).await;
    assert_eq!((trace.fresh_for(), trace.stale_while_revalidate()), (Some(TTL / 4), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_was_made_of_no_call_has_no_lifetime() {
    let (cache, _) = rig();
    let trace = trace_of(&cache, async { 1 }).await;
    assert!(trace.names().is_empty() && trace.fresh_for().is_none());
}

/// ★ A load that an invalidation has overtaken may have read what was there before.
#[tokio::test(start_paused = true)]
async fn what_was_made_of_a_refused_load_has_no_lifetime() {
    let (cache, _) = rig();
    let body = async {
        // In a task of its own, the load does not know of it.
        let peer = cache.peer();
        tokio::spawn(async move { peer.invalidate_tag("t").await }).await.unwrap().unwrap();
        1
    };
    let trace = trace_of(&cache, call(&cache, "overtaken", TTL, TTL, body)).await;
    assert_eq!(trace.fresh_for(), None);
}

/// ★ What was read before it was invalidated in the same future is old.
#[tokio::test(start_paused = true)]
async fn what_invalidates_what_it_has_read_has_no_lifetime() {
    let (cache, _) = rig();
    let page = async {
        let read = get(&cache, "read", 1).await;
        cache.invalidate_key("read").await.unwrap();
        read
    };
    assert_eq!(trace_of(&cache, page).await.fresh_for(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_of_a_failure_has_no_lifetime_and_its_names() {
    let (cache, _) = rig();
    let failing = cache.get_or_load(tagged("failing", &[]), || async { Err::<u32, _>("no such row") });
    // Another call that succeeds does not speak for it.
    let trace = trace_of(&cache, async { failing.await.unwrap_or_default() + get(&cache, "good", 1).await }).await;
    assert_eq!((trace.names(), trace.fresh_for()), (&[key("failing"), key("good")][..], None));
}

#[tokio::test(start_paused = true)]
async fn what_was_made_without_the_store_has_no_lifetime() {
    let (cache, store) = rig();
    store.fail(Op::Get);
    assert_eq!(trace_of(&cache, get(&cache, "any", 1)).await.fresh_for(), None);
    let disabled = Cache::disabled();
    assert_eq!(trace_of(&disabled, get(&disabled, "any", 1)).await.fresh_for(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_of_another_cache_has_no_lifetime() {
    let ((cache, _), (other, _)) = (rig(), rig());
    let page = async { get(&cache, "own", 1).await + get(&other, "foreign", 1).await };
    let trace = trace_of(&cache, page).await;
    assert_eq!((trace.names(), trace.fresh_for()), (&[key("own")][..], None));
}

/// ★ A stale value is none that others may keep.
#[tokio::test(start_paused = true)]
async fn no_call_that_is_traced_is_served_a_stale_value() {
    let (cache, _) = rig();
    call(&cache, "old", TTL, TTL, async { 1 }).await;
    tokio::time::advance(TTL + TTL / 2).await;
    let (value, trace) = cache.trace(call(&cache, "old", TTL, TTL, async { 2 })).await;
    assert_eq!((value, trace.fresh_for()), (2, Some(TTL)));
}

/// ★ Nor is what stands in for a load that failed.
#[tokio::test(start_paused = true)]
async fn what_stands_in_for_a_load_has_no_lifetime() {
    let (cache, _) = rig();
    let policy = || Policy::new("k").ttl(TTL).stale_if_error(TTL);
    let call = |outcome| freshness::call(&cache, tagged("k", &[]), policy(), move || async move { outcome });
    assert_eq!(call(Ok(1)).await, Ok(1));
    tokio::time::advance(TTL + TTL / 2).await;
    let (served, trace) = cache.trace(call(Err("down"))).await;
    assert_eq!((served, trace.fresh_for()), (Ok(1), None));
}

#[tokio::test(start_paused = true)]
async fn more_names_than_an_entry_may_have_are_incomplete() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.names_max = 2);
    let page = async { get(&cache, "one", 1).await + get(&cache, "two", 1).await + get(&cache, "three", 1).await };
    let trace = trace_of(&cache, page).await;
    assert!(trace.names().is_empty() && !trace.is_complete() && trace.fresh_for().is_some());
}

#[tokio::test(start_paused = true)]
async fn calls_of_tasks_and_of_what_is_observed_are_traced() {
    let (cache, _) = rig();
    let page = async {
        let inside = {
            let cache = cache.clone();
            async move { get(&cache, "task", 1).await }
        };
        let task = tokio::spawn(in_current_load(inside));
        let (value, calls) = observe(call(&cache, "observed", TTL / 2, TTL, async { 1 })).await;
        assert_eq!(calls.count(CallResult::Miss), 1);
        value + task.await.unwrap()
    };
    let trace = trace_of(&cache, page).await;
    assert_eq!(trace.names(), [key("observed"), key("task"), Cause::Tag("t".to_owned())]);
    assert_eq!(trace.fresh_for(), Some(TTL / 2));
}

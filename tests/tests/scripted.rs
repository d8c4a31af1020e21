//! The scripted store does what it is told, and the cache before it does what it does before a
//! server.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, ErrorKind, StoreRequest};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_millis(250);

async fn get(cache: &Cache, value: u32) -> u32 {
    let Ok(value) = cache.get_or_load("answer", || async { Ok::<_, Infallible>(value) }).await;
    value
}

async fn stored(cache: &Cache) -> Option<u32> {
    cache.peek("answer").await.unwrap()
}

fn unstored(cache: &Cache) -> Vec<(&'static str, u64)> {
    cache.stats().prefix("answer").unstored_by_reason().map(|reason| (reason.reason, reason.count)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_costs_the_load_and_is_left_alone_after_five_failures() {
    let (cache, script) = Cache::scripted();
    assert_eq!(get(&cache, 1).await, 1);
    script.fail(StoreRequest::Any);
    let before = script.requests(StoreRequest::Any);
    for value in 2..20 {
        assert_eq!(get(&cache, value).await, value);
    }
    assert_eq!(script.requests(StoreRequest::Any) - before, 5, "the breaker has opened");
    let health = cache.health();
    assert!(health.disconnected && health.breaker_open && !health.is_good(), "{health:?}");
    script.heal();
    assert_eq!(get(&cache, 20).await, 1, "it is asked at once");
    assert!(cache.health().is_good());
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_of_a_kind_fail_and_no_others() {
    let (cache, script) = Cache::scripted();
    script.fail_next(2, StoreRequest::Fill);
    for value in [1, 2, 3] {
        assert_eq!(get(&cache, value).await, value);
    }
    assert_eq!(get(&cache, 4).await, 3);
    assert_eq!(unstored(&cache), [("unanswered", 2)]);
    let requests = [StoreRequest::Read, StoreRequest::Lease, StoreRequest::Fill].map(|of| script.requests(of));
    assert_eq!(requests, [4, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_invalidation_is_owed_until_the_store_is_back() {
    let (cache, script) = Cache::scripted();
    get(&cache, 1).await;
    script.fail(StoreRequest::Invalidate);
    let error = cache.invalidate_key("answer").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(cache.health().owes_invalidations);
    assert_eq!(get(&cache, 2).await, 2, "this process bypasses what it could not remove");
    assert_eq!(get(&cache.peer(), 3).await, 1, "and another cannot know");
    script.heal();
    while cache.health().owes_invalidations {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(stored(&cache).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_answer_is_lost_has_taken_effect() {
    let (cache, script) = Cache::scripted();
    get(&cache, 1).await;
    script.lose_answers(1, StoreRequest::Invalidate);
    cache.invalidate_key("answer").await.unwrap_err();
    assert_eq!(get(&cache.peer(), 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_held_fill_can_be_overtaken() {
    let (cache, script) = Cache::scripted();
    let mut gate = script.hold(StoreRequest::Fill);
    let call = tokio::spawn({
        let cache = cache.clone();
        async move { get(&cache, 1).await }
    });
    gate.reached().await;
    cache.invalidate_key("answer").await.unwrap();
    gate.open();
    assert_eq!(call.await.unwrap(), 1);
    assert_eq!(unstored(&cache), [("invalidated", 1)]);
    assert_eq!(stored(&cache).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_dropped_holds_nothing_and_one_that_is_kept_holds_until_the_deadline() {
    let (cache, script) = Cache::scripted();
    drop(script.hold(StoreRequest::Read));
    let begun = Instant::now();
    get(&cache, 1).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let gate = script.hold(StoreRequest::Read);
    assert_eq!(get(&cache, 2).await, 2);
    assert_eq!(begun.elapsed(), DEADLINE);
    drop(gate);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_nobody_will_reach_does_not_keep_a_test_waiting() {
    let (_cache, script) = Cache::scripted();
    let mut gate = script.hold(StoreRequest::Sweep);
    script.heal();
    gate.reached().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_call_one_deadline() {
    let (cache, script) = Cache::scripted();
    script.delay(Duration::MAX, StoreRequest::Any);
    let begun = Instant::now();
    assert_eq!(get(&cache, 1).await, 1);
    assert_eq!(begun.elapsed(), DEADLINE);
    script.heal();
    script.delay(Duration::from_millis(20), StoreRequest::Any);
    script.delay(Duration::from_millis(10), StoreRequest::Read);
    let begun = Instant::now();
    assert_eq!(get(&cache, 2).await, 2);
    assert_eq!(begun.elapsed(), Duration::from_millis(30 + 20 + 20), "read, lease and fill");
}

#[tokio::test(start_paused = true)]
async fn a_full_store_stores_nothing_and_still_invalidates() {
    let (cache, script) = Cache::scripted();
    get(&cache, 1).await;
    script.refuse_fills();
    assert!(!cache.put("answer", &2).await.unwrap().stored);
    assert_eq!(stored(&cache).await, None, "what a write could not replace is gone");
    assert_eq!((get(&cache, 3).await, get(&cache, 4).await), (3, 4));
    assert_eq!(unstored(&cache), [("memory_full", 3)]);
    script.heal();
    assert_eq!((get(&cache, 5).await, get(&cache, 6).await), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn ready_waits_until_the_store_is_back_and_closes_the_breaker() {
    let (cache, script) = Cache::scripted();
    script.fail(StoreRequest::Any);
    assert_eq!(cache.ready(Duration::from_secs(5)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for value in 0..5 {
        get(&cache, value).await;
    }
    assert!(cache.health().breaker_open);
    let waiting = cache.ready(Duration::from_secs(60));
    let healing = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        script.heal();
    };
    let (ready, ()) = tokio::join!(waiting, healing);
    ready.unwrap();
    assert!(!cache.health().breaker_open);
}

#[tokio::test(start_paused = true)]
async fn peers_share_the_script() {
    let (cache, script) = Cache::scripted();
    get(&cache, 1).await;
    script.fail(StoreRequest::Any);
    assert_eq!(get(&cache.peer(), 2).await, 2);
}

#[test]
fn without_timers_a_call_loads() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (cache, script) = Cache::scripted();
    assert_eq!(runtime.block_on(get(&cache, 1)), 1);
    assert_eq!(script.requests(StoreRequest::Any), 0);
}

#[test]
fn a_scripted_cache_is_inside_this_process() {
    let error = Cache::builder().url("redis://127.0.0.1").build_scripted().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

use tokio::time::Instant;

use super::*;
use crate::key::CachedFunction;
use crate::private::{Start, coding};

#[tokio::test(start_paused = true)]
async fn a_failing_get_costs_nothing_but_the_load() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    store.fail(Op::Get);
    let before = store.all_calls();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(store.all_calls() - before, 1, "the store was asked again");
    store.heal(Op::Get);
    assert_eq!(stored(&cache, "k").await, Some(1), "a load without a clock reading must not fill");
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.errors, stats.loads, stats.fills), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_lease_answer_there_is_no_fill() {
    let (cache, store) = rig();
    store.fail(Op::TakeLease);
    assert_eq!(get(&cache, "k", 1).await, 1);
    assert_eq!((store.calls(Op::Fill), store.calls(Op::TakeLease)), (0, 1));
    assert_eq!(cache.stats().prefix("k").errors, 1);
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_leader_without_a_store_do_not_wait_for_its_load() {
    let (cache, store) = rig();
    let asked = store.hold(Op::TakeLease);
    store.fail(Op::TakeLease);
    let gate = Gate::default();
    let leader = spawn(&cache, "k", gate.body(1));
    asked.reached().await;
    let follower = spawn(&cache, "k", async { 2 });
    idle().await;
    let begun = Instant::now();
    asked.open();
    assert_eq!(follower.await.unwrap(), 2);
    assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for a load that nobody may share");
    gate.open();
    leader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failing_fill_does_not_lose_the_value() {
    let (cache, store) = rig();
    store.fail(Op::Fill);
    assert_eq!(get(&cache, "k", 1).await, 1);
    assert_eq!(store.calls(Op::ReleaseLease), 1, "others would wait for a lease that nobody uses");
    assert_eq!(cache.stats().prefix("k").errors, 1);
}

/// A page of three levels, two calls side by side in the middle.
async fn nested(cache: &Cache) -> u32 {
    let part = |key: &'static str| async move { load(cache, key, async { get(cache, "leaf", 1).await }).await };
    load(cache, "page", async { tokio::join!(part("left"), part("right")).0 + part("third").await }).await
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_call_one_deadline_whatever_is_nested_in_it() {
    for op in [Op::Get, Op::TakeLease, Op::Fill] {
        let (cache, store) = rig();
        store.hang(op);
        let begun = Instant::now();
        assert_eq!(nested(&cache).await, 2);
        assert!(begun.elapsed() < DEADLINE * 5 / 4, "{op:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_late_count_for_their_own_call_alone() {
    let (cache, store) = rig();
    store.slow(DEADLINE / 5);
    let page = load(&cache, "page", async {
        for n in 0..20 {
            get(&cache, &format!("part:{n}"), 1).await;
        }
        2
    });
    assert_eq!(page.await, 2);
    store.slow(Duration::ZERO);
    assert_eq!(stored(&cache, "page").await, Some(2), "a page of slow parts was not stored");
    assert_eq!(stored(&cache, "part:19").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_one_operation_deadline() {
    for op in [Op::Get, Op::TakeLease, Op::Fill] {
        let (cache, store) = rig();
        store.hang(op);
        let begun = Instant::now();
        assert_eq!(get(&cache, "k", 1).await, 1);
        let took = begun.elapsed();
        assert!(took >= DEADLINE && took < DEADLINE + Duration::from_millis(30), "{op:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_answers_of_one_call_together_cost_one_operation_deadline() {
    let (cache, store) = rig();
    let slow = store.hold(Op::Get);
    let call = spawn(&cache, "k", async { 1 });
    slow.reached().await;
    tokio::time::advance(Duration::from_millis(200)).await;
    store.hang(Op::Fill);
    slow.open();
    let begun = Instant::now();
    assert_eq!(call.await.unwrap(), 1);
    assert!(begun.elapsed() < Duration::from_millis(80), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_renewal_or_release_delays_nobody() {
    let (cache, store) = rig();
    store.hang(Op::ReleaseLease);
    let begun = Instant::now();
    let failed = cache.get_or_load("k", || async { Err::<u32, _>("no") }).await;
    assert_eq!(failed, Err("no"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Whether a call of a function finds out, before it has a key, that the store is of no use.
fn goes_past(cache: &Cache) -> bool {
    static FUNCTION: CachedFunction = CachedFunction::of_one("outage", ":{}");
    matches!(Start::<u32>::new(Some(cache), &FUNCTION, "k", coding(), None, |place| place), Start::Load(_))
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_past_a_store_that_would_refuse_it() {
    let (cache, store) = rig();
    assert!(!goes_past(&cache));
    store.break_open();
    assert!(goes_past(&cache));
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.misses, stats.errors, stats.bypasses), (1, 1, 0));
    assert!(load(&cache, "outer", async { u32::from(!goes_past(&cache)) }).await == 1, "a load must know of it");
}

/// Its key says whether it is concerned, and the retries have to be kept going.
#[tokio::test(start_paused = true)]
async fn a_call_does_not_go_past_a_store_that_is_owed_an_invalidation() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    store.break_open();
    assert!(!goes_past(&cache));
}

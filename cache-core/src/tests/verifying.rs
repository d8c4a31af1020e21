//! Verifications, where the store fails.

use super::*;
use crate::key::Policy;
use crate::private::{Call, Step, coding};

/// What a call of `k` that is to be verified comes to.
async fn looked(cache: &Cache) -> Step<u32> {
    let policy = Policy::new("k").ttl(Duration::from_secs(3_600));
    Call::new(Some(cache), tagged("k", &[]), policy, coding()).verified().in_background().lookup().await
}

async fn run(mut load: Load<u32>, body: impl Future<Output = u32>) -> bool {
    let value = load.run(body).await;
    load.fill(Some(&value), Default::default()).await;
    true
}

async fn stored_one() -> (Cache, Faulty) {
    let (cache, store) = rig();
    let Step::Load(load) = looked(&cache).await else { panic!("stored") };
    run(load, async { 1 }).await;
    (cache, store)
}

/// The verification of a hit.
async fn verification(cache: &Cache) -> Refresh<u32> {
    match looked(cache).await {
        Step::ReturnAndRefresh(1, verification) => verification,
        _ => panic!("not verified"),
    }
}

fn ended(cache: &Cache) -> String {
    let text = cache.stats().to_prometheus();
    let lines = text.lines().filter_map(|line| line.strip_prefix("cache_verifications_total{cache=\"cache\","));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_ends_a_verification() {
    for op in [Op::ReadClock, Op::Get, Op::Facts] {
        let (cache, store) = stored_one().await;
        let verification = verification(&cache).await;
        store.fail(op);
        verification.spawn(|load| run(load, async { 2 }));
        idle().await;
        assert_eq!(ended(&cache), "prefix=\"k\",ended=\"unanswered\"} 1", "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_load_that_verifies_is_limited() {
    let (cache, _) = stored_one().await;
    verification(&cache).await.spawn(|load| run(load, std::future::pending()));
    tokio::time::sleep(crate::config::FENCE_RETENTION + Duration::from_millis(1)).await;
    idle().await;
    assert_eq!(ended(&cache), "prefix=\"k\",ended=\"load_failed\"} 1");
    let stats = cache.stats();
    assert_eq!((stats.total().cancelled_loads, stats.total().loads), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_is_owed_explains_a_difference() {
    let (cache, store) = stored_one().await;
    let gate = Gate::default();
    let body = gate.clone();
    verification(&cache).await.spawn(move |load| run(load, body.body(2)));
    gate.reached().await;
    store.fail(Op::Invalidate);
    assert!(cache.invalidate_key("k").await.is_err());
    gate.open();
    idle().await;
    assert_eq!(ended(&cache), "prefix=\"k\",ended=\"overtaken\"} 1");
}

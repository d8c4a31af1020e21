//! What an observer is told of the calls inside a future.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Cache, CallLog, CallResult, cached, in_current_load, observe};
use cache_tests::{TestStore, each_store, until};

struct App {
    cache: Cache,
    loads: AtomicU64,
    is_down: AtomicBool,
}

impl App {
    async fn on(store: &TestStore) -> Arc<Self> {
        Arc::new(Self { cache: store.cache().await, loads: AtomicU64::new(0), is_down: AtomicBool::new(false) })
    }

    async fn read(&self) -> Result<u64, &'static str> {
        let loads = self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.is_down.load(Ordering::SeqCst) { Err("the source is down") } else { Ok(loads) }
    }
}

#[cached(prefix = "part", ttl = "1h", skip(app), cache = app.cache)]
async fn part(app: &App, id: u64) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "whole", ttl = "1h", skip(app), cache = app.cache)]
async fn whole(app: &App) -> Result<u64, &'static str> {
    Ok(part(app, 1).await? + part(app, 2).await?)
}

#[cached(prefix = "late", ttl = "1ms", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
async fn late(app: Arc<App>) -> Result<u64, &'static str> {
    app.read().await
}

#[cached(prefix = "shy", ttl = "1ms", stale_if_error = "1h", skip(app), cache = app.cache)]
async fn shy(app: &App) -> Result<u64, &'static str> {
    app.read().await
}

#[cached(prefix = "close-by", ttl = "1h", near = "1h", skip(app), cache = app.cache)]
async fn close_by(app: &App) -> Result<u64, &'static str> {
    app.read().await
}

fn results(log: &CallLog) -> Vec<(&str, CallResult)> {
    log.calls().iter().map(|call| (call.prefix.as_str(), call.result)).collect()
}

each_store! {
async fn each_call_is_told_with_its_key_and_the_time_of_its_load(store: TestStore) {
    let app = App::on(&store).await;
    let (_, log) = observe(whole(&app)).await;
    assert_eq!(results(&log), [("whole", CallResult::Miss), ("part", CallResult::Miss), ("part", CallResult::Miss)]);
    assert!(log.calls().iter().all(|call| call.load_time.is_some()), "{log:?}");
    log.assert_miss(part::key(&2));
    log.assert_miss(whole::key());
    let (_, log) = observe(async { (whole(&app).await, part(&app, 2).await) }).await;
    assert_eq!(results(&log), [("whole", CallResult::Hit), ("part", CallResult::Hit)]);
    assert_eq!((log.load_time(), log.unrecorded()), (Duration::ZERO, 0));
    log.assert_hit(part::key(&2));
    assert_eq!(log.of(part::key(&1)), Vec::<&cache_core::CallRecord>::new());
}

async fn calls_that_share_a_load_are_told_apart(store: TestStore) {
    let app = App::on(&store).await;
    let (_, log) = observe(async { tokio::join!(part(&app, 1), part(&app, 1)) }).await;
    assert_eq!((log.count(CallResult::Miss), log.count(CallResult::Shared)), (1, 1), "{log:?}");
}

async fn a_call_that_is_observed_is_in_no_load(store: TestStore) {
    let app = App::on(&store).await;
    close_by(&app).await.unwrap();
    late(app.clone()).await.unwrap();
    shy(&app).await.unwrap();
    // A copy is made of what is read.
    until(async || observe(close_by(&app)).await.1.count(CallResult::NearHit) == 1).await;
    until(async || observe(late(app.clone())).await.1.count(CallResult::Stale) == 1).await;
    app.is_down.store(true, Ordering::SeqCst);
    let (value, log) = observe(shy(&app)).await;
    assert!(value.is_ok(), "{value:?}");
    log.assert_stale(shy::key());
    assert!(log.calls()[0].load_time.is_some(), "{log:?}");
}

async fn a_task_that_is_given_the_load_is_observed(store: TestStore) {
    let app = App::on(&store).await;
    let (_, log) = observe(async {
        let (given, left) = (app.clone(), app.clone());
        tokio::spawn(in_current_load(async move { part(&given, 1).await })).await.unwrap().unwrap();
        tokio::spawn(async move { part(&left, 2).await }).await.unwrap().unwrap();
    })
    .await;
    assert_eq!(results(&log), [("part", CallResult::Miss)]);
}

async fn observers_inside_each_other_are_both_told(store: TestStore) {
    let app = App::on(&store).await;
    let ((inner, _), outer) = observe(async {
        let (_, inner) = observe(part(&app, 1)).await;
        (inner, part(&app, 1).await)
    })
    .await;
    assert_eq!(results(&inner), [("part", CallResult::Miss)]);
    assert_eq!(results(&outer), [("part", CallResult::Miss), ("part", CallResult::Hit)]);
}
}

#[tokio::test]
async fn a_disabled_cache_is_bypassed() {
    let app = App { cache: Cache::disabled(), loads: AtomicU64::new(0), is_down: AtomicBool::new(false) };
    let (_, log) = observe(part(&app, 1)).await;
    assert_eq!(results(&log), [("part", CallResult::Bypass)]);
    assert!(log.calls()[0].key.is_none() && log.calls()[0].load_time.is_some(), "{log:?}");
}

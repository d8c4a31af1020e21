//! Hits that are loaded again and compared: a forgotten invalidation is found, and a right program
//! is not accused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Cache, Cacheable, Invalidation, MetricValue, cached};
use cache_tests::{Gate, Log, TestStore, each_store, until};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct App {
    cache: Cache,
    rows: Arc<Mutex<BTreeMap<u64, u64>>>,
    loads: Arc<AtomicU64>,
    /// The next loads stop there.
    gate: Arc<Mutex<Option<Gate>>>,
    fails: Arc<AtomicBool>,
}

impl App {
    fn new(cache: Cache) -> Self {
        let (rows, loads, gate, fails) = Default::default();
        Self { cache, rows, loads, gate, fails }
    }

    fn set(&self, id: u64, row: u64) {
        self.rows.lock().unwrap().insert(id, row);
    }

    async fn read(&self, id: u64) -> Result<u64, &'static str> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err("the database is down");
        }
        Ok(self.rows.lock().unwrap().get(&id).copied().unwrap_or_default())
    }

    /// A hit whose verification waits in its load, as later loads do.
    async fn hit_that_waits(&self, id: u64) -> Gate {
        let gate = Gate::new();
        *self.gate.lock().unwrap() = Some(gate.clone());
        row(self.clone(), id).await.unwrap();
        gate.reached().await;
        gate
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    /// How many verifications have ended like this.
    fn ended(&self, how: &str) -> u64 {
        ended(&self.cache, how)
    }

    async fn until_ended(&self, how: &str, times: u64) {
        until(async || self.ended(how) >= times).await;
    }

    fn found(&self) -> u64 {
        self.cache.stats().total().inconsistencies
    }
}

fn ended(cache: &Cache, how: &str) -> u64 {
    let metrics = cache.stats().metrics();
    let ends = metrics.iter().find(|metric| metric.name == "cache_verifications_total").unwrap();
    let samples = ends.samples.iter().filter(|sample| sample.labels.contains(&("ended", how.to_owned())));
    samples.map(|sample| if let MetricValue::Count(count) = sample.value { count } else { 0 }).sum()
}

/// Each hit is verified.
#[cached(prefix = "row", ttl = "1h", tags = ["rows", "row:{id}"], verify = 1.0, skip(app), cache = app.cache)]
async fn row(app: App, id: u64) -> Result<u64, &'static str> {
    app.read(id).await
}

/// Those that the cache says.
#[cached(prefix = "some", ttl = "1h", verify, skip(app), cache = app.cache)]
async fn some(app: &App, id: u64) -> Result<u64, &'static str> {
    app.read(id).await
}

#[cached(prefix = "sum", ttl = "1h", skip(app), verify = 1, cache = app.cache)]
async fn sum(app: App) -> Result<u64, &'static str> {
    Ok(row(app.clone(), 1).await? + row(app, 2).await?)
}

each_store! {
async fn a_hit_is_loaded_again_and_nothing_is_stored(store: TestStore) {
    let app = App::new(store.cache().await);
    app.set(1, 10);
    assert_eq!(row(app.clone(), 1).await, Ok(10));
    assert_eq!(app.loads(), 1, "a miss is not verified");
    assert_eq!(row(app.clone(), 1).await, Ok(10));
    app.until_ended("same", 1).await;
    let stats = app.cache.stats().prefix("row");
    assert_eq!((stats.loads, stats.verifying_loads, stats.fills, stats.inconsistencies), (2, 1, 1, 0));
    assert_eq!((stats.hits, stats.misses, stats.refreshes), (1, 1, 0));
}

async fn an_invalidation_that_comes_during_the_load_explains_a_difference(store: TestStore) {
    let app = App::new(store.cache().await);
    for (id, invalidation) in [
        (1, Invalidation::new().key(row::key(&1))),
        (2, Invalidation::new().tag("row:2")),
        (3, Invalidation::new().pattern("row:3*")),
    ] {
        row(app.clone(), id).await.unwrap();
        let gate = app.hit_that_waits(id).await;
        app.set(id, 100 + id);
        app.cache.invalidate(invalidation).await.unwrap();
        *app.gate.lock().unwrap() = None;
        gate.open_for_good();
        app.until_ended("overtaken", id).await;
    }
    assert_eq!(app.found(), 0);
}

async fn a_difference_under_a_closed_name_is_not_looked_at(store: TestStore) {
    let app = App::new(store.cache().await);
    row(app.clone(), 1).await.unwrap();
    let gate = app.hit_that_waits(1).await;
    let closing = app.cache.close(Invalidation::new().tag("rows")).await.unwrap();
    app.set(1, 11);
    gate.open_for_good();
    app.until_ended("overtaken", 1).await;
    closing.open().await.unwrap();
}

async fn a_value_that_was_loaded_anew_meanwhile_is_not_compared_any_more(store: TestStore) {
    let app = App::new(store.cache().await);
    row(app.clone(), 1).await.unwrap();
    let gate = app.hit_that_waits(1).await;
    *app.gate.lock().unwrap() = None;
    app.set(1, 11);
    row::refresh(app.clone(), 1).await.unwrap();
    gate.open_for_good();
    app.until_ended("overtaken", 1).await;
}

async fn a_change_that_is_on_its_way_to_its_invalidation_is_looked_at_again(store: TestStore) {
    let app = App::new(store.cache().await);
    row(app.clone(), 1).await.unwrap();
    app.set(1, 11);
    row(app.clone(), 1).await.unwrap();
    until(async || app.loads() == 2).await;
    // The first look has found a difference if it has not ended by the time of the second one.
    app.set(1, 0);
    app.until_ended("same_later", 1).await;
    assert_eq!((app.loads(), app.found()), (3, 0));
}

async fn what_stands_inside_of_a_load_is_verified_by_itself_alone(store: TestStore) {
    let app = App::new(store.cache().await);
    sum(app.clone()).await.unwrap();
    sum(app.clone()).await.unwrap();
    app.until_ended("same", 1).await;
    assert_eq!((ended(&app.cache, "same"), app.cache.stats().total().verifying_loads), (1, 1));
}

async fn a_load_that_fails_or_panics_says_nothing(store: TestStore) {
    let app = App::new(store.cache().await);
    row(app.clone(), 1).await.unwrap();
    app.fails.store(true, Ordering::SeqCst);
    row(app.clone(), 1).await.unwrap();
    app.until_ended("load_failed", 1).await;
    panicking(app.clone()).await;
    panicking(app.clone()).await;
    app.until_ended("load_failed", 2).await;
    assert_eq!(app.cache.stats().total().hidden_failures, 0);
}
}

/// Panics the second time.
#[cached(prefix = "panics", ttl = "1h", verify = 1, skip(app), cache = app.cache)]
async fn panicking(app: App) -> u64 {
    let panics = app.fails.swap(true, Ordering::SeqCst) && app.rows.lock().unwrap().contains_key(&99);
    app.set(99, 0);
    assert!(!panics, "on purpose");
    0
}

/// Lets what runs in the background go on, without a step of the clock.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn one_percent() -> App {
    App::new(Cache::builder().verify(0.01).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_invalidation_is_found_within_a_thousand_calls_at_one_percent() {
    fastrand::seed(5);
    let app = one_percent();
    some(&app, 1).await.unwrap();
    app.set(1, 11);
    let (log, _listening) = Log::listen();
    for _ in 0..1_000 {
        assert_eq!(some(&app, 1).await, Ok(0));
        tokio::task::yield_now().await;
    }
    let looked_at = app.loads();
    assert!(looked_at > 1, "one of a thousand calls is looked at");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(app.found(), 0, "it may still be invalidated");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(app.found(), 1);
    let ages = app.cache.stats().to_prometheus();
    let age = r#"cache_inconsistent_entry_age_seconds_bucket{cache="cache",prefix="some",le="600"} 1"#;
    assert!(ages.contains(age), "{ages}");
    let text = log.text();
    let line = text.lines().find(|line| line.contains("nothing has invalidated it")).expect("a line");
    assert!(line.contains("WARN") && line.contains("some:1"), "{line}");
    assert!(text.contains("prefix=\"some\" count=1 age_ms=60000"), "{text}");
    assert!(text.contains("loaded in"), "it has what `explain` says: {text}");
}

#[tokio::test(start_paused = true)]
async fn one_line_a_minute_tells_of_all_that_were_found() {
    let app = App::new(Cache::builder().build().unwrap());
    for id in 0..8 {
        row(app.clone(), id).await.unwrap();
        app.set(id, 11);
    }
    let (log, _listening) = Log::listen();
    let lines = || log.text().matches("nothing has invalidated it").count();
    for id in 0..8 {
        row(app.clone(), id).await.unwrap();
        settle().await;
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((app.found(), lines()), (8, 1), "{}", log.text());
    row(app.clone(), 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((app.found(), lines()), (9, 2), "it is found again as long as it is there");
    assert!(log.text().contains("count=8"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_new_tags_alone_are_invalidated_is_found() {
    /// Belongs to what it says.
    #[cached(prefix = "moving", ttl = "1h", tags = ["at:{result}"], verify = 1, skip(app), cache = app.cache)]
    async fn moving(app: App) -> Result<u64, &'static str> {
        app.read(1).await
    }
    let app = App::new(Cache::in_memory());
    moving(app.clone()).await.unwrap();
    app.set(1, 11);
    moving(app.clone()).await.unwrap();
    settle().await;
    app.cache.invalidate_tag("at:11").await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(app.found(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_between_two_looks_is_the_end() {
    for (at, invalidates) in [(500, true), (5_000, true), (59_900, true), (61_000, false)] {
        let app = App::new(Cache::in_memory());
        row(app.clone(), 1).await.unwrap();
        app.set(1, 11);
        row(app.clone(), 1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(at)).await;
        app.cache.invalidate_tag("rows").await.unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!((app.ended("overtaken"), app.found()), (u64::from(invalidates), u64::from(!invalidates)), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn loads_that_verify_are_few_at_once_and_the_rest_is_counted() {
    let app = App::new(Cache::in_memory());
    for id in 0..8 {
        row(app.clone(), id).await.unwrap();
    }
    let gate = Gate::new();
    *app.gate.lock().unwrap() = Some(gate.clone());
    for id in 0..8 {
        row(app.clone(), id).await.unwrap();
        row(app.clone(), id).await.unwrap();
    }
    settle().await;
    assert_eq!((app.loads(), app.ended("dropped")), (8 + 4, 16 - 4));
    gate.open_for_good();
    settle().await;
    assert_eq!(app.ended("same"), 4);
    // A hundred may be saved up, and each real load adds a tenth.
    *app.gate.lock().unwrap() = None;
    for _ in 0..200 {
        row(app.clone(), 1).await.unwrap();
        settle().await;
    }
    let verified = app.cache.stats().total().verifying_loads;
    assert!((100..115).contains(&verified), "{verified}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_what_waits_for_its_next_look() {
    let app = App::new(Cache::in_memory());
    row(app.clone(), 1).await.unwrap();
    app.set(1, 11);
    row(app.clone(), 1).await.unwrap();
    settle().await;
    assert_eq!(app.loads(), 2);
    assert!(app.cache.shutdown(Duration::from_secs(1)).await.is_empty());
    row(app.clone(), 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((app.loads(), app.found()), (2, 0));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sets {
    map: HashMap<u64, u64>,
    set: HashSet<String>,
}

#[tokio::test(start_paused = true)]
async fn another_order_is_no_difference() {
    #[cached(prefix = "sets", ttl = "1h", verify = 1, skip(app), cache = app.cache)]
    async fn sets(app: App) -> Option<Sets> {
        app.loads.fetch_add(1, Ordering::SeqCst);
        let map = (0..50).map(|id| (id, id)).collect();
        Some(Sets { map, set: (0..50).map(|id: u64| id.to_string()).collect() })
    }
    let app = App::new(Cache::in_memory());
    for _ in 0..10 {
        sets(app.clone()).await;
        settle().await;
    }
    assert_eq!((app.loads(), app.ended("same")), (10, 9));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h", verify = 1)]
struct Declared(u64);

#[tokio::test(start_paused = true)]
async fn the_function_says_the_share_else_its_type_else_the_cache() {
    #[cached(prefix = "none", ttl = "1h", verify = 0, skip(app), cache = app.cache)]
    async fn none(app: App) -> Declared {
        Declared(app.read(1).await.unwrap())
    }
    #[cached(prefix = "of-type", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
    async fn of_type(app: App) -> Declared {
        Declared(app.read(1).await.unwrap())
    }
    #[cached(prefix = "of-cache", ttl = "1h", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
    async fn of_cache(app: App) -> u64 {
        app.read(1).await.unwrap()
    }
    #[cached(prefix = "never", ttl = "1h", skip(app), cache = app.cache)]
    async fn never(app: App) -> Declared {
        Declared(app.read(1).await.unwrap())
    }
    for share in [0.0, 1.0] {
        let app = App::new(Cache::builder().verify(share).build().unwrap());
        for _ in 0..2 {
            none(app.clone()).await;
            of_type(app.clone()).await;
            of_cache(app.clone()).await;
            never(app.clone()).await;
            settle().await;
        }
        let stats = app.cache.stats();
        let verified = ["none", "of-type", "of-cache", "never"].map(|prefix| stats.prefix(prefix).verifying_loads);
        assert_eq!(verified, [0, 1, share as u64, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_verified_and_a_stale_value_is_not() {
    #[cached(prefix = "copy", ttl = "1h", near = "1h", verify = 1, skip(app), cache = app.cache)]
    async fn copy(app: App) -> u64 {
        app.read(1).await.unwrap()
    }
    #[cached(prefix = "stale", ttl = "1s", stale_while_revalidate = "1h", verify = 1, skip(app), cache = app.cache)]
    async fn stale(app: App) -> u64 {
        app.read(1).await.unwrap()
    }
    let app = App::new(Cache::in_memory());
    for _ in 0..3 {
        copy(app.clone()).await;
        settle().await;
    }
    assert_eq!(app.ended("same"), 2);
    stale(app.clone()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stale(app.clone()).await;
    settle().await;
    assert_eq!(app.cache.stats().prefix("stale").verifying_loads, 0);
}

/// A right program: each change is invalidated a moment later, by writers that run beside the
/// calls.
async fn accuses_nobody(calls: u64, share: f64) -> App {
    fastrand::seed(7);
    let app = App::new(Cache::builder().verify(share).build().unwrap());
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (app, is_over) = (app.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut at = 0;
                while !is_over.load(Ordering::SeqCst) {
                    at += 1;
                    let id = (at * 7 + writer) % 20;
                    app.set(id, at * 10 + writer);
                    for _ in 0..at % 5 {
                        tokio::task::yield_now().await;
                    }
                    app.cache.invalidate(Invalidation::new().key(some::key(&id))).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for call in 0..calls {
        some(&app, fastrand::u64(..20)).await.unwrap();
        tokio::task::yield_now().await;
        if call % 1_000 == 0 {
            // Time for the next look, while the writers go on.
            tokio::time::advance(Duration::from_secs(11)).await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    app
}

/// `CACHE_TEST_VERIFIED_CALLS=1000000` makes a million of them.
#[tokio::test(start_paused = true)]
async fn no_entry_of_a_right_program_is_reported() {
    let calls = std::env::var("CACHE_TEST_VERIFIED_CALLS").map_or(20_000, |calls| calls.parse().unwrap());
    let app = accuses_nobody(calls, 0.5).await;
    let ends = ["same", "same_later", "overtaken", "dropped", "inconsistent"].map(|how| (how, app.ended(how)));
    println!("{calls} calls: {ends:?}");
    assert_eq!((app.found(), app.ended("inconsistent")), (0, 0));
    assert!(app.ended("same") > 100 && app.ended("overtaken") > 0, "{ends:?}");
}

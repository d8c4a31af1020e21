//! What is counted adds up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_core::{Cache, MetricValue, Stats, cached, invalidates};
use cache_tests::{TestStore, each_store, until};
use serde::{Serialize, Serializer};

struct Source {
    cache: Cache,
    loads: AtomicU64,
    is_down: AtomicBool,
}

impl Source {
    async fn read(&self) -> Result<u64, &'static str> {
        let loads = self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.is_down.load(Ordering::SeqCst) { Err("the source is down") } else { Ok(loads) }
    }
}

/// An argument that cannot be encoded if it is odd.
#[derive(Clone, Copy)]
struct Picky(u64);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 2 {
            0 => serializer.serialize_u64(self.0),
            _ => Err(serde::ser::Error::custom("odd")),
        }
    }
}

#[cached(prefix = "plain", ttl = "1h", skip(app), cache = app.cache)]
async fn plain(app: &Source, id: u64) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "close-by", ttl = "1h", near = "1h", skip(app), cache = app.cache)]
async fn close_by(app: &Source, id: u64) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "late", ttl = "1ms", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
async fn late(app: Arc<Source>, id: u64) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "shy", ttl = "1ms", stale_if_error = "1h", skip(app), cache = app.cache)]
async fn shy(app: &Source, id: u64) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "picky", ttl = "1h", skip(app), cache = app.cache)]
async fn picky(app: &Source, id: Picky) -> Result<u64, &'static str> {
    _ = id;
    app.read().await
}

#[cached(prefix = "many", ttl = "1h", each = ids, skip(app), cache = app.cache)]
async fn many(app: &Source, ids: &[u64]) -> Result<BTreeMap<u64, u64>, &'static str> {
    let loaded = app.read().await?;
    Ok(ids.iter().map(|id| (*id, loaded)).collect())
}

#[invalidates(keys = [plain(id), close_by(id)], cache = app.cache)]
async fn change(app: &Source, id: u64) {
    _ = (app, id);
}

/// One call, and perhaps others of the same key at the same time. Returns how many calls it made.
async fn some_calls(app: &Arc<Source>, random: &mut fastrand::Rng) -> u64 {
    let id = random.u64(..6);
    match random.u64(..8) {
        0 => {
            let calls = tokio::join!(plain(app, id), plain(app, id), plain(app, id));
            _ = calls;
            3
        }
        1 => {
            _ = tokio::join!(close_by(app, id), close_by(app, id));
            2
        }
        2 => {
            _ = tokio::join!(late(app.clone(), id), late(app.clone(), id));
            2
        }
        3 => {
            _ = tokio::join!(shy(app, id), shy(app, id), shy(app, id));
            3
        }
        4 => {
            _ = picky(app, Picky(id)).await;
            1
        }
        5 => {
            _ = many(app, &[id, id + 1, id + 2]).await;
            3
        }
        6 => {
            change(app, id).await;
            0
        }
        _ => {
            app.is_down.store(random.u8(..4) == 0, Ordering::SeqCst);
            0
        }
    }
}

/// The sum of the values of a counter with these labels.
fn sum_of(stats: &Stats, name: &str, labels: &[(&str, &str)]) -> u64 {
    let metrics = stats.metrics();
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    let with_labels = metric.samples.iter().filter(|sample| {
        labels.iter().all(|(name, value)| sample.labels.iter().any(|(known, is)| known == name && is == value))
    });
    let counts = with_labels.map(|sample| match &sample.value {
        MetricValue::Count(count) => *count,
        MetricValue::Histogram { count, .. } => *count,
        other => panic!("{name} is no counter: {other:?}"),
    });
    counts.sum()
}

each_store! {
async fn each_call_has_one_result(store: TestStore) {
    let seed = std::env::var("CACHE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CACHE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let app = Source { cache: store.cache().await, loads: AtomicU64::new(0), is_down: AtomicBool::new(false) };
    let app = Arc::new(app);
    let mut calls = 0;
    for _ in 0..2_000 {
        calls += some_calls(&app, &mut random).await;
    }
    app.cache.end_refreshes();
    let stats = app.cache.stats();
    for (prefix, counts) in &stats {
        let hits = (counts.hits + counts.near_hits, counts.stale_hits - counts.stand_ins <= counts.hits);
        assert!(hits.1 && counts.shared + counts.stand_ins <= counts.misses, "{prefix}: {counts:?}");
    }
    let total = stats.total();
    assert_eq!(total.hits + total.near_hits + total.misses + total.bypasses, calls, "{stats}");
    let seen = [total.hits, total.stale_hits, total.stand_ins, total.shared, total.misses, total.bypasses];
    assert!(seen.iter().all(|count| *count > 0), "{stats}");
    assert!(total.failed_loads > 0 && total.failed_loads < total.loads, "{total:?}");
    let results = sum_of(&stats, "cache_calls_total", &[]);
    assert_eq!(results, calls);
    // A refresh that was under way has been cancelled.
    until(async || {
        let stats = app.cache.stats();
        sum_of(&stats, "cache_loads_total", &[]) == stats.total().loads
    })
    .await;
    assert!(sum_of(&stats, "cache_fills_total", &[("outcome", "stored")]) == total.fills, "{stats}");
}
}

each_store! {
async fn what_an_invalidation_removes_is_counted_by_kind_and_size(store: TestStore) {
    let app = Source { cache: store.cache().await, loads: AtomicU64::new(0), is_down: AtomicBool::new(false) };
    for id in 0..3 {
        plain(&app, id).await.unwrap();
    }
    change(&app, 0).await;
    app.cache.invalidate_pattern("plain:*").await.unwrap();
    app.cache.clear().await.unwrap();
    let stats = app.cache.stats();
    for kind in ["names", "pattern", "clear"] {
        assert_eq!(sum_of(&stats, "cache_invalidations_total", &[("kind", kind), ("outcome", "ok")]), 1, "{kind}");
    }
    assert_eq!(sum_of(&stats, "cache_invalidations_total", &[]), 3);
    assert_eq!(sum_of(&stats, "cache_invalidated_entries_total", &[("prefix", "plain")]), 3);
    assert_eq!(sum_of(&stats, "cache_invalidation_entries", &[]), 3);
    for (operation, asked) in [("get", 3), ("take_lease", 3), ("fill", 3), ("write", 0)] {
        let labels = [("operation", operation)];
        assert_eq!(sum_of(&stats, "cache_store_operation_duration_seconds", &labels), asked, "{operation}");
    }
}
}

#[tokio::test]
async fn a_key_that_is_text_is_no_label() {
    let cache = Cache::in_memory();
    let load = || async { Ok::<_, &str>(1) };
    cache.get_or_load("SECRET5b1f", load).await.unwrap();
    cache.get_or_load("known:SECRET5b1f", load).await.unwrap();
    let text = format!("{:?}", cache.stats().metrics());
    assert!(!text.contains("SECRET5b1f"), "{text}");
    assert!(text.contains("known") && text.contains("~other"), "{text}");
}

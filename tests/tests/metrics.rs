//! What is counted adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_core::{Cache, Invalidation, MetricValue, Stats, cached, invalidates, prometheus_text};
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
    app.cache.explain(plain::key(&1)).await.unwrap();
    app.cache.preview(Invalidation::new().key(plain::key(&1))).await.unwrap();
    let stats = app.cache.stats();
    for (operation, asked) in
        [("get", 3), ("take_lease", 3), ("fill", 3), ("write", 0), ("release_lease", 0), ("explain", 1), ("preview", 2)]
    {
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

/// A line of Prometheus' text format that holds a value.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Line {
    fn parse(line: &str) -> Self {
        let (name, mut rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
        let mut labels = BTreeMap::new();
        while let Some((label, quoted)) = rest.split_once("=\"") {
            let (mut value, mut chars) = (String::new(), quoted.char_indices());
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("no end of a value: {line}")) {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, c @ ('\\' | '"'))) => c,
                        other => panic!("\\{other:?} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.trim_start_matches(',').to_owned(), value).is_none(), "{line}");
            rest = &quoted[end + 1..];
        }
        let value = rest.strip_prefix("} ").unwrap_or_else(|| panic!("no value: {line}"));
        Self { name: name.to_owned(), labels, value: value.parse().unwrap() }
    }

    /// Without the bound of a bucket.
    fn series(&self) -> BTreeMap<String, String> {
        self.labels.iter().filter(|(name, _)| *name != "le").map(|(name, is)| (name.clone(), is.clone())).collect()
    }
}

/// Each metric's kind and lines.
fn parsed(text: &str) -> BTreeMap<String, (String, Vec<Line>)> {
    let mut metrics = BTreeMap::<String, (String, Vec<Line>)>::new();
    let (mut current, mut helped) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').unwrap().0.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, helped, "each has its help first");
            current = name.to_owned();
            assert!(metrics.insert(current.clone(), (kind.to_owned(), Vec::new())).is_none(), "{name} comes twice");
        } else {
            let (kind, lines) = metrics.get_mut(&current).unwrap();
            let line = Line::parse(line);
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| line.name == format!("{current}{suffix}")), "{line:?}");
            let twice = |known: &Line| (&known.name, &known.labels) == (&line.name, &line.labels);
            assert!(!lines.iter().any(twice), "{line:?} comes twice");
            lines.push(line);
        }
    }
    metrics
}

#[track_caller]
fn holds_by_the_rules((name, (kind, lines)): (&String, &(String, Vec<Line>))) {
    assert!(!lines.is_empty(), "{name}");
    assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    for line in lines {
        assert!(line.labels.contains_key("cache"), "{line:?}");
    }
    if kind != "histogram" {
        return;
    }
    for count in lines.iter().filter(|line| line.name.ends_with("_count")) {
        let buckets = lines.iter().filter(|line| line.name.ends_with("_bucket") && line.series() == count.labels);
        let buckets: Vec<(f64, f64)> = buckets.map(|line| (line.labels["le"].parse().unwrap(), line.value)).collect();
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{name}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count.value)), "{name}");
    }
}

each_store! {
async fn the_text_for_prometheus_holds_by_its_rules(store: TestStore) {
    let (one, other) = (store.cache().await, Cache::builder().namespace("other").build().unwrap());
    let app = Source { cache: one.clone(), loads: AtomicU64::new(0), is_down: AtomicBool::new(false) };
    for id in 0..3 {
        plain(&app, id).await.unwrap();
        plain(&app, id).await.unwrap();
    }
    change(&app, 0).await;
    let load = || async { Ok::<_, &str>(1) };
    other.get_or_load("a\\b\"c{},d=e:1", load).await.unwrap();
    let text = prometheus_text([&one.stats(), &other.stats()]);
    if let Some(file) = std::env::var_os("CACHE_TEST_METRICS_TO") {
        std::fs::write(file, &text).unwrap();
    }
    let metrics = parsed(&text);
    metrics.iter().for_each(holds_by_the_rules);
    let (_, calls) = &metrics["cache_calls_total"];
    let of = |cache: &str, prefix: &str, result: &str| {
        let labels = [("cache", cache), ("prefix", prefix), ("result", result)];
        let labels: BTreeMap<String, String> = labels.map(|(name, is)| (name.to_owned(), is.to_owned())).into();
        calls.iter().find(|line| line.labels == labels).map(|line| line.value)
    };
    assert_eq!(of(store.namespace(), "plain", "miss"), Some(3.0));
    assert_eq!(of(store.namespace(), "plain", "hit"), Some(3.0));
    assert_eq!(of("other", "a\\b\"c{},d=e", "miss"), Some(1.0), "{calls:?}");
    assert_eq!(metrics.contains_key("cache_connections"), store.kind().is_some());
}
}

#[tokio::test]
async fn the_page_names_each_metric_and_no_other() {
    let page = include_str!("../../cache-core/docs/metrics.md");
    let quoted = page.split('`').skip(1).step_by(2).filter(|word| word.starts_with("cache_") && !word.contains("::"));
    let named: BTreeSet<&str> = quoted.collect();
    let embedded = Cache::in_memory().stats().metrics();
    let server = Cache::open("redis://127.0.0.1:1").unwrap().stats().metrics();
    let there: BTreeSet<&str> = embedded.iter().chain(&server).map(|metric| metric.name).collect();
    assert_eq!(named, there);
}

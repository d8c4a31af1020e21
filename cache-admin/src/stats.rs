//! The counters of one cache as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use cache_core::{MemoryUse, Metric, MetricKind, MetricSample, MetricValue, Stats, UnstoredReason};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Parameters};
use crate::desk::Desk;
use crate::limits::STREAMS_MAX;

pub(crate) async fn stats(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let stats = watched.cache.stats();
    let metrics = stats.metrics();
    let wanted: Vec<&str> = parameters.all("metric").collect();
    let told: Vec<_> =
        metrics.iter().filter(|metric| wanted.is_empty() || wanted.contains(&metric.name)).filter_map(metric).collect();
    Ok(Json(json!({
        "cache": watched.name,
        "at_ms": wall_ms(),
        "uptime_ms": u64::try_from(desk.cost.uptime().as_millis()).unwrap_or(u64::MAX),
        "stats": stats,
        "unstored": unstored(&metrics),
        "reasons": reasons(&stats),
        "metrics": told,
        "memory": watched.cache.memory().map(memory),
        "admin": desk.cost.told(STREAMS_MAX - desk.streams.available_permits()),
    })))
}

/// The wall time of this process, in ms since the epoch.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Of each prefix that may be said, the reasons for which values were not stored, with their
/// counts.
pub(crate) fn unstored(metrics: &[Metric]) -> BTreeMap<&str, BTreeMap<&str, u64>> {
    let mut by_prefix = BTreeMap::<_, BTreeMap<_, _>>::new();
    for sample in metrics.iter().filter(|metric| metric.name == "cache_fills_total").flat_map(|metric| &metric.samples)
    {
        let label = |wanted: &str| sample.labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| &**value);
        if let (Some(prefix), Some(reason), MetricValue::Count(count @ 1..)) =
            (label("prefix"), label("outcome"), &sample.value)
            && reason != "stored"
        {
            by_prefix.entry(prefix).or_default().insert(reason, *count);
        }
    }
    by_prefix
}

/// What each reason means that came up.
fn reasons(stats: &Stats) -> Map<String, Value> {
    let reasons = stats.total().unstored_by_reason();
    let told = |reason: UnstoredReason| json!({ "words": reason.words, "way_out": reason.way_out });
    reasons.map(|reason| (reason.reason.to_owned(), told(reason))).collect()
}

fn memory(memory: MemoryUse) -> Value {
    let MemoryUse { entries, bytes, bytes_max, evictions, .. } = memory;
    json!({ "entries": entries, "bytes": bytes, "bytes_max": bytes_max, "evictions": evictions })
}

/// `None`: it has counted nothing.
fn metric(metric: &Metric) -> Option<Value> {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        _ => "other",
    };
    let samples: Vec<_> = metric.samples.iter().filter(|sample| says_something(sample)).map(sample).collect();
    let told = json!({ "name": metric.name, "kind": kind, "help": metric.help, "samples": samples });
    (!samples.is_empty()).then_some(told)
}

/// A thousand prefixes have ten thousand counters that are 0.
fn says_something(sample: &MetricSample) -> bool {
    !matches!(sample.value, MetricValue::Count(0) | MetricValue::Histogram { count: 0, .. })
}

fn sample(MetricSample { labels, value, .. }: &MetricSample) -> Value {
    let labels: Map<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    match value {
        MetricValue::Count(count) => json!({ "labels": labels, "value": count }),
        MetricValue::Gauge(value) => json!({ "labels": labels, "value": value }),
        MetricValue::Histogram { up_to, count, sum } => {
            json!({ "labels": labels, "up_to": up_to, "count": count, "sum": sum })
        }
        _ => json!({ "labels": labels }),
    }
}

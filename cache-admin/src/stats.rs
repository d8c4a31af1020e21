//! The counters of one cache as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use cache_core::{MemoryUse, Metric, MetricKind, MetricSample, MetricValue, Stats};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Parameters};
use crate::desk::Desk;
use crate::limits::STREAMS_MAX;

pub(crate) async fn stats(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let stats = watched.cache.stats();
    let (unstored, reasons) = unstored(&stats);
    let mut told = json!({
        "cache": watched.name,
        "at_ms": wall_ms(),
        "uptime_ms": u64::try_from(desk.cost.uptime().as_millis()).unwrap_or(u64::MAX),
        "stats": stats,
        "unstored": unstored,
        "reasons": reasons,
        "memory": watched.cache.memory().map(memory),
        "admin": desk.cost.told(STREAMS_MAX - desk.streams.available_permits()),
    });
    if parameters.one("metrics") != Some("false") {
        told["metrics"] = stats.metrics().iter().filter(|metric| says_something(metric)).map(metric).collect();
    }
    Ok(Json(told))
}

/// The wall time of this process, in ms since the epoch.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

type Reasons = BTreeMap<&'static str, u64>;

/// Of each prefix the reasons with their counts, and what each reason means.
fn unstored(stats: &Stats) -> (BTreeMap<&str, Reasons>, Map<String, Value>) {
    let (mut by_prefix, mut reasons) = (BTreeMap::<&str, Reasons>::new(), Map::new());
    for (prefix, counted) in stats {
        for reason in counted.unstored_by_reason() {
            by_prefix.entry(prefix).or_default().insert(reason.reason, reason.count);
            reasons.insert(reason.reason.to_owned(), json!({ "words": reason.words, "way_out": reason.way_out }));
        }
    }
    (by_prefix, reasons)
}

fn memory(memory: MemoryUse) -> Value {
    let MemoryUse { entries, bytes, bytes_max, evictions, .. } = memory;
    json!({ "entries": entries, "bytes": bytes, "bytes_max": bytes_max, "evictions": evictions })
}

fn says_something(metric: &Metric) -> bool {
    metric.samples.iter().any(|sample| match &sample.value {
        MetricValue::Count(count) => *count > 0,
        MetricValue::Gauge(value) => *value != 0.0,
        MetricValue::Histogram { count, .. } => *count > 0,
        _ => true,
    })
}

fn metric(metric: &Metric) -> Value {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        _ => "other",
    };
    let samples: Vec<_> = metric.samples.iter().map(sample).collect();
    json!({ "name": metric.name, "kind": kind, "help": metric.help, "samples": samples })
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

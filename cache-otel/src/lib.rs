//! The metrics of cache-core as instruments of OpenTelemetry. They read one snapshot when the SDK
//! collects, so a hit pays nothing for them.
//!
//! What each means stands in cache-core's guide to metrics. The names are those of Prometheus in
//! OpenTelemetry's manner: `cache_calls_total` is `cache.calls`, and `cache_load_duration_seconds`
//! is `cache.load_duration` in `s`. OpenTelemetry has no histogram that is observed, so one becomes
//! three counters: `….bucket` with the attribute `le`, `….count` and `….sum`.
//!
//! # Example
//! ```
//! use cache_core::Cache;
//! use opentelemetry::global;
//!
//! let cache = Cache::builder().namespace("shop").build()?;
//! cache_otel::observe(&global::meter("cache"), &cache);
//! # Ok::<(), cache_core::Error>(())
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache_core::{Cache, Metric, MetricKind, MetricSample, MetricValue};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// For how long a snapshot serves the instruments: all of one collection, and not the next one.
const SNAPSHOT_LASTS: Duration = Duration::from_millis(100);

/// Makes an instrument of the meter for each metric of the cache. To be called once for each cache;
/// the namespace tells caches apart.
///
/// The instruments hold a handle of the cache, and last as long as the meter's provider: what the
/// cache does in the background goes on until then, or until
/// [`Cache::end_refreshes`](cache_core::Cache::end_refreshes).
///
/// # Cost
/// One [`Cache::stats`](cache_core::Cache::stats) for each collection.
pub fn observe(meter: &Meter, cache: &Cache) {
    let snapshots = Arc::new(Snapshots { cache: cache.clone(), last: Mutex::default() });
    for Metric { name, help, kind, .. } in cache.stats().metrics() {
        let instrument = Instrument { meter, snapshots: &snapshots, metric: name, help };
        match kind {
            MetricKind::Counter => instrument.counter("", |value| match value {
                MetricValue::Count(count) => vec![(None, *count)],
                _ => Vec::new(),
            }),
            MetricKind::Gauge => instrument.gauge(),
            MetricKind::Histogram => {
                instrument.counter(".bucket", |value| match value {
                    MetricValue::Histogram { up_to, count, .. } => {
                        let bounds = up_to.iter().map(|(bound, count)| (Some(bound.to_string()), *count));
                        bounds.chain([(Some("+Inf".to_owned()), *count)]).collect()
                    }
                    _ => Vec::new(),
                });
                instrument.counter(".count", |value| match value {
                    MetricValue::Histogram { count, .. } => vec![(None, *count)],
                    _ => Vec::new(),
                });
                instrument.sum();
            }
            _ => {}
        }
    }
}

/// Values of a counter, each with its bound if it is that of a bucket.
type Counts = Vec<(Option<String>, u64)>;

/// What one collection reads.
struct Snapshots {
    cache: Cache,
    last: Mutex<Option<(Instant, Arc<Vec<Metric>>)>>,
}

impl Snapshots {
    fn samples_of(&self, name: &str) -> Vec<MetricSample> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.take().filter(|(taken, _)| taken.elapsed() < SNAPSHOT_LASTS);
        let (taken, metrics) = fresh.unwrap_or_else(|| (Instant::now(), Arc::new(self.cache.stats().metrics())));
        let samples = metrics.iter().find(|metric| metric.name == name).map(|metric| metric.samples.clone());
        *last = Some((taken, metrics));
        samples.unwrap_or_default()
    }
}

/// One metric on its way to its instruments.
struct Instrument<'a> {
    meter: &'a Meter,
    snapshots: &'a Arc<Snapshots>,
    metric: &'static str,
    help: &'static str,
}

impl Instrument<'_> {
    /// The name by the conventions, and the unit.
    fn name(&self, suffix: &str) -> (String, &'static str) {
        let name = self.metric.trim_start_matches("cache_").trim_end_matches("_total");
        let (name, unit) = match (name.strip_suffix("_seconds"), name.strip_suffix("_bytes")) {
            (Some(name), _) => (name, if matches!(suffix, "" | ".sum") { "s" } else { "1" }),
            (_, Some(name)) => (name, "By"),
            _ => (name, "1"),
        };
        (format!("cache.{name}{suffix}"), unit)
    }

    /// A counter that each sample has some values for, each with its bound.
    fn counter(&self, suffix: &str, values: fn(&MetricValue) -> Counts) {
        let ((name, unit), metric, snapshots) = (self.name(suffix), self.metric, self.snapshots.clone());
        let counter = self.meter.u64_observable_counter(name).with_unit(unit).with_description(self.help);
        counter
            .with_callback(move |observer| {
                for MetricSample { labels, value, .. } in snapshots.samples_of(metric) {
                    for (bound, value) in values(&value) {
                        let bound = bound.map(|bound| KeyValue::new("le", bound));
                        observer.observe(value, &attributes(&labels).chain(bound).collect::<Vec<_>>());
                    }
                }
            })
            .build();
    }

    fn gauge(&self) {
        let ((name, unit), metric, snapshots) = (self.name(""), self.metric, self.snapshots.clone());
        let gauge = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(self.help);
        gauge
            .with_callback(move |observer| {
                for MetricSample { labels, value, .. } in snapshots.samples_of(metric) {
                    if let MetricValue::Gauge(value) = value {
                        observer.observe(value, &attributes(&labels).collect::<Vec<_>>());
                    }
                }
            })
            .build();
    }

    fn sum(&self) {
        let ((name, unit), metric, snapshots) = (self.name(".sum"), self.metric, self.snapshots.clone());
        let sums = self.meter.f64_observable_counter(name).with_unit(unit).with_description(self.help);
        sums.with_callback(move |observer| {
            for MetricSample { labels, value, .. } in snapshots.samples_of(metric) {
                if let MetricValue::Histogram { sum, .. } = value {
                    observer.observe(sum, &attributes(&labels).collect::<Vec<_>>());
                }
            }
        })
        .build();
    }
}

fn attributes(labels: &[(&'static str, String)]) -> impl Iterator<Item = KeyValue> {
    labels.iter().map(|(name, value)| KeyValue::new(*name, value.clone()))
}

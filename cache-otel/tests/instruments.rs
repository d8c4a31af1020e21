//! What the SDK collects is what the cache has counted.

use cache_core::Cache;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

/// The values of the last collection under this name, with their attributes in order.
fn values(exporter: &InMemoryMetricExporter, name: &str) -> Vec<(String, f64)> {
    let collections = exporter.get_finished_metrics().unwrap();
    let scopes = collections.last().unwrap().scope_metrics();
    let metric = scopes.flat_map(|scope| scope.metrics()).find(|metric| metric.name() == name);
    let labels = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
        let mut labels: Vec<String> = attributes.map(|label| format!("{}={}", label.key, label.value)).collect();
        labels.sort();
        labels.join(" ")
    };
    match metric.unwrap_or_else(|| panic!("no {name}")).data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            sum.data_points().map(|point| (labels(&mut point.attributes()), point.value() as f64)).collect()
        }
        AggregatedMetrics::F64(MetricData::Sum(sum)) => {
            sum.data_points().map(|point| (labels(&mut point.attributes()), point.value())).collect()
        }
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| (labels(&mut point.attributes()), point.value())).collect()
        }
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test]
async fn the_instruments_read_what_the_cache_has_counted() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let cache = Cache::builder().namespace("shop").build().unwrap();
    cache_otel::observe(&provider.meter("cache"), &cache);
    for _ in 0..3 {
        cache.get_or_load("flight:7", async || Ok::<_, &str>(7)).await.unwrap();
    }
    provider.force_flush().unwrap();
    let of = |name: &str, labels: &str| {
        values(&exporter, name).into_iter().find(|(known, _)| known == labels).unwrap_or_else(|| panic!("{labels}")).1
    };
    assert_eq!(of("cache.calls", "cache=shop prefix=flight result=hit"), 2.0);
    assert_eq!(of("cache.calls", "cache=shop prefix=flight result=miss"), 1.0);
    assert_eq!(of("cache.load_duration.count", "cache=shop prefix=flight"), 1.0);
    assert_eq!(of("cache.load_duration.bucket", "cache=shop le=+Inf prefix=flight"), 1.0);
    assert!(of("cache.load_duration.sum", "cache=shop prefix=flight") >= 0.0);
    assert_eq!(of("cache.memory_entries", "cache=shop"), 1.0);
    assert!(of("cache.memory", "cache=shop") > 0.0);
}

//! The metrics for the recorder of the crate `metrics`.

use metrics::Label;

use super::metrics::{MetricKind, MetricSample, MetricValue};
use super::stats::Stats;

impl Stats {
    /// Hands the [metrics](Self::metrics) to the recorder of the crate `metrics` that is installed.
    /// To be called again and again, such as every ten seconds, or before each scrape. Feature
    /// `metrics`.
    ///
    /// The facade takes the values of a histogram one by one, which would have to be paid for by
    /// each call. So a histogram is published as the counters `…_bucket` and `…_count` and the
    /// gauge `…_sum`.
    ///
    /// # Example
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = cache_core::Cache::in_memory();
    /// # let program = async {
    /// loop {
    ///     cache.stats().publish();
    ///     tokio::time::sleep(Duration::from_secs(10)).await;
    /// }
    /// # };
    /// # let _ = tokio::time::timeout(Duration::from_millis(1), program).await;
    /// # }
    /// ```
    pub fn publish(&self) {
        for metric in self.metrics() {
            let name = metric.name;
            match metric.kind {
                MetricKind::Counter => metrics::describe_counter!(name, metric.help),
                MetricKind::Gauge => metrics::describe_gauge!(name, metric.help),
                MetricKind::Histogram => {
                    metrics::describe_counter!(format!("{name}_bucket"), metric.help);
                    metrics::describe_counter!(format!("{name}_count"), metric.help);
                    metrics::describe_gauge!(format!("{name}_sum"), metric.help);
                }
            }
            metric.samples.iter().for_each(|sample| publish(name, sample));
        }
    }
}

fn publish(name: &'static str, MetricSample { labels, value }: &MetricSample) {
    let labels: Vec<Label> = labels.iter().map(|(name, is)| Label::new(*name, is.clone())).collect();
    match value {
        MetricValue::Count(count) => metrics::counter!(name, labels).absolute(*count),
        MetricValue::Gauge(value) => metrics::gauge!(name, labels).set(*value),
        MetricValue::Histogram { up_to, count, sum } => {
            let bounds = up_to.iter().map(|(bound, count)| (bound.to_string(), *count));
            for (bound, count) in bounds.chain([("+Inf".to_owned(), *count)]) {
                let mut labels = labels.clone();
                labels.push(Label::new("le", bound));
                metrics::counter!(format!("{name}_bucket"), labels).absolute(count);
            }
            metrics::counter!(format!("{name}_count"), labels.clone()).absolute(*count);
            metrics::gauge!(format!("{name}_sum"), labels).set(*sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use crate::observe::{CounterTable, Event};

    /// Keeps the last value of everything.
    #[derive(Default)]
    struct LastValues(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl LastValues {
        fn of(&self, key: &Key) -> Arc<AtomicU64> {
            let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
            let name = labels.fold(key.name().to_owned(), |name, label| format!("{name} {label}"));
            self.0.lock().unwrap().entry(name).or_default().clone()
        }

        fn value(&self, name: &str) -> u64 {
            self.0.lock().unwrap()[name].load(Ordering::Relaxed)
        }
    }

    impl Recorder for LastValues {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.of(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.of(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            panic!("each value would have to be recorded")
        }
    }

    #[test]
    fn what_is_published_again_is_not_counted_twice() {
        let counted = CounterTable::default();
        let counters = counted.prefix("flight");
        counters.may_be_said();
        counters.note(Event::Hit);
        counters.load_ended(Some(Duration::from_millis(2)));
        let recorder = LastValues::default();
        metrics::with_local_recorder(&recorder, || {
            counted.snapshot().publish();
            counters.note(Event::Hit);
            counted.snapshot().publish();
        });
        assert_eq!(recorder.value("cache_calls_total cache= prefix=flight result=hit"), 2);
        assert_eq!(recorder.value("cache_load_duration_seconds_bucket cache= prefix=flight le=0.001"), 0);
        assert_eq!(recorder.value("cache_load_duration_seconds_bucket cache= prefix=flight le=0.0025"), 1);
        assert_eq!(recorder.value("cache_load_duration_seconds_count cache= prefix=flight"), 1);
        let sum = recorder.value("cache_load_duration_seconds_sum cache= prefix=flight");
        assert_eq!(f64::from_bits(sum), 0.002);
    }
}

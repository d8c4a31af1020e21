//! The metrics as text for Prometheus.

use std::fmt::{self, Write};

use super::metrics::{Metric, MetricKind, MetricSample, MetricValue};
use super::stats::Stats;

impl Stats {
    /// The [metrics](Self::metrics) in Prometheus' text format, version 0.0.4: what a handler of
    /// `/metrics` answers, with `Content-Type: text/plain; version=0.0.4`.
    ///
    /// For more than one cache in a process, [`prometheus_text`](crate::prometheus_text) says each
    /// metric once.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let cache = cache_core::Cache::builder().namespace("shop").build().unwrap();
    /// # let load = || async { Ok::<_, std::convert::Infallible>(42) };
    /// # cache.get_or_load("answer:7", load).await.unwrap();
    /// let text = cache.stats().to_prometheus();
    /// let misses = r#"cache_calls_total{cache="shop",prefix="answer",result="miss"} 1"#;
    /// assert!(text.contains(misses), "{text}");
    /// # }
    /// ```
    pub fn to_prometheus(&self) -> String {
        prometheus_text([self])
    }
}

/// The metrics of several caches in Prometheus' text format: see [`Stats::to_prometheus`]. Two
/// caches of one namespace are one cache to Prometheus, so give them different ones.
pub fn prometheus_text<'a>(caches: impl IntoIterator<Item = &'a Stats>) -> String {
    let mut metrics: Vec<Metric> = Vec::new();
    for metric in caches.into_iter().flat_map(Stats::metrics) {
        match metrics.iter_mut().find(|known| known.name == metric.name) {
            Some(known) => known.samples.extend(metric.samples),
            None => metrics.push(metric),
        }
    }
    let mut text = String::new();
    for metric in metrics.iter().filter(|metric| !metric.samples.is_empty()) {
        // A `String` takes whatever it is given.
        let _ = write_metric(&mut text, metric);
    }
    text
}

fn write_metric(text: &mut String, metric: &Metric) -> fmt::Result {
    let Metric { name, help, kind, samples } = metric;
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    for MetricSample { labels, value } in samples {
        match value {
            MetricValue::Count(count) => write_line(text, name, "", labels, None, count)?,
            MetricValue::Gauge(value) => write_line(text, name, "", labels, None, value)?,
            MetricValue::Histogram { up_to, count, sum } => {
                for (bound, count) in up_to {
                    write_line(text, name, "_bucket", labels, Some(&bound), count)?;
                }
                write_line(text, name, "_bucket", labels, Some(&"+Inf"), count)?;
                write_line(text, name, "_sum", labels, None, sum)?;
                write_line(text, name, "_count", labels, None, count)?;
            }
        }
    }
    Ok(())
}

fn write_line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<&dyn fmt::Display>,
    value: &dyn fmt::Display,
) -> fmt::Result {
    write!(text, "{name}{suffix}{{")?;
    for (at, (label, value)) in labels.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(text, "{comma}{label}=\"")?;
        write_escaped(text, value);
        text.push('"');
    }
    if let Some(bound) = bound {
        write!(text, ",le=\"{bound}\"")?;
    }
    writeln!(text, "}} {value}")
}

fn write_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut text = String::new();
        write_escaped(&mut text, "a\\b\"c\nd{},e");
        assert_eq!(text, r#"a\\b\"c\nd{},e"#);
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let value = MetricValue::Histogram { up_to: vec![(0.0001, 1), (2.5, 3)], count: 4, sum: 10.25 };
        let samples = vec![MetricSample { labels: vec![("cache", "shop".to_owned())], value }];
        let metric = Metric { name: "load_seconds", help: "Loads.", kind: MetricKind::Histogram, samples };
        let mut text = String::new();
        write_metric(&mut text, &metric).unwrap();
        let expected = "\
# HELP load_seconds Loads.
# TYPE load_seconds histogram
load_seconds_bucket{cache=\"shop\",le=\"0.0001\"} 1
load_seconds_bucket{cache=\"shop\",le=\"2.5\"} 3
load_seconds_bucket{cache=\"shop\",le=\"+Inf\"} 4
load_seconds_sum{cache=\"shop\"} 10.25
load_seconds_count{cache=\"shop\"} 4
";
        assert_eq!(text, expected);
    }
}

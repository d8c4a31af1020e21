//! Everything that is counted, as metrics: with names, units and labels. This is the only list of
//! them; every way out of the process reads it.

use std::collections::BTreeMap;

use super::calls::CallResult;
use super::histogram::{AGE_BOUNDS_MS, ENTRY_BOUNDS, HistogramCounts, TIME_BOUNDS_US};
use super::not_stored::NotStored;
use super::stats::{PrefixStats, Stats};
use super::unreadable::Unreadable;
use super::verified::VerificationEnd;
use super::waits::WaitEnd;
use super::whole::{InvalidationKind, StoreOperation};

/// One metric of a cache, with all its values. Made by [`Stats::metrics`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// By the rules of Prometheus: `cache_calls_total`.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// How its values are to be read.
    pub kind: MetricKind,
    /// Its values, each with other labels.
    pub samples: Vec<MetricSample>,
}

/// How the values of a [`Metric`] are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, from the start of the process on.
    Counter,
    /// It is as it is at this moment.
    Gauge,
    /// How many values there were up to each bound.
    Histogram,
}

/// One value of a [`Metric`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricSample {
    /// Names and values. The values are namespaces, prefixes and words of a fixed list; never a
    /// key, a tag or an argument.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: MetricValue,
}

/// The value of a [`MetricSample`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricValue {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Gauge(f64),
    /// Of a histogram.
    Histogram {
        /// The upper bounds, ascending, each with the number of values up to it.
        up_to: Vec<(f64, u64)>,
        /// The number of all values.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

type Labels = Vec<(&'static str, String)>;

/// The metrics so far, in the order in which they are named first.
struct Metrics<'a> {
    cache: &'a str,
    metrics: Vec<Metric>,
}

impl Metrics<'_> {
    fn begin(&mut self, kind: MetricKind, name: &'static str, help: &'static str) {
        self.metrics.push(Metric { name, help, kind, samples: Vec::new() });
    }

    /// A value of the metric that was begun last.
    fn sample(&mut self, labels: &[(&'static str, &str)], value: MetricValue) {
        let mut all: Labels = vec![("cache", self.cache.to_owned())];
        all.extend(labels.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if let Some(metric) = self.metrics.last_mut() {
            metric.samples.push(MetricSample { labels: all, value });
        }
    }

    fn count(&mut self, labels: &[(&'static str, &str)], count: u64) {
        self.sample(labels, MetricValue::Count(count));
    }

    fn times(&mut self, labels: &[(&'static str, &str)], times: &HistogramCounts) {
        self.histogram(labels, times, &TIME_BOUNDS_US, 1e6);
    }

    fn histogram(&mut self, labels: &[(&'static str, &str)], counts: &HistogramCounts, bounds: &[u64], unit: f64) {
        let up_to = counts.up_to(bounds).map(|(bound, count)| (bound as f64 / unit, count)).collect();
        let (count, sum) = (counts.count(), counts.sum as f64 / unit);
        self.sample(labels, MetricValue::Histogram { up_to, count, sum });
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.begin(MetricKind::Gauge, name, help);
        self.sample(&[], MetricValue::Gauge(value));
    }

    /// A counter of each prefix.
    fn each(
        &mut self,
        prefixes: &BTreeMap<&str, PrefixStats>,
        (name, help): (&'static str, &'static str),
        count: impl Fn(&PrefixStats) -> u64,
    ) {
        self.begin(MetricKind::Counter, name, help);
        for (prefix, stats) in prefixes {
            self.count(&[("prefix", prefix)], count(stats));
        }
    }

    /// Of a long list of words those that have counted something under this prefix.
    fn happened<'w>(
        &mut self,
        prefix: &str,
        label: &'static str,
        counts: impl Iterator<Item = (&'w &'static str, u64)>,
    ) {
        for (word, count) in counts.filter(|(_, count)| *count > 0) {
            self.count(&[("prefix", prefix), (label, word)], count);
        }
    }

    /// A counter of each prefix and of each label.
    fn each_with<const N: usize>(
        &mut self,
        prefixes: &BTreeMap<&str, PrefixStats>,
        (name, help): (&'static str, &'static str),
        label: &'static str,
        counts: impl Fn(&PrefixStats) -> [(&'static str, u64); N],
    ) {
        self.begin(MetricKind::Counter, name, help);
        for (prefix, stats) in prefixes {
            for (value, count) in counts(stats) {
                self.count(&[("prefix", prefix), (label, value)], count);
            }
        }
    }
}

impl Stats {
    /// Everything that was counted, as metrics with names, units and labels. The page on
    /// [metrics](crate::guide::metrics) says what each means.
    ///
    /// A prefix that is the whole of a key given as text is not said: it counts as `~other`.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Metrics { cache: &self.cache, metrics: Vec::new() };
        let prefixes = self.spoken();
        metrics.calls(&prefixes);
        metrics.loads(&prefixes);
        metrics.fills(&prefixes);
        metrics.invalidations(self, &prefixes);
        metrics.verifications(&prefixes);
        metrics.store(self, &prefixes);
        metrics.memory(self);
        metrics.metrics
    }
}

impl Metrics<'_> {
    fn calls(&mut self, prefixes: &BTreeMap<&str, PrefixStats>) {
        let about = ("cache_calls_total", "Calls of cached functions, each key of a batch by itself, by result.");
        self.each_with(prefixes, about, "result", |stats| {
            let stale = stats.stale_hits.saturating_sub(stats.stand_ins);
            CallResult::ALL.map(|result| {
                let count = match result {
                    CallResult::Hit => stats.hits.saturating_sub(stale),
                    CallResult::NearHit => stats.near_hits,
                    CallResult::Stale => stale,
                    CallResult::StandIn => stats.stand_ins,
                    CallResult::Shared => stats.shared,
                    CallResult::Miss => stats.misses.saturating_sub(stats.shared + stats.stand_ins),
                    CallResult::Bypass => stats.bypasses,
                };
                (result.word(), count)
            })
        });
        let help = "Waits for another's load of the same key, by how they ended.";
        self.begin(MetricKind::Counter, "cache_waits_total", help);
        for (prefix, stats) in prefixes {
            self.happened(prefix, "ended", WaitEnd::LABELS.iter().zip(stats.details.waits));
        }
        let help = "Time that hits have spared, if each would have taken as long as the mean load of its prefix.";
        self.begin(MetricKind::Gauge, "cache_saved_seconds", help);
        for (prefix, stats) in prefixes {
            self.sample(&[("prefix", prefix)], MetricValue::Gauge(stats.time_saved().as_secs_f64()));
        }
    }

    fn loads(&mut self, prefixes: &BTreeMap<&str, PrefixStats>) {
        let about = ("cache_loads_total", "Runs of the wrapped functions that have ended, by outcome.");
        self.each_with(prefixes, about, "outcome", |stats| {
            let ended = stats.details.load_times.count() + stats.details.untimed_loads;
            [
                ("ok", ended.saturating_sub(stats.failed_loads)),
                ("failed", stats.failed_loads),
                ("cancelled", stats.cancelled_loads),
            ]
        });
        self.begin(
            MetricKind::Histogram,
            "cache_load_duration_seconds",
            "Time that the wrapped functions took, whatever they returned.",
        );
        for (prefix, stats) in prefixes {
            self.times(&[("prefix", prefix)], &stats.details.load_times);
        }
        let about = ("cache_refreshes_total", "Loads in the background, of stale values and early ones.");
        self.each(prefixes, about, |stats| stats.refreshes);
        let about = ("cache_hidden_failures_total", "Failures of loads that no caller saw.");
        self.each(prefixes, about, |stats| stats.hidden_failures);
    }

    fn fills(&mut self, prefixes: &BTreeMap<&str, PrefixStats>) {
        let help = "Values that were loaded or written, by what became of them: stored, or the reason why not.";
        self.begin(MetricKind::Counter, "cache_fills_total", help);
        for (prefix, stats) in prefixes {
            self.count(&[("prefix", prefix), ("outcome", "stored")], stats.fills);
            self.happened(prefix, "outcome", NotStored::LABELS.iter().zip(stats.details.not_stored));
        }
        let help = "Stored bytes that could not be used, by the reason.";
        self.begin(MetricKind::Counter, "cache_bad_entries_total", help);
        for (prefix, stats) in prefixes {
            let reasons = Unreadable::LABELS.iter().zip(stats.details.unreadable);
            // One is always there: a rate of what appears when it first happens misses that.
            for (reason, count) in reasons.filter(|(reason, count)| *count > 0 || **reason == "corrupt") {
                self.count(&[("prefix", prefix), ("reason", reason)], count);
            }
        }
    }

    fn invalidations(&mut self, stats: &Stats, prefixes: &BTreeMap<&str, PrefixStats>) {
        let whole = &stats.whole;
        let help = "Invalidations and writes that have ended in this process, retries included.";
        self.begin(MetricKind::Counter, "cache_invalidations_total", help);
        for (kind, [ok, failed]) in InvalidationKind::LABELS.iter().zip(whole.invalidations) {
            self.count(&[("kind", kind), ("outcome", "ok")], ok);
            self.count(&[("kind", kind), ("outcome", "failed")], failed);
        }
        let help = "Time that these took, all round trips together.";
        self.begin(MetricKind::Histogram, "cache_invalidation_duration_seconds", help);
        self.times(&[], &whole.invalidation_times);
        let help = "Entries that one of them removed, dependents included.";
        self.begin(MetricKind::Histogram, "cache_invalidation_entries", help);
        self.histogram(&[], &whole.cascades, &ENTRY_BOUNDS, 1.0);
        let about = ("cache_invalidated_entries_total", "Entries that they removed, by the prefixes of their keys.");
        self.each(prefixes, about, |stats| stats.invalidated);
        // The reply of one round trip tells 32 prefixes apart.
        self.count(&[("prefix", "")], stats.unprefixed.invalidated);
        let help = "Names and patterns of failed invalidations that are still to be made good.";
        self.gauge("cache_owed_names", help, stats.state.owed as f64);
        let help = "Invalidations that failed, and were retried in the background.";
        self.begin(MetricKind::Counter, "cache_owed_invalidations_total", help);
        self.count(&[], stats.total().failed_invalidations);
    }

    fn verifications(&mut self, prefixes: &BTreeMap<&str, PrefixStats>) {
        let help = "Hits that were chosen to be loaded again and compared, by how that ended.";
        self.begin(MetricKind::Counter, "cache_verifications_total", help);
        for (prefix, stats) in prefixes {
            self.happened(prefix, "ended", VerificationEnd::LABELS.iter().zip(stats.details.verified.ends));
        }
        let help = "Ages of entries that were not what their loads return, though nothing had invalidated them.";
        self.begin(MetricKind::Histogram, "cache_inconsistent_entry_age_seconds", help);
        for (prefix, stats) in prefixes.iter().filter(|(_, stats)| stats.verifying_loads > 0) {
            self.histogram(&[("prefix", prefix)], &stats.details.verified.ages, &AGE_BOUNDS_MS, 1e3);
        }
    }

    fn store(&mut self, stats: &Stats, prefixes: &BTreeMap<&str, PrefixStats>) {
        self.begin(
            MetricKind::Histogram,
            "cache_store_operation_duration_seconds",
            "Time that the store took to answer, or to fail to.",
        );
        for (operation, counts) in StoreOperation::LABELS.iter().zip(&stats.whole.store) {
            self.times(&[("operation", operation)], &counts.times);
        }
        let help = "Store operations that failed or timed out.";
        self.begin(MetricKind::Counter, "cache_store_operation_failures_total", help);
        for (operation, counts) in StoreOperation::LABELS.iter().zip(&stats.whole.store) {
            self.count(&[("operation", operation)], counts.failed);
        }
        let about = ("cache_store_errors_total", "Store operations of calls that failed, or that the breaker refused.");
        self.each(prefixes, about, |stats| stats.errors);
        let help = "1 while the store has failed repeatedly and calls go past it.";
        self.gauge("cache_breaker_open", help, f64::from(u8::from(stats.state.is_breaker_open)));
        if let Some(links) = stats.state.links {
            self.gauge("cache_connections", "Connections that stand.", links.standing as f64);
            let help = "Connections that were made anew after they had been lost.";
            self.begin(MetricKind::Counter, "cache_reconnects_total", help);
            self.count(&[], links.remade);
            let help = "1 if the server's eviction policy may drop an index and keep what it leads to.";
            self.gauge("cache_evicts_bookkeeping", help, f64::from(u8::from(links.evicts_bookkeeping)));
            let help = "1 since another program has overwritten a key of the cache's bookkeeping.";
            self.gauge("cache_overwritten_bookkeeping", help, f64::from(u8::from(links.overwritten_bookkeeping)));
        }
    }

    fn memory(&mut self, stats: &Stats) {
        if let Some(memory) = stats.state.memory {
            self.gauge("cache_memory_entries", "Entries in the embedded store.", memory.entries as f64);
            self.gauge("cache_memory_bytes", "What they take.", memory.bytes as f64);
            self.gauge("cache_memory_limit_bytes", "What they may take.", memory.bytes_max as f64);
            let help = "Entries that had to give way to others.";
            self.begin(MetricKind::Counter, "cache_memory_evictions_total", help);
            self.count(&[], memory.evictions);
        }
    }
}

//! Counts of values by size, in buckets whose bounds never change.

use std::time::Duration;

use super::striped::Adding;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of times, in µs: from an answer of the embedded store to a load that nobody should
/// wait for.
pub(super) const TIME_BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];
/// Upper bounds of numbers of entries that one invalidation removed.
pub(super) const ENTRY_BOUNDS: [u64; 8] = [0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Upper bounds of ages of entries, in ms: a second, ten, a minute, ten, an hour, a day, a week.
pub(super) const AGE_BOUNDS_MS: [u64; 7] = [1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000, 604_800_000];

/// One bucket more than the most bounds: for what lies beyond them.
const BUCKETS: usize = TIME_BOUNDS_US.len() + 1;

/// A histogram that is counted in.
#[derive(Default)]
pub(super) struct HistogramCounter {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HistogramCounts {
    buckets: [u64; BUCKETS],
    /// Of the values, in their unit.
    pub(super) sum: u64,
}

impl HistogramCounter {
    pub(super) fn add_time(&self, time: Duration, adding: Adding) {
        // Not through `as_micros`, which counts in 128 bits.
        let micros = time.as_secs().saturating_mul(1_000_000) + u64::from(time.subsec_micros());
        self.add(&TIME_BOUNDS_US, micros, adding);
    }

    pub(super) fn add(&self, bounds: &[u64], value: u64, adding: Adding) {
        // What is usual ends at one of the first bounds.
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        adding.to(&self.buckets[bucket], 1);
        adding.to(&self.sum, value);
    }

    pub(super) fn counts(&self) -> HistogramCounts {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed));
        HistogramCounts { buckets, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl HistogramCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, more)| *bucket += more);
        self.sum += other.sum;
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// For each bound the number of values up to it.
    pub(super) fn up_to<'a>(&'a self, bounds: &'a [u64]) -> impl Iterator<Item = (u64, u64)> + 'a {
        let mut sum = 0;
        bounds.iter().zip(self.buckets).map(move |(bound, count)| {
            sum += count;
            (*bound, sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_each_bound_that_it_does_not_exceed() {
        let histogram = HistogramCounter::default();
        for time in [0, 100, 101, 59_999_999, 60_000_001] {
            histogram.add_time(Duration::from_micros(time), Adding::Shared);
        }
        let counts = histogram.counts();
        let up_to: Vec<(u64, u64)> = counts.up_to(&TIME_BOUNDS_US).collect();
        assert_eq!((up_to[0], up_to[1], up_to[15]), ((100, 2), (250, 3), (60_000_000, 4)));
        assert_eq!((counts.count(), counts.sum), (5, 120_000_201));
    }

    #[test]
    fn numbers_of_entries_have_bounds_of_their_own() {
        let histogram = HistogramCounter::default();
        [0, 1, 2, 2_000_000].into_iter().for_each(|entries| histogram.add(&ENTRY_BOUNDS, entries, Adding::Shared));
        let counts = histogram.counts();
        let up_to: Vec<u64> = counts.up_to(&ENTRY_BOUNDS).map(|(_, count)| count).collect();
        assert_eq!((up_to, counts.count()), (vec![1, 2, 3, 3, 3, 3, 3, 3], 4));
    }
}

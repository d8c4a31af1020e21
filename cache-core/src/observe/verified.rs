//! What came of hits that were loaded again and compared, and how many more loads that may cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::histogram::{AGE_BOUNDS_MS, HistogramCounter, HistogramCounts};
use super::striped::Adding;
use super::whole::labels;
use crate::clock::{self, Instant};
use crate::config::{VERIFY_LOADS_PER_SECOND, VERIFY_LOADS_SAVED_MAX, VERIFY_LOADS_SHARE};

labels! {
    /// How the verification of a hit ended.
    enum VerificationEnd {
        /// The load returned what was served.
        Same = "same",
        /// It did not, and a later one did.
        SameLater = "same_later",
        /// It did not, but the entry was invalidated or replaced meanwhile, or its TTL has ended.
        Overtaken = "overtaken",
        /// No load returned what was served, for a minute, and nothing has invalidated the entry.
        Inconsistent = "inconsistent",
        /// The load failed, panicked, or took too long.
        LoadFailed = "load_failed",
        /// The store did not answer.
        Unanswered = "unanswered",
        /// The entry has too many names to know whether one was invalidated.
        Undecided = "undecided",
        /// There was no place for it, or there were too many loads.
        Dropped = "dropped",
    }
}

/// The live counters of one prefix.
#[derive(Default)]
pub(super) struct VerifiedCounters {
    ends: [AtomicU64; VerificationEnd::LABELS.len()],
    /// The ages of inconsistent entries.
    ages: HistogramCounter,
    allowance: VerifyAllowance,
}

/// What they have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VerifiedCounts {
    pub(super) ends: [u64; VerificationEnd::LABELS.len()],
    pub(super) ages: HistogramCounts,
}

impl VerifiedCounters {
    pub(super) fn ended(&self, end: VerificationEnd) {
        self.ends[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn found(&self, age: Duration) {
        self.ages.add(&AGE_BOUNDS_MS, clock::millis(age), Adding::Shared);
    }

    /// Whether one more load may verify, of a prefix that has loaded so often.
    pub(super) fn may_load(&self, loads: u64) -> bool {
        self.allowance.take(loads)
    }

    pub(super) fn counts(&self) -> VerifiedCounts {
        let ends = std::array::from_fn(|end| self.ends[end].load(Ordering::Relaxed));
        VerifiedCounts { ends, ages: self.ages.counts() }
    }
}

impl VerifiedCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.ends.iter_mut().zip(other.ends).for_each(|(sum, more)| *sum += more);
        self.ages.add(&other.ages);
    }
}

/// Loads that may verify yet: a share of all loads, and some for each second. Asked for sampled
/// hits alone.
#[derive(Default)]
struct VerifyAllowance(Mutex<Option<Saved>>);

struct Saved {
    loads: f64,
    at: Instant,
    /// All loads up to then.
    of: u64,
}

impl VerifyAllowance {
    fn take(&self, loads: u64) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = saved.get_or_insert_with(|| Saved { loads: VERIFY_LOADS_SAVED_MAX, at: clock::now(), of: loads });
        let by_time = clock::since(saved.at).as_secs_f64() * VERIFY_LOADS_PER_SECOND;
        let by_loads = loads.saturating_sub(saved.of) as f64 * VERIFY_LOADS_SHARE;
        let left = (saved.loads + by_time + by_loads).min(VERIFY_LOADS_SAVED_MAX);
        let may_load = left >= 1.0;
        *saved = Saved { loads: if may_load { left - 1.0 } else { left }, at: clock::now(), of: loads };
        may_load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn loads_that_verify_are_a_share_of_all_loads_and_one_a_second() {
        let allowance = VerifyAllowance::default();
        let taken = |loads: u64| (0..1_000).filter(|_| allowance.take(loads)).count();
        assert_eq!(taken(0), 100);
        assert_eq!(taken(0), 0);
        assert_eq!(taken(55), 5);
        tokio::time::advance(Duration::from_millis(7_500)).await;
        assert_eq!(taken(55), 8, "the halves of both make one");
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(taken(1_000_000), 100, "more is not saved up");
    }
}

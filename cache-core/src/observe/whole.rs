//! What is counted of a cache as a whole, because it belongs to no prefix.

use std::time::Duration;

use super::histogram::{ENTRY_BOUNDS, HistogramCounter, HistogramCounts};
use super::striped::{Adding, Striped};
use crate::config::SLOW_STORE_CALL;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Names the variants of an enum once for each, in the order of their discriminants.
macro_rules! labels {
    ($(#[$doc:meta])* enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        #[allow(dead_code, reason = "not every list is asked in every way")]
        impl $name {
            /// What each is called in metrics.
            pub(super) const LABELS: [&'static str; [$($label),*].len()] = [$($label),*];

            /// In the same order.
            pub(super) const EACH: [Self; Self::LABELS.len()] = [$(Self::$variant),*];

            pub(crate) fn label(self) -> &'static str {
                Self::LABELS[self as usize]
            }
        }
    };
}
pub(super) use labels;

labels! {
    /// What a store is asked for.
    enum StoreOperation {
        Get = "get",
        GetMany = "get_many",
        TakeLease = "take_lease",
        RenewLease = "renew_lease",
        ReleaseLease = "release_lease",
        ReadClock = "read_clock",
        Fill = "fill",
        Discard = "discard",
        Write = "write",
        Watch = "watch",
        Invalidate = "invalidate",
        Cascade = "cascade",
        Close = "close",
        Open = "open",
        Sweep = "sweep",
        Explain = "explain",
        Preview = "preview",
    }
}

labels! {
    /// What an invalidation names, and what it does to the names beside.
    enum InvalidationKind {
        Names = "names",
        Pattern = "pattern",
        Clear = "clear",
        Close = "close",
        Open = "open",
        Hold = "hold",
        Write = "write",
    }
}

/// The live counters.
pub(super) struct WholeCounters {
    /// From this time on an answer of the store is slow.
    pub(super) slow_store_call: Duration,
    store: Striped<[StoreOperationCounter; StoreOperation::LABELS.len()]>,
    invalidations: [[AtomicU64; 2]; InvalidationKind::LABELS.len()],
    invalidation_times: HistogramCounter,
    cascades: HistogramCounter,
}

impl Default for WholeCounters {
    fn default() -> Self {
        Self::new(SLOW_STORE_CALL)
    }
}

#[derive(Default)]
struct StoreOperationCounter {
    times: HistogramCounter,
    failed: AtomicU64,
}

/// What they have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WholeCounts {
    pub(super) store: [StoreOperationCounts; StoreOperation::LABELS.len()],
    /// Of each kind, those that succeeded and those that failed.
    pub(super) invalidations: [[u64; 2]; InvalidationKind::LABELS.len()],
    pub(super) invalidation_times: HistogramCounts,
    /// The numbers of entries that one invalidation removed.
    pub(super) cascades: HistogramCounts,
}

/// What one operation of the store has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreOperationCounts {
    pub(super) times: HistogramCounts,
    pub(super) failed: u64,
}

impl WholeCounters {
    pub(super) fn new(slow_store_call: Duration) -> Self {
        Self {
            slow_store_call,
            store: Striped::default(),
            invalidations: Default::default(),
            invalidation_times: HistogramCounter::default(),
            cascades: HistogramCounter::default(),
        }
    }

    pub(super) fn store_answered(&self, operation: StoreOperation, took: Duration, failed: bool) {
        let (counters, adding) = self.store.mine();
        let counter = &counters[operation as usize];
        counter.times.add_time(took, adding);
        if failed {
            adding.to(&counter.failed, 1);
        }
    }

    /// `removed`: the entries; `None`: it failed.
    pub(super) fn invalidation_ended(&self, kind: InvalidationKind, took: Duration, removed: Option<u64>) {
        self.invalidations[kind as usize][usize::from(removed.is_none())].fetch_add(1, Ordering::Relaxed);
        self.invalidation_times.add_time(took, Adding::Shared);
        if let Some(entries) = removed {
            self.cascades.add(&ENTRY_BOUNDS, entries, Adding::Shared);
        }
    }

    pub(super) fn counts(&self) -> WholeCounts {
        let mut counts = WholeCounts {
            invalidation_times: self.invalidation_times.counts(),
            cascades: self.cascades.counts(),
            ..WholeCounts::default()
        };
        for line in self.store.each() {
            for (sum, operation) in counts.store.iter_mut().zip(line) {
                sum.times.add(&operation.times.counts());
                sum.failed += operation.failed.load(Ordering::Relaxed);
            }
        }
        for (sums, kind) in counts.invalidations.iter_mut().zip(&self.invalidations) {
            sums.iter_mut().zip(kind).for_each(|(sum, count)| *sum = count.load(Ordering::Relaxed));
        }
        counts
    }
}

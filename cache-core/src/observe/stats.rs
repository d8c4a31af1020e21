//! What the cache did, counted per prefix.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::cache_state::CacheState;
use super::histogram::{HistogramCounter, HistogramCounts};
use super::not_stored::{NotStored, UnstoredReason};
use super::pace::Pace;
use super::relapses::Relapses;
use super::striped::Striped;
use super::trust::Trust;
use super::unreadable::{BadEntryReason, Unreadable};
use super::verified::{VerifiedCounters, VerifiedCounts};
use super::waits::WaitEnd;
use super::whole::{WholeCounters, WholeCounts};
use crate::config::{SLOW_STORE_CALL, STATS_PREFIXES_MAX};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The line that the prefixes beyond [`STATS_PREFIXES_MAX`] share. No prefix looks like this: `~`
/// is reserved.
pub(super) const OTHER_PREFIXES: &str = "~other";

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one prefix, or of all.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct PrefixStats {
            /// Calls that were served a stored value.
            pub hits: u64,
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that were served a copy in this process (`near`), without asking the store.
            /// They are not among the `hits`.
            pub near_hits: u64,
            /// Times the wrapped function ran, for whatever reason.
            pub loads: u64,
            /// Time spent in loads, summed. A disabled cache times those alone that are
            /// [observed](crate::observe).
            pub load_time: Duration,
            /// Time spent waiting for the store, summed.
            pub store_time: Duration,
            pub(super) details: Details,
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            $($name: AtomicU64,)*
            by_thread: Striped<ThreadCounters>,
            not_stored: [AtomicU64; NotStored::LABELS.len()],
            unreadable: [AtomicU64; Unreadable::LABELS.len()],
            waits: [AtomicU64; WaitEnd::LABELS.len()],
            pub(super) verified: VerifiedCounters,
            /// Those of the cache that these belong to.
            pub(super) whole: Arc<WholeCounters>,
            /// The expected bytes of one stored value; 0: none was seen. Not a statistic: batches
            /// size their commands by it.
            value_bytes: AtomicUsize,
            prefix: Box<str>,
            /// Whether that is more than the whole of a key that was given as text.
            is_spoken: AtomicBool,
            pub(super) pace: Pace,
            pub(crate) trust: Trust,
            pub(crate) relapses: Relapses,
            /// Warnings that were logged already, one bit each.
            said: AtomicU32,
        }

        impl Counters {
            fn snapshot(&self) -> PrefixStats {
                let details = self.details();
                PrefixStats {
                    hits: self.sum(|line| &line.hits),
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    near_hits: self.sum(|line| &line.near_hits),
                    loads: self.sum(|line| &line.loads),
                    load_time: Duration::from_micros(details.load_times.sum),
                    store_time: Duration::from_micros(self.sum(|line| &line.store_time_us)),
                    details,
                }
            }

            $(pub(super) fn $name(&self, count: u64) {
                self.$name.fetch_add(count, Ordering::Relaxed);
            })*
        }

        impl PrefixStats {
            /// Every counter with its name, for an exporter of metrics. The two times are not among
            /// them.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                let by_thread = [("near_hits", self.near_hits), ("loads", self.loads)];
                [("hits", self.hits), $((stringify!($name), self.$name),)*].into_iter().chain(by_thread)
            }

            pub(super) fn add(&mut self, other: &Self) {
                self.hits += other.hits;
                $(self.$name += other.$name;)*
                self.near_hits += other.near_hits;
                self.loads += other.loads;
                self.load_time += other.load_time;
                self.store_time += other.store_time;
                self.details.add(&other.details);
            }
        }
    };
}

/// What each hit counts, and each load: a load may be of a disabled cache.
#[derive(Default)]
struct ThreadCounters {
    hits: AtomicU64,
    near_hits: AtomicU64,
    store_time_us: AtomicU64,
    loads: AtomicU64,
    load_times: HistogramCounter,
    untimed_loads: AtomicU64,
}

/// What metrics say of a prefix beside its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) load_times: HistogramCounts,
    /// Loads that have ended and were not timed.
    pub(super) untimed_loads: u64,
    pub(super) not_stored: [u64; NotStored::LABELS.len()],
    pub(super) unreadable: [u64; Unreadable::LABELS.len()],
    pub(super) waits: [u64; WaitEnd::LABELS.len()],
    pub(super) verified: VerifiedCounts,
    /// The prefix is no whole key.
    pub(super) is_spoken: bool,
}

impl Details {
    fn add(&mut self, other: &Self) {
        self.load_times.add(&other.load_times);
        self.untimed_loads += other.untimed_loads;
        self.not_stored.iter_mut().zip(other.not_stored).for_each(|(sum, more)| *sum += more);
        self.unreadable.iter_mut().zip(other.unreadable).for_each(|(sum, more)| *sum += more);
        self.waits.iter_mut().zip(other.waits).for_each(|(sum, more)| *sum += more);
        self.verified.add(&other.verified);
    }
}

counters! {
    /// Calls that were not served a stored value: they loaded, or took the value that another call
    /// in this process was loading.
    misses,
    /// Of the misses, those that took another call's value.
    shared,
    /// Calls that were served a value past its TTL: hits within `stale_while_revalidate`, and
    /// misses whose load failed, or took longer than `load_timeout`, within `stale_if_error`.
    stale_hits,
    /// Of the misses, those that were served an older value, within `stale_if_error`.
    stand_ins,
    /// Background refreshes that loaded: of stale values, and early ones.
    refreshes,
    /// Loads whose failure no caller saw: background refreshes, loads with `finish` whose callers
    /// were gone, and loads for which `stale_if_error` served an older value.
    hidden_failures,
    /// Of the loads, those that ended with an error.
    failed_loads,
    /// Of the loads, those that were dropped before their end, or panicked.
    cancelled_loads,
    /// Values stored.
    fills,
    /// Values that the store refused, because something they depend on was invalidated meanwhile.
    refused_fills,
    /// Values not offered to the store: a limit was reached, a name or the value could not be
    /// encoded, its bytes would not have brought it back, or the load used another cache.
    unstored,
    /// Store operations that failed or timed out.
    errors,
    /// Calls that left the cache alone: a failed invalidation of one of their names is being
    /// retried, their key could not be encoded, or another function has their prefix.
    bypasses,
    /// Stored bytes that could not be used: corrupt, of another type or version, or, for a
    /// function, stored by text.
    bad_entries,
    /// Entries with keys of this prefix that invalidations and writes of this process removed,
    /// whatever they named. Of one round trip 32 prefixes are counted apart; what has another
    /// prefix is in the total alone.
    invalidated,
    /// Invalidations that failed, and were retried in the background.
    failed_invalidations,
    /// Loads of the `loads` that were made to verify hits.
    verifying_loads,
    /// Entries that were found inconsistent (`verify`): served, and not what their loads returned
    /// for a minute, though nothing had invalidated them. One counts again with each finding.
    inconsistencies,
}

impl Counters {
    fn new(prefix: &str, whole: Arc<WholeCounters>) -> Self {
        Self { prefix: prefix.into(), whole, ..Self::default() }
    }

    fn details(&self) -> Details {
        Details {
            load_times: self.load_times(),
            untimed_loads: self.sum(|line| &line.untimed_loads),
            not_stored: std::array::from_fn(|reason| self.not_stored[reason].load(Ordering::Relaxed)),
            unreadable: std::array::from_fn(|reason| self.unreadable[reason].load(Ordering::Relaxed)),
            waits: std::array::from_fn(|end| self.waits[end].load(Ordering::Relaxed)),
            verified: self.verified.counts(),
            is_spoken: self.is_spoken.load(Ordering::Relaxed),
        }
    }

    pub(super) fn are_of(&self, prefix: &str) -> bool {
        *self.prefix == *prefix
    }

    /// Whose counters these are, for a log; empty: nobody's. What may be a whole key is not said.
    pub(super) fn prefix(&self) -> &str {
        if self.is_spoken.load(Ordering::Relaxed) { &self.prefix } else { "" }
    }

    /// The prefix is a function's, or stands before the `:` of a key.
    pub(crate) fn may_be_said(&self) {
        if !self.is_spoken.load(Ordering::Relaxed) {
            self.is_spoken.store(true, Ordering::Relaxed);
        }
    }

    /// True the first time for each of the 32 possible things.
    pub(super) fn says_once(&self, thing: u32) -> bool {
        let bit = 1 << (thing % u32::BITS);
        self.said.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    fn sum(&self, read: fn(&ThreadCounters) -> &AtomicU64) -> u64 {
        self.by_thread.each().map(|line| read(line).load(Ordering::Relaxed)).sum()
    }

    fn load_times(&self) -> HistogramCounts {
        let mut times = HistogramCounts::default();
        self.by_thread.each().for_each(|line| times.add(&line.load_times.counts()));
        times
    }

    pub(super) fn hits(&self, count: u64) {
        let (mine, adding) = self.by_thread.mine();
        adding.to(&mine.hits, count);
    }

    /// A call was served a stored value. Apart from [`note`](Self::note), for it takes some ns.
    pub(crate) fn hit(&self) {
        self.hits(1);
    }

    /// A call was served a copy. It takes some ns, and so must this.
    pub(crate) fn near_hit(&self) {
        let (mine, adding) = self.by_thread.mine();
        adding.to(&mine.near_hits, 1);
    }

    pub(super) fn loads(&self, count: u64) {
        let (mine, adding) = self.by_thread.mine();
        adding.to(&mine.loads, count);
    }

    /// The wrapped function began to run. Apart, as well: a disabled cache does nothing else.
    pub(crate) fn load_began(&self) {
        self.loads(1);
    }

    /// The wrapped function ended, after this time if it was timed.
    pub(crate) fn load_ended(&self, took: Option<Duration>) {
        let (mine, adding) = self.by_thread.mine();
        match took {
            Some(took) => mine.load_times.add_time(took, adding),
            None => adding.to(&mine.untimed_loads, 1),
        }
    }

    pub(super) fn store_time(&self, time: Duration) {
        let micros = time.as_secs() * 1_000_000 + u64::from(time.subsec_micros());
        let (mine, adding) = self.by_thread.mine();
        adding.to(&mine.store_time_us, micros);
    }

    pub(super) fn count_unreadable(&self, reason: Unreadable) {
        self.bad_entries(1);
        self.unreadable[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_not_stored(&self, reason: NotStored) {
        self.not_stored[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wait_ended(&self, end: WaitEnd) {
        self.waits[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that `count` stored values had `bytes` bytes together.
    pub(crate) fn values_seen(&self, count: usize, bytes: usize) {
        let Some(mean) = bytes.checked_div(count) else { return };
        let before = self.value_bytes.load(Ordering::Relaxed);
        // The estimate rises at once and falls slowly, so that a few small values do not make a
        // batch ask for too large a reply.
        let expected = if before == 0 { mean } else { mean.max(before - before / 4 + mean / 4) };
        // Of two concurrent updates one may be lost; the next one makes up for it.
        self.value_bytes.store(expected.max(1), Ordering::Relaxed);
    }

    /// The expected bytes of one stored value, from the values that this process has read or stored
    /// in batches.
    pub(crate) fn value_bytes(&self) -> Option<usize> {
        Some(self.value_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Whether one more load may verify a hit.
    pub(crate) fn may_verify(&self) -> bool {
        self.verified.may_load(self.sum(|line| &line.loads))
    }
}

impl PrefixStats {
    /// The share of calls that were hits, near ones included, from 0 to 1; 0 before the first call.
    /// Bypasses are not counted.
    pub fn hit_rate(&self) -> f64 {
        let hits = self.hits + self.near_hits;
        match hits + self.misses {
            0 => 0.0,
            calls => hits as f64 / calls as f64,
        }
    }

    /// Why values were not stored, the refused ones included: each reason that came up, with how
    /// often and what to do about it.
    pub fn unstored_by_reason(&self) -> impl Iterator<Item = UnstoredReason> + use<> {
        NotStored::counted(&self.details.not_stored)
    }

    /// Why stored bytes were not served ([`bad_entries`](Self::bad_entries)): each reason that came
    /// up, with how often.
    pub fn bad_entries_by_reason(&self) -> impl Iterator<Item = BadEntryReason> + use<> {
        Unreadable::counted(&self.details.unreadable)
    }

    /// The time that the hits have spared, near ones included, if each would have taken as long as
    /// the mean load of this process.
    pub fn time_saved(&self) -> Duration {
        match self.details.load_times.count() {
            0 => Duration::ZERO,
            loads => self.load_time.div_f64(loads as f64).mul_f64((self.hits + self.near_hits) as f64),
        }
    }
}

/// The live counters of one cache.
pub(crate) struct CounterTable {
    /// Tells the tables of one process apart.
    pub(super) id: u64,
    by_prefix: RwLock<HashMap<Box<str>, Arc<Counters>>>,
    /// Counts that belong to no prefix, such as the entries that a tag reached.
    pub(crate) unprefixed: Counters,
    whole: Arc<WholeCounters>,
}

impl Default for CounterTable {
    fn default() -> Self {
        Self::new(SLOW_STORE_CALL)
    }
}

impl CounterTable {
    /// From this time on an answer of the store is said to be slow.
    pub(crate) fn new(slow_store_call: Duration) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let whole = Arc::new(WholeCounters::new(slow_store_call));
        Self { id, by_prefix: RwLock::default(), unprefixed: Counters::new("", whole.clone()), whole }
    }

    pub(crate) fn prefix(&self, prefix: &str) -> Arc<Counters> {
        if let Some(counters) = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner).get(prefix) {
            return counters.clone();
        }
        let mut by_prefix = self.by_prefix.write().unwrap_or_else(PoisonError::into_inner);
        // Text keys may be made of user input, so the number of prefixes must have a limit.
        let full = by_prefix.len() >= STATS_PREFIXES_MAX && !by_prefix.contains_key(prefix);
        let prefix = if full { OTHER_PREFIXES } else { prefix };
        by_prefix.entry(prefix.into()).or_insert_with(|| Arc::new(Counters::new(prefix, self.whole.clone()))).clone()
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let by_prefix = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner);
        let by_prefix: BTreeMap<_, _> =
            by_prefix.iter().map(|(prefix, counters)| (prefix.to_string(), counters.snapshot())).collect();
        let unprefixed = self.unprefixed.snapshot();
        let mut total = unprefixed.clone();
        by_prefix.values().for_each(|prefix| total.add(prefix));
        Stats { by_prefix, total, unprefixed, whole: self.whole.counts(), ..Stats::default() }
    }
}

/// What a cache did since it was made, in this process. Prints as a table, and iterates over its
/// prefixes.
///
/// A prefix that is the whole of a key given as text is not said by the table, by JSON or by
/// `Debug`: it counts there as `~other`. The iterator and [`prefix`](Self::prefix) have it.
///
/// As JSON: `{"total": {…}, "prefixes": {"flight": {"hits": 2, …}}}`, where each counter has its
/// name, and the two times are `load_time_us` and `store_time_us`. Later versions may add counters.
///
/// Counters are read one by one: calls that run meanwhile may count in some of them and not yet in
/// others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub(super) by_prefix: BTreeMap<String, PrefixStats>,
    total: PrefixStats,
    /// What belongs to no prefix.
    pub(super) unprefixed: PrefixStats,
    pub(super) whole: WholeCounts,
    /// The namespace.
    pub(super) cache: String,
    pub(super) state: CacheState,
}

impl Stats {
    pub(crate) fn of(self, namespace: &str, state: CacheState) -> Self {
        Self { cache: namespace.to_owned(), state, ..self }
    }

    /// All prefixes together.
    pub fn total(&self) -> &PrefixStats {
        &self.total
    }

    /// One prefix; all zero if it was never used.
    pub fn prefix(&self, prefix: &str) -> PrefixStats {
        self.by_prefix.get(prefix).cloned().unwrap_or_default()
    }

    /// Every prefix that was used, in order. The 1,025th and further share the line `~other`.
    pub fn prefixes(&self) -> impl Iterator<Item = (&str, &PrefixStats)> {
        self.into_iter()
    }

    /// The share of all calls that were hits, from 0 to 1.
    pub fn hit_rate(&self) -> f64 {
        self.total.hit_rate()
    }

    /// The prefixes that may be said: none that is the whole of a key given as text.
    pub(super) fn spoken(&self) -> BTreeMap<&str, PrefixStats> {
        let mut spoken = BTreeMap::<&str, PrefixStats>::new();
        for (prefix, stats) in self {
            let prefix = if stats.details.is_spoken { prefix } else { OTHER_PREFIXES };
            spoken.entry(prefix).or_default().add(stats);
        }
        spoken
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").field("total", &self.total).field("prefixes", &self.spoken()).finish_non_exhaustive()
    }
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stats = serializer.serialize_struct("Stats", 2)?;
        stats.serialize_field("total", &self.total)?;
        stats.serialize_field("prefixes", &self.spoken())?;
        stats.end()
    }
}

impl Serialize for PrefixStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let times = [("load_time_us", self.load_time), ("store_time_us", self.store_time)];
        let times = times.map(|(name, time)| (name, u64::try_from(time.as_micros()).unwrap_or(u64::MAX)));
        serializer.collect_map(self.counters().chain(times))
    }
}

#[cfg(test)]
mod tests;

//! What the cached calls of one future were, one by one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::OBSERVED_CALLS_MAX;

/// What a cached call was. Results have the same names in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallResult {
    /// It was served a stored value.
    Hit,
    /// It was served a copy in this process (`near`).
    NearHit,
    /// It was served a value past its TTL (`stale_while_revalidate`).
    Stale,
    /// It was served an older value in place of a load that failed or takes long
    /// (`stale_if_error`).
    StandIn,
    /// It was served the value of another call's load.
    Shared,
    /// It loaded.
    Miss,
    /// It left the cache alone, and loaded.
    Bypass,
}

impl CallResult {
    /// All of them, from a hit on.
    pub(super) const ALL: [Self; 7] =
        [Self::Hit, Self::NearHit, Self::Stale, Self::StandIn, Self::Shared, Self::Miss, Self::Bypass];

    /// What it is called in metrics and headers.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NearHit => "near_hit",
            Self::Stale => "stale",
            Self::StandIn => "stand_in",
            Self::Shared => "shared",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// One cached call of an [observed](crate::observe) future.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRecord {
    /// What it was.
    pub result: CallResult,
    /// The prefix of its function, type or key.
    pub prefix: String,
    /// The logical key; `None` if the call had none: an argument could not be encoded, or the cache
    /// is disabled.
    pub key: Option<String>,
    /// How long its load took; `None` if it did not load, or its load has not ended. The load of a
    /// batch counts for each of its keys.
    pub load_time: Option<Duration>,
}

/// The cached calls of an [observed](crate::observe) future, in the order in which it became known
/// what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLog {
    calls: Vec<CallRecord>,
    unrecorded: u64,
}

impl CallLog {
    /// The calls: 1,000 at most.
    pub fn calls(&self) -> &[CallRecord] {
        &self.calls
    }

    /// The number of calls beyond these.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded
    }

    /// The number of calls that were this.
    pub fn count(&self, result: CallResult) -> usize {
        self.calls.iter().filter(|call| call.result == result).count()
    }

    /// The time of all loads, one after the other.
    pub fn load_time(&self) -> Duration {
        self.calls.iter().filter_map(|call| call.load_time).sum()
    }

    fn add(&mut self, call: CallRecord) -> Option<usize> {
        if self.calls.len() >= OBSERVED_CALLS_MAX {
            self.unrecorded += 1;
            return None;
        }
        self.calls.push(call);
        Some(self.calls.len() - 1)
    }
}

/// Tells whoever observes the task of a call: what it was, its prefix, its key.
pub(crate) type TellCall = fn(CallResult, &str, Option<&str>) -> Option<CallMark>;

/// Writes the calls of one future down.
#[derive(Default)]
pub(crate) struct CallObserver {
    log: Mutex<CallLog>,
    /// Whose future this one is part of.
    outer: Option<Arc<CallObserver>>,
}

/// A call that was written down, and may become something else yet.
#[derive(Clone)]
pub(crate) struct CallMark {
    observer: Arc<CallObserver>,
    place: usize,
}

impl CallObserver {
    pub(crate) fn inside(outer: Option<Arc<CallObserver>>) -> Arc<Self> {
        Arc::new(Self { outer, ..Self::default() })
    }

    pub(crate) fn record(self: &Arc<Self>, result: CallResult, prefix: &str, key: Option<&str>) -> Option<CallMark> {
        let call = CallRecord { result, prefix: prefix.to_owned(), key: key.map(ToOwned::to_owned), load_time: None };
        Some(CallMark { observer: self.clone(), place: self.lock().add(call)? })
    }

    /// All that was written down. It goes to the outer observer as well.
    pub(crate) fn take(&self) -> CallLog {
        let log = std::mem::take(&mut *self.lock());
        if let Some(outer) = &self.outer {
            let mut all = outer.lock();
            all.unrecorded += log.unrecorded;
            log.calls.iter().for_each(|call| _ = all.add(call.clone()));
        }
        log
    }

    // A panic while the lock is held is one of the allocator's.
    fn lock(&self) -> MutexGuard<'_, CallLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallMark {
    /// Its load has ended.
    pub(crate) fn loaded(&self, took: Duration) {
        self.change(|call| call.load_time = Some(took));
    }

    /// It is served an older value.
    pub(crate) fn stands_in(&self) {
        self.change(|call| call.result = CallResult::StandIn);
    }

    fn change(&self, change: impl FnOnce(&mut CallRecord)) {
        // The log is empty once the future has ended.
        if let Some(call) = self.observer.lock().calls.get_mut(self.place) {
            change(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_records_is_bounded() {
        let observer = CallObserver::inside(None);
        for _ in 0..OBSERVED_CALLS_MAX + 2 {
            observer.record(CallResult::Hit, "p", None);
        }
        let log = observer.take();
        assert_eq!((log.calls().len(), log.unrecorded()), (OBSERVED_CALLS_MAX, 2));
    }

    #[test]
    fn an_outer_observer_is_told_of_the_same_calls() {
        let outer = CallObserver::inside(None);
        let inner = CallObserver::inside(Some(outer.clone()));
        let mark = inner.record(CallResult::Miss, "p", Some("p:1")).unwrap();
        mark.loaded(Duration::from_secs(1));
        let log = inner.take();
        mark.stands_in();
        assert_eq!((log.load_time(), log.count(CallResult::Miss)), (Duration::from_secs(1), 1));
        assert_eq!(outer.take(), log);
    }
}

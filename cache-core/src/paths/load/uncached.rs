//! A load that has nothing to do with the store: it is counted, and that is all.

use super::LoadRun;
use crate::observe::{CallMark, CallResult, Event, NotStored, SharedCounters};
use crate::runtime::{Runtime, provenance};

/// A load that has no entry, no lease and no followers, outside of any other load. Its body runs as
/// it would without a cache.
pub(crate) struct UncachedLoad {
    counters: SharedCounters,
    /// The call, if somebody observes it; one for each key of a call for many.
    marks: Option<Box<[CallMark]>>,
    is_timed: bool,
}

/// What is absent, so that a load has nothing to do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The cache is disabled.
    Store,
    /// The store would refuse the call at once.
    Answer,
    /// An argument cannot be encoded.
    Key,
}

impl Absence {
    /// What a call can know before it has a key. An enclosing load must know of the call, and an
    /// invalidation that is owed may concern it: then the call has to find out by itself.
    pub(crate) fn before_the_key(runtime: &Runtime) -> Option<Self> {
        if provenance::in_load() {
            return None;
        }
        match &runtime.store {
            None => Some(Self::Store),
            Some(store) => (store.refuses() && !runtime.debts.is_owing()).then_some(Self::Answer),
        }
    }

    /// What remains to be known once it is clear that the call has no key.
    pub(crate) fn without_a_key() -> Option<Self> {
        (!provenance::in_load()).then_some(Self::Key)
    }
}

impl UncachedLoad {
    pub(crate) fn new(counters: SharedCounters, prefix: &str, absence: Absence) -> Self {
        let result = if absence == Absence::Answer { CallResult::Miss } else { CallResult::Bypass };
        match absence {
            Absence::Store => {}
            Absence::Answer => {
                counters.note(Event::StoreRefusal);
                counters.note(Event::Miss);
            }
            Absence::Key => {
                counters.note(Event::Bypass);
                counters.note(Event::NotStored(NotStored::KeyUnspelled));
            }
        }
        let marks = marks(result, prefix, 1);
        // The two looks at the clock take longer than all the rest of a call of a disabled cache.
        Self { counters, is_timed: marks.is_some() || absence != Absence::Store, marks }
    }

    /// A load of so many keys, of a cache that is disabled.
    pub(crate) fn of_many(counters: SharedCounters, prefix: &str, keys: usize) -> Self {
        let marks = marks(CallResult::Bypass, prefix, keys);
        Self { counters, is_timed: marks.is_some(), marks }
    }

    /// The body is about to run.
    pub(crate) fn begin(&self) -> LoadRun {
        LoadRun::unrenewed(&self.counters, self.is_timed)
    }

    /// The body has run.
    pub(crate) fn end(&self, running: LoadRun) {
        let took = running.ended();
        self.marks.iter().flatten().for_each(|mark| mark.loaded(took));
    }

    /// The body failed.
    pub(crate) fn failed(&self) {
        self.counters.note(Event::LoadFailed);
    }
}

/// Tells whoever observes this task of so many calls.
fn marks(result: CallResult, prefix: &str, calls: usize) -> Option<Box<[CallMark]>> {
    if provenance::is_alone() {
        return None;
    }
    Some((0..calls).filter_map(|_| provenance::record(result, prefix, None)).collect())
}

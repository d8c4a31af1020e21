//! What a future outside of any load was made from: the names, and for how long they are fresh.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::invalidation::Cause;

/// What the output of a [traced](crate::Cache::trace) future was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    names: Vec<Cause>,
    is_complete: bool,
    lifetime: Option<TracedLifetime>,
}

impl Trace {
    /// `lifetime` is `None` if the output must not be kept.
    pub(crate) fn new(names: Vec<Cause>, is_complete: bool, lifetime: Option<TracedLifetime>) -> Self {
        Self { names, is_complete, lifetime }
    }

    /// The keys and tags of everything that was called, calls inside calls included, each once. An
    /// invalidation that removes any of it [tells](crate::InvalidationTrail) one of them at least.
    pub fn names(&self) -> &[Cause] {
        &self.names
    }

    /// Whether these are all names. Of more than `names_max` none is kept: then any invalidation
    /// may concern the output.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// For how long everything that was called is fresh: the least of what remains of their TTLs.
    /// Calls inside calls are part of the value that was served. `None`: nothing was called, or the
    /// output must not be kept, for of a call the value was not stored (its function failed, or an
    /// invalidation has overtaken it), or is past its TTL, or belongs to another cache.
    pub fn fresh_for(&self) -> Option<Duration> {
        self.lifetime.map(|lifetime| lifetime.fresh_for)
    }

    /// For how long it may be served after that while it is made anew: the least
    /// `stale_while_revalidate` of the functions that were called.
    pub fn stale_while_revalidate(&self) -> Duration {
        self.lifetime.map_or(Duration::ZERO, |lifetime| lifetime.stale_while_revalidate)
    }
}

/// For how long what was served is fresh, and may be served after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TracedLifetime {
    pub(crate) fresh_for: Duration,
    pub(crate) stale_while_revalidate: Duration,
}

impl TracedLifetime {
    fn and(self, other: Self) -> Self {
        Self {
            fresh_for: self.fresh_for.min(other.fresh_for),
            stale_while_revalidate: self.stale_while_revalidate.min(other.stale_while_revalidate),
        }
    }
}

/// Collects the lifetimes of the calls that a traced future makes itself.
#[derive(Default)]
pub(crate) struct LifetimeTracer(Mutex<TracedCalls>);

#[derive(Default)]
struct TracedCalls {
    /// Calls that have not been served anything whose lifetime is known.
    open: u64,
    least: Option<TracedLifetime>,
}

impl LifetimeTracer {
    /// A call has begun. Until its lifetime is known there is none: it may end in any way.
    pub(crate) fn begun(&self) {
        self.lock().open += 1;
    }

    /// What a call is served lasts for so long.
    pub(crate) fn served(&self, lifetime: TracedLifetime) {
        let mut calls = self.lock();
        calls.open = calls.open.saturating_sub(1);
        calls.least = Some(calls.least.map_or(lifetime, |least| least.and(lifetime)));
    }

    pub(crate) fn lifetime(&self) -> Option<TracedLifetime> {
        let calls = self.lock();
        calls.least.filter(|_| calls.open == 0)
    }

    // A panic while the lock is held is one of the allocator's.
    fn lock(&self) -> MutexGuard<'_, TracedCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What a load was made from: the names of every cached call inside it, handed outwards by
//! themselves.
//!
//! A name goes to every enclosing load at once, not when the inner call ends: so it does not matter
//! how the inner call ends (a hit, a load, `None`, an error, a value that was not stored, a dropped
//! future).

use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::name::Name;

tokio::task_local! {
    static CURRENT: Arc<Scope>;
}

/// One load in progress.
pub(crate) struct Scope {
    /// Which cache loads: names mean nothing in another one.
    cache_id: u64,
    key: Option<Arc<str>>,
    /// The keys of a batch.
    keys: HashSet<Arc<str>>,
    names_max: usize,
    parent: Option<Arc<Scope>>,
    collected: Mutex<Collected>,
    /// What waiting for a store that did not answer has cost the outermost call so far, in µs.
    lost_us: Arc<AtomicU64>,
}

/// The names of a load so far.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) names: BTreeSet<Name>,
    /// More than `names_max`: the value must not be stored.
    pub(crate) overflowed: bool,
    /// A call inside used another cache, or had a name that cannot be written, or was served a
    /// stale value: likewise.
    pub(crate) untraceable: bool,
}

impl Scope {
    /// A load that begins inside the current one, if there is one.
    pub(crate) fn new(cache_id: u64, key: Option<Arc<str>>, names_max: usize) -> Arc<Self> {
        Self::inside(current(), cache_id, key, HashSet::new(), names_max)
    }

    /// The same for a load of many keys.
    pub(crate) fn of_batch(cache_id: u64, keys: HashSet<Arc<str>>, names_max: usize) -> Arc<Self> {
        Self::inside(current(), cache_id, None, keys, names_max)
    }

    fn inside(
        parent: Option<Arc<Scope>>,
        cache_id: u64,
        key: Option<Arc<str>>,
        keys: HashSet<Arc<str>>,
        names_max: usize,
    ) -> Arc<Self> {
        let lost_us = parent.as_ref().map(|parent| parent.lost_us.clone()).unwrap_or_default();
        Arc::new(Self { cache_id, key, keys, names_max, parent, collected: Mutex::default(), lost_us })
    }

    /// The outermost call begins to load, and its store has not answered it for so long already.
    pub(crate) fn after(self: Arc<Self>, lost: Duration) -> Arc<Self> {
        if self.parent.is_none() {
            self.lose(lost);
        }
        self
    }

    fn lose(&self, time: Duration) {
        self.lost_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What waiting for a store that did not answer has cost the outermost call so far.
    pub(crate) fn lost(&self) -> Duration {
        Duration::from_micros(self.lost_us.load(Ordering::Relaxed))
    }

    /// Runs a load's body: cached calls in it hand their names to this scope and all around it.
    pub(crate) fn run<F: Future>(self: Arc<Self>, body: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self, body)
    }

    /// Adds what a load of which this one is a part has collected.
    pub(crate) fn inherit(&self, whole: &Collected) {
        self.add(self.cache_id, &whole.names);
        let mut collected = self.lock();
        collected.overflowed |= whole.overflowed;
        collected.untraceable |= whole.untraceable;
    }

    fn is_of(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key) || self.keys.contains(key)
    }

    /// What has been collected; the scope is empty after.
    pub(crate) fn take(&self) -> Collected {
        std::mem::take(&mut *self.lock())
    }

    /// The enclosing loads get these names; this one does not (it declared them, and counts them
    /// itself).
    pub(crate) fn hand_outwards<'a>(&self, names: impl IntoIterator<Item = &'a Name> + Clone) {
        for scope in self.outer() {
            scope.add(self.cache_id, names.clone());
        }
    }

    /// A name of this load could not be written: the enclosing loads must not be stored either.
    pub(crate) fn taint_outwards(&self) {
        for scope in self.outer() {
            scope.taint();
        }
    }

    fn outer(&self) -> impl Iterator<Item = &Arc<Scope>> {
        std::iter::successors(self.parent.as_ref(), |scope| scope.parent.as_ref())
    }

    fn add<'a>(&self, cache_id: u64, names: impl IntoIterator<Item = &'a Name>) {
        let mut collected = self.lock();
        if cache_id != self.cache_id {
            collected.untraceable = true;
            return;
        }
        for name in names {
            if collected.overflowed {
                return;
            }
            if !collected.names.contains(name) {
                collected.names.insert(name.clone());
            }
            if collected.names.len() > self.names_max {
                // The value is not stored: its names are of no more use than their memory is.
                collected.overflowed = true;
                collected.names = BTreeSet::new();
            }
        }
    }

    fn taint(&self) {
        self.lock().untraceable = true;
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current() -> Option<Arc<Scope>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Hands names to every load that this task is in. A call on another cache than a load's makes that
/// load unstorable.
pub(crate) fn hand_over<'a>(cache_id: u64, names: impl IntoIterator<Item = &'a Name> + Clone) {
    let _ = CURRENT.try_with(|scope| {
        for scope in std::iter::successors(Some(scope), |scope| scope.parent.as_ref()) {
            scope.add(cache_id, names.clone());
        }
    });
}

/// No load that this task is in may be stored: it was made from something that is too old.
pub(crate) fn taint() {
    let _ = CURRENT.try_with(|scope| {
        std::iter::successors(Some(scope), |scope| scope.parent.as_ref()).for_each(|scope| scope.taint());
    });
}

/// What waiting for a store that did not answer has cost the outermost call of this task so far:
/// nothing outside of a load.
pub(crate) fn lost() -> Duration {
    CURRENT.try_with(|scope| scope.lost()).unwrap_or_default()
}

/// The store did not answer this task for so long.
pub(crate) fn lose(time: Duration) {
    let _ = CURRENT.try_with(|scope| scope.lose(time));
}

/// Whether this task is in a load at all: the names of a hit are of no use otherwise.
pub(crate) fn in_load() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

/// Whether this task is loading `key` already, so that waiting for that load would be waiting for
/// itself.
pub(crate) fn is_loading(cache_id: u64, key: &str) -> bool {
    CURRENT
        .try_with(|scope| {
            std::iter::successors(Some(scope), |scope| scope.parent.as_ref())
                .any(|scope| scope.cache_id == cache_id && scope.is_of(key))
        })
        .unwrap_or(false)
}

/// Carries the load that this task is in into a future that runs elsewhere, such as a spawned task.
///
/// A task that is spawned inside a cached function leaves that function's load: what it reads from
/// the cache would not make the entry fall. Wrapped in this, it does. Outside a load this changes
/// nothing. What the future reads after the load has ended is lost, so await the task inside the
/// function.
///
/// # Example
/// ```
/// # async fn part() -> u32 { 1 }
/// # async fn whole() -> u32 {
/// let left = tokio::spawn(cache_core::in_current_load(part()));
/// let right = part().await;
/// left.await.unwrap() + right
/// # }
/// ```
pub fn in_current_load<F: Future>(future: F) -> impl Future<Output = F::Output> {
    // Outside a load: a scope that belongs to no cache's load and hands its names to nobody.
    let scope = current().unwrap_or_else(|| Scope::new(u64::MAX, None, 0));
    CURRENT.scope(scope, future)
}

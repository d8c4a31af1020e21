//! What a load was made from: the names of every cached call inside it. The calls hand their names
//! outwards.
//!
//! A name goes to every enclosing load at once, and not when the inner call ends. So it does not
//! matter how the inner call ends (a hit, a load, `None`, an error, a value that was not stored, a
//! dropped future).

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use super::scoped;
use super::trace::{LifetimeTracer, Trace, TracedLifetime};
use crate::ablation::{ProcessRule, keeps};
use crate::invalidation::Cause;
use crate::name::Name;
use crate::observe::{CallLog, CallMark, CallObserver, CallResult, LoadSpan, NotStored};

tokio::task_local! {
    static CURRENT: Arc<Scope>;
}

/// One load in progress.
pub(crate) struct Scope {
    /// The cache that loads. Its names mean nothing in another cache.
    cache_id: u128,
    key: Option<Arc<str>>,
    /// The keys of a batch.
    keys: HashSet<Arc<str>>,
    names_max: usize,
    parent: Option<Arc<Scope>>,
    /// It is in a load, and not only [observed](observe).
    is_load: bool,
    /// Who is told of the calls inside.
    observer: Option<Arc<CallObserver>>,
    /// Of a traced future: is told how long what its own calls are served lasts.
    tracer: Option<Arc<LifetimeTracer>>,
    collected: Mutex<Lineage>,
    /// The time that the outermost call has lost so far to a store that did not answer, in µs.
    lost_us: Arc<AtomicU64>,
}

/// A load's body, in a scope. A type of its own, and not what tokio's `scope` and async blocks of
/// ours make of it: whether a chain of cached functions is `Send` takes the compiler some steps for
/// each layer, of which a crate's `recursion_limit` allows 128.
pub struct Inside<F> {
    /// `None`: the load collects no names.
    scope: Option<Arc<Scope>>,
    span: LoadSpan,
    // Boxed: the body is as large as the user makes it, and a hit does not run it.
    body: Pin<Box<F>>,
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { scope, span, body } = &mut *self;
        let _entered = span.enter();
        match scope {
            Some(scope) => CURRENT.sync_scope(scope.clone(), || body.as_mut().poll(context)),
            None => body.as_mut().poll(context),
        }
    }
}

impl<F> Inside<F> {
    /// A load that collects no names.
    pub(crate) fn nothing(body: F) -> Self {
        Self { scope: None, span: LoadSpan::default(), body: Box::pin(body) }
    }

    pub(crate) fn spanned(self, span: LoadSpan) -> Self {
        Self { span, ..self }
    }
}

/// The names of a load that were collected so far.
#[derive(Default)]
pub(crate) struct Lineage {
    pub(crate) names: BTreeSet<Name>,
    /// There were more names than `names_max`: the value must not be stored.
    pub(crate) overflowed: bool,
    /// Why the value must not be stored: a call inside used another cache, had a name that cannot
    /// be written, or was served a stale value.
    pub(crate) untraceable: Option<NotStored>,
    /// What was invalidated inside the load; further names than `names_max` are not kept.
    invalidated: BTreeSet<Name>,
    /// A pattern, or everything, was invalidated inside the load.
    swept: bool,
}

/// Whether an invalidation inside the load has the store refuse the load's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overtaking {
    /// By a fence of one of its names.
    pub(crate) fenced: bool,
    /// By the floor.
    pub(crate) swept: bool,
}

impl Lineage {
    /// What the load has done to a value with these names.
    pub(crate) fn overtakes(&self, names: impl IntoIterator<Item = impl Borrow<Name>>) -> Overtaking {
        let mut names = names.into_iter();
        let fenced = !self.invalidated.is_empty() && names.any(|name| self.invalidated.contains(name.borrow()));
        Overtaking { fenced, swept: self.swept }
    }

    fn trace(&self, lifetime: Option<TracedLifetime>) -> Trace {
        let is_current = self.untraceable.is_none() && self.overtakes(&self.names) == Overtaking::default();
        let names = self.names.iter().map(Cause::of).collect();
        Trace::new(names, !self.overflowed, lifetime.filter(|_| is_current))
    }
}

impl Scope {
    /// A load that begins inside the current one, if there is one.
    pub(crate) fn new(cache_id: u128, key: Option<Arc<str>>, names_max: usize) -> Arc<Self> {
        Self::inside(current(), cache_id, key, HashSet::new(), names_max)
    }

    /// A load of many keys that begins inside the current one, if there is one.
    pub(crate) fn of_batch(cache_id: u128, keys: HashSet<Arc<str>>, names_max: usize) -> Arc<Self> {
        Self::inside(current(), cache_id, None, keys, names_max)
    }

    fn inside(
        parent: Option<Arc<Scope>>,
        cache_id: u128,
        key: Option<Arc<str>>,
        keys: HashSet<Arc<str>>,
        names_max: usize,
    ) -> Arc<Self> {
        let outer = parent.as_ref().filter(|parent| parent.is_load);
        let lost_us = outer.map(|outer| outer.lost_us.clone()).unwrap_or_default();
        let observer = parent.as_ref().and_then(|parent| parent.observer.clone());
        let (tracer, collected) = (None, Mutex::default());
        Arc::new(Self { cache_id, key, keys, names_max, parent, is_load: true, observer, tracer, collected, lost_us })
    }

    /// A future that is observed. It is in the loads that it was in before, and in no other.
    fn observed(parent: Option<Arc<Scope>>, observer: Arc<CallObserver>) -> Arc<Self> {
        let is_load = parent.as_ref().is_some_and(|parent| parent.is_load);
        let lost_us = parent.as_ref().map(|parent| parent.lost_us.clone()).unwrap_or_default();
        let tracer = parent.as_ref().and_then(|parent| parent.tracer.clone());
        Arc::new(Self {
            cache_id: u128::MAX,
            key: None,
            keys: HashSet::new(),
            names_max: 0,
            parent,
            is_load,
            observer: Some(observer),
            tracer,
            collected: Mutex::default(),
            lost_us,
        })
    }

    /// A future that is traced: its calls are those of a load that has no entry.
    fn traced(cache_id: u128, names_max: usize) -> (Arc<Self>, Arc<LifetimeTracer>) {
        let tracer = Arc::<LifetimeTracer>::default();
        let mut scope = Self::new(cache_id, None, names_max);
        if let Some(scope) = Arc::get_mut(&mut scope) {
            scope.tracer = Some(tracer.clone());
        }
        (scope, tracer)
    }

    /// Notes the time that the outermost call has already lost when its load begins.
    pub(crate) fn after(self: Arc<Self>, lost: Duration) -> Arc<Self> {
        if !self.parent.as_ref().is_some_and(|parent| parent.is_load) {
            self.has_lost(lost);
        }
        self
    }

    fn has_lost(&self, lost: Duration) {
        self.lost_us.fetch_max(u64::try_from(lost.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The time that the outermost call has lost so far to a store that did not answer.
    pub(crate) fn lost(&self) -> Duration {
        Duration::from_micros(self.lost_us.load(Ordering::Relaxed))
    }

    /// A load's body: the cached calls in it hand their names to this scope and to all enclosing
    /// scopes.
    pub(crate) fn around<F: Future>(self: Arc<Self>, body: F) -> Inside<F> {
        Inside { scope: Some(self), span: LoadSpan::default(), body: Box::pin(body) }
    }

    /// Adds all that the load of a batch has collected, for the load of one of the batch's keys.
    pub(crate) fn inherit(&self, whole: &Lineage) {
        self.add(self.cache_id, &whole.names);
        let mut collected = self.lock();
        collected.overflowed |= whole.overflowed;
        collected.untraceable = collected.untraceable.or(whole.untraceable);
        collected.invalidated.extend(whole.invalidated.iter().cloned());
        collected.swept |= whole.swept;
    }

    fn is_of(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key) || self.keys.contains(key)
    }

    /// Takes out what was collected; the scope is empty after it.
    pub(crate) fn take(&self) -> Lineage {
        std::mem::take(&mut *self.lock())
    }

    /// Hands these names to the enclosing loads. This load does not get them: it declared them, and
    /// counts them itself.
    pub(crate) fn hand_outwards<'a>(&self, names: impl IntoIterator<Item = &'a Name> + Clone) {
        for scope in self.outer() {
            scope.add(self.cache_id, names.clone());
        }
    }

    /// Notes why the values of the enclosing loads must not be stored either.
    pub(crate) fn taint_outwards(&self, reason: NotStored) {
        for scope in self.outer() {
            scope.taint(reason);
        }
    }

    fn outer(&self) -> impl Iterator<Item = &Arc<Scope>> {
        std::iter::successors(self.parent.as_ref(), |scope| scope.parent.as_ref())
    }

    fn add<'a>(&self, cache_id: u128, names: impl IntoIterator<Item = &'a Name>) {
        let mut collected = self.lock();
        if !keeps(ProcessRule::ProvenanceIsInherited) {
            return;
        }
        if cache_id != self.cache_id {
            collected.untraceable.get_or_insert(NotStored::OfAnotherCache);
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
                // The value will not be stored, so its names would only take memory.
                collected.overflowed = true;
                collected.names = BTreeSet::new();
            }
        }
    }

    fn note_invalidation(&self, cache_id: u128, names: &[Name], sweeps: bool) {
        if cache_id == self.cache_id {
            let mut collected = self.lock();
            let room = self.names_max.saturating_sub(collected.invalidated.len());
            collected.invalidated.extend(names.iter().take(room).cloned());
            collected.swept |= sweeps;
        }
    }

    fn taint(&self, reason: NotStored) {
        self.lock().untraceable.get_or_insert(reason);
    }

    fn lock(&self) -> MutexGuard<'_, Lineage> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current() -> Option<Arc<Scope>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Hands names to every load that this task is in. If the call used another cache than a load does,
/// that load's value is not stored.
pub(crate) fn hand_over<'a>(cache_id: u128, names: impl IntoIterator<Item = &'a Name> + Clone) {
    let _ = CURRENT.try_with(|scope| {
        for scope in std::iter::successors(Some(scope), |scope| scope.parent.as_ref()) {
            scope.add(cache_id, names.clone());
        }
    });
}

/// Notes why the value of no load that this task is in may be stored: something that it was made
/// from is too old, for example.
pub(crate) fn taint(reason: NotStored) {
    let _ = CURRENT.try_with(|scope| {
        std::iter::successors(Some(scope), |scope| scope.parent.as_ref()).for_each(|scope| scope.taint(reason));
    });
}

/// The time that the outermost call of this task has lost so far to a store that did not answer.
/// Outside of a load: zero.
pub(crate) fn lost() -> Duration {
    CURRENT.try_with(|scope| if scope.is_load { scope.lost() } else { Duration::ZERO }).unwrap_or_default()
}

/// Notes the time that the outermost call of this task has lost to a store that did not answer.
pub(crate) fn has_lost(lost: Duration) {
    let _ = CURRENT.try_with(|scope| {
        if scope.is_load {
            scope.has_lost(lost);
        }
    });
}

/// This task invalidates these names, and patterns if it `sweeps`. The store will refuse the values
/// of the loads around it that are made from them.
pub(crate) fn invalidates(cache_id: u128, names: &[Name], sweeps: bool) {
    let _ = CURRENT.try_with(|scope| {
        let scopes = std::iter::successors(Some(scope), |scope| scope.parent.as_ref());
        scopes.for_each(|scope| scope.note_invalidation(cache_id, names, sweeps));
    });
}

/// Whether this task is in a load. Outside of a load the names of a hit are of no use.
pub(crate) fn in_load() -> bool {
    CURRENT.try_with(|scope| scope.is_load).unwrap_or(false)
}

/// Whether this task is in no load, and nobody observes it.
pub(crate) fn is_alone() -> bool {
    CURRENT.try_with(|_| ()).is_err()
}

/// Tells whoever observes this task of a call.
pub(crate) fn record(result: CallResult, prefix: &str, key: Option<&str>) -> Option<CallMark> {
    CURRENT.try_with(|scope| scope.observer.as_ref()?.record(result, prefix, key)).ok().flatten()
}

/// A call begins. Whoever traces it learns of its end by [`lasts`].
pub(crate) fn call_begins() {
    let _ = CURRENT.try_with(|scope| scope.tracer.iter().for_each(|tracer| tracer.begun()));
}

/// What a call is served lasts for so long. Asked only if somebody traces the call.
pub(crate) fn lasts(lifetime: impl FnOnce() -> TracedLifetime) {
    let _ = CURRENT.try_with(|scope| {
        if let Some(tracer) = &scope.tracer {
            tracer.served(lifetime());
        }
    });
}

/// Whether this task is loading `key` already: a wait for that load would be a wait for itself.
pub(crate) fn is_loading(cache_id: u128, key: &str) -> bool {
    CURRENT
        .try_with(|scope| {
            std::iter::successors(Some(scope), |scope| scope.parent.as_ref())
                .any(|scope| scope.cache_id == cache_id && scope.is_of(key))
        })
        .unwrap_or(false)
}

/// Carries the load that this task is in, and its [`Cache::scope`](crate::Cache::scope), into a
/// task that is to be spawned. So what is served there in place of a failed load taints the
/// enclosing loads, and the time that the store takes there counts for the outermost call.
pub(crate) fn carried<F: Future + Send + 'static>(future: F) -> Pin<Box<dyn Future<Output = F::Output> + Send>> {
    let future = scoped::within(scoped::current(), future);
    match current() {
        Some(scope) => Box::pin(CURRENT.scope(scope, future)),
        None => Box::pin(future),
    }
}

/// Carries the load that this task is in, and its [`Cache::scope`](crate::Cache::scope), into a
/// future that runs elsewhere, such as a spawned task.
///
/// A task that is spawned inside a cached function leaves that function's load: the function's
/// entry would not depend on what the task reads from the cache. Wrapped in this function, the
/// task's reads become dependencies of the entry. Outside a load the wrapper carries the scope
/// alone. Reads after the end of the load do not count, so await the task inside the function.
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
    // Outside a load the scope belongs to no cache, and hands its names to nobody.
    let scope = current().unwrap_or_else(|| Scope::new(u128::MAX, None, 0));
    scoped::within(scoped::current(), CURRENT.scope(scope, future))
}

/// See [`Cache::trace`](crate::Cache::trace).
pub(crate) fn trace<F: Future>(
    cache_id: u128,
    names_max: usize,
    future: F,
) -> impl Future<Output = (F::Output, Trace)> {
    let (scope, tracer) = Scope::traced(cache_id, names_max);
    // Boxed: an async block holds what it awaits twice.
    let traced = Box::pin(CURRENT.scope(scope.clone(), future));
    async move {
        let output = traced.await;
        let trace = scope.take().trace(tracer.lifetime());
        (output, trace)
    }
}

/// Runs `future`, and says of each cached call inside what it was: for tests, and for headers such
/// as [`Cache-Status`](CallLog::to_cache_status) (RFC 9211) and
/// [`Server-Timing`](CallLog::to_server_timing).
///
/// Calls of calls are among them, since a load runs inside. A task that is spawned inside is
/// observed if [`in_current_load`] wraps it. Background refreshes are not. Of observers inside each
/// other both are told, the outer one at the end of the inner one. Nothing else is different for a
/// call that is observed.
///
/// # Cost
/// A lock and two allocations for each call inside; nothing for calls that nobody observes. 1,000
/// calls are written down, and further ones counted.
///
/// # Example
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use cache_core::{Cache, observe};
///
/// let cache = Cache::in_memory();
/// let load = || async { Ok::<_, std::convert::Infallible>(42) };
/// let (answer, calls) = observe(cache.get_or_load("answer", load)).await;
/// assert_eq!(answer, Ok(42));
/// calls.assert_miss("answer");
/// let (_, calls) = observe(cache.get_or_load("answer", load)).await;
/// calls.assert_hit("answer");
/// # }
/// ```
pub fn observe<F: Future>(future: F) -> impl Future<Output = (F::Output, CallLog)> {
    let outer = current();
    let observer = CallObserver::inside(outer.as_ref().and_then(|outer| outer.observer.clone()));
    let scope = Scope::observed(outer, observer.clone());
    // Boxed: an async block holds what it awaits twice.
    let observed = Box::pin(CURRENT.scope(scope, future));
    async move {
        let output = observed.await;
        (output, observer.take())
    }
}

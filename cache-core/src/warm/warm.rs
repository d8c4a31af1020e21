//! What is registered to be warmed, and the ways to begin a run.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::batch;
use super::outcome::{WarmProgress, Warmed};
use super::registry::{BoxError, Loader, Observer, Registrations, Task, Work, nothing_further};
use super::run::Run;
use super::schedule::WarmSchedule;
use crate::cache::Cache;
use crate::config::{WARM_CONCURRENCY, WARM_STORE_WAIT, WARM_TIME_LIMIT};

#[doc = include_str!("../../docs/warming.md")]
#[derive(Clone)]
pub struct Warmer {
    cache: Cache,
    registry: Arc<Mutex<Registrations>>,
    /// Of the runs that begin through this handle.
    watcher: Option<Observer>,
}

impl Warmer {
    /// A `Warmer` with nothing registered yet. The functions to be registered should use this
    /// `cache`.
    pub fn new(cache: &Cache) -> Self {
        let registry = Registrations {
            warmers: Vec::new(),
            loaders: HashMap::new(),
            permits: Arc::new(Semaphore::new(WARM_CONCURRENCY)),
            time_limit: WARM_TIME_LIMIT,
            store_wait: WARM_STORE_WAIT,
            observer: None,
        };
        Self { cache: cache.clone(), registry: Arc::new(Mutex::new(registry)), watcher: None }
    }

    /// Registers a warmer: a future that calls cached functions, made anew for each run. A warmer
    /// that was registered under the same name is replaced.
    pub fn register<F, T, E>(&self, name: impl Into<String>, warm: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.add(name.into(), Arc::new(move || nothing_further(warm())))
    }

    /// Registers a warmer that only lists keys. Each key is then warmed by the loader of its
    /// prefix, and counts on its own. Many keys of one prefix go to its batch loader.
    pub fn register_keys<F, K, E>(&self, name: impl Into<String>, list: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<K, E>> + Send + 'static,
        K: IntoIterator<Item: Into<String>>,
        E: Into<BoxError>,
    {
        let task = move || -> Work {
            let listing = list();
            Box::pin(async move { Ok(listing.await.map_err(Into::into)?.into_iter().map(Into::into).collect()) })
        };
        self.add(name.into(), Arc::new(task))
    }

    /// Registers how one key of a prefix is loaded. The loader is given the text after `prefix:`,
    /// and returns an error for a text that it cannot parse.
    ///
    /// A single part is given unescaped, `New York` for `city:New%20York`. Several parts are given
    /// as they are spelled, to be split at `:` and then [unescaped](crate::unescape_part). A key
    /// with a digest in it cannot be loaded from its text, and never reaches the loader.
    pub fn loader<F, T, E>(&self, prefix: impl Into<String>, load: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let load: Loader = Arc::new(move |id| nothing_further(load(id)));
        self.lock().loaders.entry(prefix.into()).or_default().one = Some(load);
        self.clone()
    }

    /// Registers how many keys of a prefix are loaded at once, by a function with `each` or by one
    /// query. One call gets 500 keys at most.
    ///
    /// `parse` makes an id of the text that a [`loader`](Self::loader) would be given:
    /// `str::parse::<u64>` for a number. A key that `parse` refuses is reported, and the other keys
    /// are loaded. An error of `load` counts for every key of the call.
    ///
    /// If the prefix also has a loader for one key, the batch loader is used for two keys or more;
    /// else for any number.
    pub fn batch_loader<K, P, F, T, E>(
        &self,
        prefix: impl Into<String>,
        parse: impl Fn(&str) -> Result<K, P> + Send + Sync + 'static,
        load: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        K: Send + 'static,
        P: Into<BoxError>,
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.lock().loaders.entry(prefix.into()).or_default().many = Some(batch::loader(parse, load));
        self.clone()
    }

    /// Sets how many warmers and loaders may run at once, over all runs: 4 by default, so that most
    /// of a connection pool is left to visitors. 0 counts as 1. Runs that have begun keep the
    /// number that they began with.
    pub fn concurrency(&self, most: usize) -> Self {
        self.lock().permits = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        self.clone()
    }

    /// Sets how long one warmer, or one call of a loader, may take; then it is dropped and counts
    /// as failed. Five minutes by default. So a warmer that hangs does not keep its permit for
    /// ever, nor hold up the next run of a schedule. A warmer that blocks its thread cannot be
    /// stopped.
    pub fn time_limit(&self, most: Duration) -> Self {
        self.lock().time_limit = most;
        self.clone()
    }

    /// Sets how long one run waits for a store that does not answer, all its waits together: two
    /// seconds by default, and one [operation deadline](crate::Builder::operation_deadline) at
    /// least. Then whatever has not begun fails without having been loaded. A program that warms
    /// before it serves is held up for so long if the store is away.
    pub fn store_wait(&self, most: Duration) -> Self {
        self.lock().store_wait = most;
        self.clone()
    }

    /// Has `observe` called with the progress of each run: at its beginning, and after each warmer
    /// or load that has ended. The run itself calls `observe`, which must neither block nor panic.
    pub fn on_progress(&self, observe: impl Fn(WarmProgress) + Send + Sync + 'static) -> Self {
        self.lock().observer = Some(Arc::new(observe));
        self.clone()
    }

    /// The same warmer, whose runs have `observe` called as well, in the same way: for whoever
    /// begins a run and shows its progress. Runs that begin through other handles do not call it.
    pub fn watched(&self, observe: impl Fn(WarmProgress) + Send + Sync + 'static) -> Self {
        Self { watcher: Some(Arc::new(observe)), ..self.clone() }
    }

    /// The names of the registered warmers, in the order in which they begin.
    pub fn names(&self) -> Vec<String> {
        self.lock().warmers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The prefixes that have a loader, in order.
    pub fn prefixes(&self) -> Vec<String> {
        let mut prefixes: Vec<_> = self.lock().loaders.keys().cloned().collect();
        prefixes.sort();
        prefixes
    }

    /// Runs every registered warmer. Cancel safe: if the future is dropped, everything that the run
    /// began is stopped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers, as do all methods that run warmers.
    pub async fn run(&self) -> Warmed {
        self.begin(|run| run.add_warmers()).end().await
    }

    /// Runs the registered warmers of these names. A name without a registered warmer is reported
    /// in the outcome.
    pub async fn run_named(&self, names: impl IntoIterator<Item: Into<String>>) -> Warmed {
        self.begin(|run| run.add_named(names.into_iter().map(Into::into))).end().await
    }

    /// Warms single keys, such as `flight:42`, through the loaders of their prefixes. A key that is
    /// named twice is warmed once. Keys without a registered loader, and keys whose arguments
    /// cannot be read, are reported in the outcome.
    pub async fn warm_keys(&self, keys: impl IntoIterator<Item: Into<String>>) -> Warmed {
        self.begin(|run| _ = run.add_keys(keys.into_iter().map(Into::into))).end().await
    }

    /// Runs every registered warmer again and again, each run `pause` after the end of the run
    /// before, until the returned handle is dropped, or the cache is [shut down](Cache::shutdown).
    /// The first run begins after one pause: to warm at the start, call [`run`](Self::run).
    ///
    /// Each pause is shortened by up to a tenth at random, so that a fleet that started together
    /// does not warm together. A pause is at least 100 ms.
    pub fn schedule(&self, pause: Duration) -> WarmSchedule {
        let warmer = self.clone();
        WarmSchedule::begin(pause, self.cache.runtime.schedules.begin(), move || warmer.begin(|run| run.add_warmers()))
    }

    fn begin(&self, add: impl FnOnce(&mut Run)) -> Run {
        let mut run = Run::new(self.cache.clone(), self.lock().clone(), self.watcher.clone());
        add(&mut run);
        run
    }

    fn add(&self, name: String, task: Task) -> Self {
        let mut registry = self.lock();
        match registry.warmers.iter_mut().find(|(taken, _)| *taken == name) {
            Some((_, taken)) => *taken = task,
            None => registry.warmers.push((name, task)),
        }
        drop(registry);
        self.clone()
    }

    // No operation under the lock leaves the registry half changed.
    fn lock(&self) -> MutexGuard<'_, Registrations> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Warmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.lock();
        let warmers: Vec<_> = registry.warmers.iter().map(|(name, _)| name).collect();
        let prefixes: Vec<_> = registry.loaders.keys().collect();
        f.debug_struct("Warmer").field("warmers", &warmers).field("prefixes", &prefixes).finish_non_exhaustive()
    }
}

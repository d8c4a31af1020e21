//! What is registered to be warmed, and the ways to begin a run.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::batch;
use super::outcome::{WarmProgress, Warmed};
use super::registry::{BoxError, Loader, Registrations, Task, Work, nothing_further};
use super::run::Run;
use super::schedule::WarmSchedule;
use crate::cache::Cache;
use crate::config::{WARM_CONCURRENCY, WARM_TIME_LIMIT};

#[doc = include_str!("../../docs/warming.md")]
#[derive(Clone)]
pub struct Warmer {
    cache: Cache,
    registry: Arc<Mutex<Registrations>>,
}

impl Warmer {
    /// Nothing is registered yet. The functions that are going to be registered should use this
    /// `cache`.
    pub fn new(cache: &Cache) -> Self {
        let registry = Registrations {
            warmers: Vec::new(),
            loaders: HashMap::new(),
            permits: Arc::new(Semaphore::new(WARM_CONCURRENCY)),
            time_limit: WARM_TIME_LIMIT,
            observer: None,
        };
        Self { cache: cache.clone(), registry: Arc::new(Mutex::new(registry)) }
    }

    /// A warmer: a future that calls cached functions, made anew for each run. A name that is taken
    /// is taken over.
    pub fn register<F, T, E>(&self, name: impl Into<String>, warm: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.add(name.into(), Arc::new(move || nothing_further(warm())))
    }

    /// A warmer that only lists keys: each is then warmed by the loader of its prefix, and counts
    /// on its own. Many keys of one prefix go to its batch loader.
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

    /// How one key of a prefix is loaded. The loader is given what stands after `prefix:`; what it
    /// cannot parse it returns as an error.
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

    /// How many keys of a prefix are loaded at once, 500 at most in one call: by a function with
    /// `each`, or by one query.
    ///
    /// `parse` makes an id of what a [`loader`](Self::loader) would be given, `str::parse::<u64>`
    /// for a number. A key that it refuses is reported and the others are loaded; an error of
    /// `load` counts for every key of its call.
    ///
    /// Beside a loader of the same prefix it is used for two keys and more, alone for any number.
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

    /// How many warmers and loaders may run at once, over all runs: 4 by default, so that most of a
    /// connection pool is left to visitors. Runs that have begun keep what they began with; 0
    /// counts as 1.
    pub fn concurrency(&self, most: usize) -> Self {
        self.lock().permits = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        self.clone()
    }

    /// How long one warmer, or one call of a loader, may take before it is dropped and counts as
    /// failed: five minutes by default, so that one that hangs does not keep its permit, and a
    /// schedule from its next run. One that blocks its thread cannot be stopped.
    pub fn time_limit(&self, most: Duration) -> Self {
        self.lock().time_limit = most;
        self.clone()
    }

    /// Calls `observe` whenever a run knows more: at its beginning, and after each thing that is
    /// done or failed. It is called on the way of the run, so it must neither block nor panic.
    pub fn on_progress(&self, observe: impl Fn(WarmProgress) + Send + Sync + 'static) -> Self {
        self.lock().observer = Some(Arc::new(observe));
        self.clone()
    }

    /// Runs every registered warmer. Cancel safe: dropped, everything that it began is stopped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers, as all that runs anything here.
    pub async fn run(&self) -> Warmed {
        self.begin(|run| run.add_warmers()).end().await
    }

    /// Runs the registered warmers of these names. A name that nothing is registered under is
    /// reported in the outcome.
    pub async fn run_named(&self, names: impl IntoIterator<Item: Into<String>>) -> Warmed {
        self.begin(|run| run.add_named(names.into_iter().map(Into::into))).end().await
    }

    /// Warms single keys, `flight:42`, through the loaders of their prefixes; each once, however
    /// often it is named. Keys that no loader is registered for, or that no arguments can be read
    /// from, are reported in the outcome.
    pub async fn warm_keys(&self, keys: impl IntoIterator<Item: Into<String>>) -> Warmed {
        self.begin(|run| _ = run.add_keys(keys.into_iter().map(Into::into))).end().await
    }

    /// Runs every registered warmer again and again, `pause` after the end of the run before, until
    /// the returned handle is dropped. The first run begins after one pause: at the start, call
    /// [`run`](Self::run).
    ///
    /// Each pause is shortened by up to a tenth at random, so that a fleet that started together
    /// does not warm together; it is at least 100 ms.
    pub fn schedule(&self, pause: Duration) -> WarmSchedule {
        let warmer = self.clone();
        WarmSchedule::begin(pause, move || warmer.begin(|run| run.add_warmers()))
    }

    fn begin(&self, add: impl FnOnce(&mut Run)) -> Run {
        let mut run = Run::new(self.cache.clone(), self.lock().clone());
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

    // Nothing that is done under the lock leaves it half done.
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

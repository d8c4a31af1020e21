//! One run: the tasks that wait, the tasks under way, the outcome.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::keys::{clipped, read};
use super::outcome::Warmed;
use super::registry::{Batches, BoxError, Job, Observer, Registrations};
use crate::cache::Cache;
use crate::clock;
use crate::config::WARM_KEYS_MAX;
use crate::observe::Event;
use crate::runtime::scoped;

tokio::task_local! {
    /// Set in the tasks that run under a permit.
    static PERMITTED: ();
}

const UNKNOWN_WARMER: &str = "no warmer of this name is registered";

/// One run. When it is dropped, the tasks that it has begun are stopped.
pub(super) struct Run {
    cache: Cache,
    registry: Registrations,
    /// Who looks at this run alone.
    watcher: Option<Observer>,
    permits: Arc<Semaphore>,
    waiting: VecDeque<Job>,
    running: JoinSet<Result<Vec<String>, BoxError>>,
    /// The name of each task under way, what the log calls it, and for how many keys it counts.
    begun: HashMap<Id, (String, String, u64)>,
    keys: HashSet<String>,
    warmed: Warmed,
    /// How long it may still wait for the store.
    patience: Duration,
}

impl Run {
    pub(super) fn new(cache: Cache, registry: Registrations, watcher: Option<Observer>) -> Self {
        // A warmer that warms keys holds a permit already. If its keys waited for another permit,
        // it could wait for itself. So its keys are loaded one by one under the permit that it
        // has.
        let permits = match PERMITTED.try_with(|()| ()) {
            Ok(()) => Arc::new(Semaphore::new(1)),
            Err(_) => registry.permits.clone(),
        };
        let patience = registry.store_wait;
        Self {
            cache,
            registry,
            watcher,
            permits,
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            begun: HashMap::new(),
            keys: HashSet::new(),
            warmed: Warmed::default(),
            patience,
        }
    }

    pub(super) fn add_warmers(&mut self) {
        for (name, task) in self.registry.warmers.clone() {
            self.add(Job { of: name.clone(), name, counts: 1, begin: Box::new(move || task()) });
        }
    }

    pub(super) fn add_named(&mut self, names: impl Iterator<Item = String>) {
        for name in names {
            match self.registry.warmers.iter().find(|(registered, _)| *registered == name) {
                Some((_, task)) => {
                    let task = task.clone();
                    self.add(Job { of: name.clone(), name, counts: 1, begin: Box::new(move || task()) });
                }
                None => self.refuse("", clipped(name), UNKNOWN_WARMER, UNKNOWN_WARMER.to_owned()),
            }
        }
    }

    /// Adds the keys that the run does not have yet, and returns their number.
    pub(super) fn add_keys(&mut self, keys: impl Iterator<Item = String>) -> u64 {
        let before = self.warmed.total;
        // Sorted, so that the same keys always make the same tasks.
        let mut by_prefix: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for key in keys {
            if self.keys.contains(&key) {
                continue;
            }
            if self.keys.len() >= WARM_KEYS_MAX {
                let message = format!("a run warms at most {WARM_KEYS_MAX} keys");
                self.refuse("", clipped(key), &message, message.clone());
                continue;
            }
            match read(&key) {
                Ok((prefix, id)) if self.registry.loaders.contains_key(prefix) => {
                    self.keys.insert(key.clone());
                    by_prefix.entry(prefix.to_owned()).or_default().push((key, id));
                }
                Ok((prefix, _)) => {
                    let message = format!("no loader is registered for the prefix `{prefix}`");
                    // Without a `:` it is the whole key.
                    let of = key.split_once(':').map_or("", |(prefix, _)| prefix);
                    self.refuse(of, clipped(key.clone()), "no loader is registered for this prefix", message);
                }
                Err(message) => self.refuse("", clipped(key), &message, message.clone()),
            }
        }
        for (prefix, keys) in by_prefix {
            self.add_loads(&prefix, keys);
        }
        self.warmed.total - before
    }

    fn add_loads(&mut self, prefix: &str, keys: Vec<(String, String)>) {
        let loaders = self.registry.loaders[prefix].clone();
        if let Some(load) = loaders.many.filter(|_| keys.len() > 1 || loaders.one.is_none()) {
            let Batches { calls, refused } = load(keys);
            calls.into_iter().for_each(|call| self.add(call));
            // The message may quote the arguments.
            let unreadable = "the arguments of a key make no id";
            refused.into_iter().for_each(|(key, message)| self.refuse(prefix, key, unreadable, message));
        } else if let Some(load) = loaders.one {
            for (name, id) in keys {
                let load = load.clone();
                self.add(Job { name, of: prefix.to_owned(), counts: 1, begin: Box::new(move || load(id)) });
            }
        }
    }

    fn add(&mut self, job: Job) {
        self.warmed.total += job.counts;
        self.waiting.push_back(job);
    }

    /// What does not begin. `said` stands in the log, `message` in the outcome.
    fn refuse(&mut self, of: &str, name: String, said: &str, message: String) {
        self.warmed.total += 1;
        self.say(of, 1, said);
        self.warmed.failed(name, 1, message);
    }

    fn say(&self, of: &str, failed: u64, error: &str) {
        self.cache.runtime.counted.unprefixed.note(Event::WarmingFailed { of, failed, error });
    }

    /// Goes on until all tasks have ended. Cancel safe: it can be called again.
    pub(super) async fn drive(&mut self) {
        self.observe();
        if !self.waiting.is_empty() {
            self.wait_for_store().await;
        }
        loop {
            tokio::select! {
                // Ended tasks are handled before waiting tasks begin: they may have listed further
                // keys.
                biased;
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                Ok(permit) = self.permits.clone().acquire_owned(), if !self.waiting.is_empty() => {
                    if self.cache.health().breaker_open {
                        self.wait_for_store().await;
                    }
                    self.begin(permit);
                }
                else => return,
            }
        }
    }

    /// Waits for the store; if it is not ready in time, all waiting tasks have failed. Loads that
    /// no store can take would burden the database for nothing.
    async fn wait_for_store(&mut self) {
        let begun = clock::now();
        // It takes an operation deadline to ask, also where there is no time to wait.
        let ready = self.cache.ready(self.patience.max(self.cache.runtime.config.operation_deadline)).await;
        self.patience = self.patience.saturating_sub(clock::since(begun));
        if let Err(error) = ready {
            while let Some(job) = self.waiting.pop_front() {
                let message = format!("the store is not ready: {error}");
                self.say(&job.of, job.counts, &message);
                self.warmed.failed(job.name, job.counts, message);
            }
            self.observe();
        }
    }

    pub(super) async fn end(mut self) -> Warmed {
        self.drive().await;
        self.warmed
    }

    /// Stops the tasks under way, and waits until they have stopped.
    pub(super) async fn stop(mut self) {
        self.running.shutdown().await;
    }

    fn begin(&mut self, permit: OwnedSemaphorePermit) {
        let Some(Job { name, of, counts, begin }) = self.waiting.pop_front() else { return };
        let limit = self.registry.time_limit;
        let work = async move {
            let _permit = permit;
            // `begin` is called in here, so that a closure that panics before it returns a future
            // is treated like its future.
            match timeout(limit, async move { begin().await }).await {
                Ok(result) => result,
                Err(_) => Err(format!("did not end within {limit:?}").into()),
            }
        };
        let task = self.running.spawn(scoped::within(scoped::current(), PERMITTED.scope((), work)));
        self.begun.insert(task.id(), (name, of, counts));
    }

    fn ended(&mut self, ended: Result<(Id, Result<Vec<String>, BoxError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result.map_err(|error| error.to_string())),
            // The panic hook has said more already than may be said here.
            Err(error) => (error.id(), Err(if error.is_panic() { "panicked" } else { "was stopped" }.to_owned())),
        };
        let Some((name, of, counts)) = self.begun.remove(&id) else { return };
        match result.map(|keys| self.add_keys(keys.into_iter())) {
            Ok(0) => self.warmed.done += counts,
            // The warmer counts as the keys that it listed.
            Ok(_) => self.warmed.total -= counts,
            Err(message) => {
                self.say(&of, counts, &message);
                self.warmed.failed(name, counts, message);
            }
        }
        self.observe();
    }

    fn observe(&self) {
        for observer in [&self.registry.observer, &self.watcher].into_iter().flatten() {
            observer(self.warmed.progress());
        }
    }
}

//! Invalidations that failed: remembered, retried until they succeed, and bypassed meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cache::Inner;
use crate::clock::Instant;
use crate::config::{INVALIDATE_DEADLINE, RECOVERY_PAUSE_MAX, RECOVERY_PAUSE_MIN};
use crate::invalidation::Targets;
use crate::name::Glob;
use crate::name::Name;
use crate::paths::invalidate;

/// What this process still owes the store.
pub(crate) struct Recovery {
    /// Most names and patterns kept apart; beyond it they collapse into one clear.
    names_max: usize,
    /// Whether anything is owed: the only thing that a call looks at on a good day.
    owing: AtomicBool,
    state: Mutex<State>,
}

/// Each debt carries the number under which it was last incurred: an attempt that began before does not settle it.
#[derive(Default)]
struct State {
    last: u64,
    names: HashMap<Name, u64>,
    patterns: HashMap<Box<str>, (Glob, u64)>,
    clear: Option<u64>,
    worker: Option<Worker>,
}

/// The task that retries. It lives on the runtime that it was spawned on, and dies with it.
struct Worker {
    id: u64,
    task: JoinHandle<()>,
    /// When it will have shown a sign of life.
    due: Instant,
}

impl Recovery {
    pub(crate) fn new(names_max: usize) -> Self {
        Self { names_max, owing: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Takes over a failed invalidation.
    pub(crate) fn owe(&self, inner: &Arc<Inner>, targets: Targets) {
        let mut state = self.lock();
        state.last += 1;
        let at = state.last;
        if targets.clear {
            state.clear = Some(at);
        }
        state.names.extend(targets.names.into_iter().map(|name| (name, at)));
        state
            .patterns
            .extend(targets.patterns.into_iter().map(|pattern| (pattern.as_str().into(), (Glob::new(&pattern), at))));
        if state.names.len() + state.patterns.len() > self.names_max {
            tracing::warn!(
                names_max = self.names_max,
                "too many names of failed invalidations to remember: the whole namespace will be cleared instead"
            );
            state.clear = Some(at);
        }
        if state.clear == Some(at) {
            // A clear reaches them all.
            state.names = HashMap::new();
            state.patterns = HashMap::new();
        }
        self.owing.store(state.owes(), Ordering::SeqCst);
        state.keep_worker_alive(inner);
    }

    /// Whether an invalidation is owed that would remove an entry with one of these names: it must not be served.
    ///
    /// Also the moment to see that somebody is still retrying: a runtime may have ended and taken the worker with it.
    pub(crate) fn affects<'a>(&self, inner: &Arc<Inner>, names: impl IntoIterator<Item = &'a Name>) -> bool {
        if !self.is_owing() {
            return false;
        }
        let mut state = self.lock();
        state.keep_worker_alive(inner);
        names.into_iter().any(|name| state.affects(name))
    }

    pub(crate) fn is_owing(&self) -> bool {
        self.owing.load(Ordering::SeqCst)
    }

    /// All that is owed, and the number to settle it under.
    fn owed(&self) -> (Targets, u64) {
        let state = self.lock();
        let targets = Targets {
            names: state.names.keys().cloned().collect(),
            patterns: state.patterns.keys().map(ToString::to_string).collect(),
            clear: state.clear.is_some(),
        };
        (targets, state.last)
    }

    fn settle(&self, until: u64) {
        let mut state = self.lock();
        state.names.retain(|_, at| *at > until);
        state.patterns.retain(|_, (_, at)| *at > until);
        state.clear = state.clear.filter(|at| *at > until);
        self.owing.store(state.owes(), Ordering::SeqCst);
    }

    // A panic while the lock is held leaves at worst a debt too many.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn owes(&self) -> bool {
        self.clear.is_some() || !self.names.is_empty() || !self.patterns.is_empty()
    }

    fn affects(&self, name: &Name) -> bool {
        self.clear.is_some()
            || self.names.contains_key(name)
            || name.as_key().is_some_and(|key| self.patterns.values().any(|(glob, _)| glob.matches(key)))
    }

    fn keep_worker_alive(&mut self, inner: &Arc<Inner>) {
        // Without a runtime here, the next call that has one starts the worker.
        let Ok(runtime) = Handle::try_current() else { return };
        let now = Instant::now();
        let alive = self.worker.as_ref().is_some_and(|worker| !worker.task.is_finished() && now <= worker.due);
        if alive || !self.owes() {
            return;
        }
        let id = self.worker.as_ref().map_or(0, |worker| worker.id + 1);
        let task = runtime.spawn(retry(inner.clone(), id));
        self.worker = Some(Worker { id, task, due: now + RECOVERY_PAUSE_MAX });
    }

    /// Whether the worker is still the one that is to go on; if so, it will show itself again within `time`.
    fn sign_of_life(&mut self, id: u64, time: Duration) -> bool {
        match &mut self.worker {
            Some(worker) if worker.id == id => {
                // Twice the time: a busy machine is not a dead one.
                worker.due = Instant::now() + time * 2;
                true
            }
            _ => false,
        }
    }
}

/// Tries until nothing is owed. Holds the cache: what is owed outlives its last user.
async fn retry(inner: Arc<Inner>, id: u64) {
    let mut pause = RECOVERY_PAUSE_MIN;
    loop {
        if !inner.recovery.lock().sign_of_life(id, pause) {
            return;
        }
        // Between half and all of the pause: a fleet that lost its store together must not come back together.
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        let (targets, until) = inner.recovery.owed();
        if !inner.recovery.lock().sign_of_life(id, INVALIDATE_DEADLINE) {
            return;
        }
        match invalidate::drive(&inner, &targets).await {
            Ok(removed) => {
                inner.recovery.settle(until);
                tracing::info!(removed, "failed invalidations were made good");
                pause = RECOVERY_PAUSE_MIN;
            }
            Err(_) => pause = (pause * 2).min(RECOVERY_PAUSE_MAX),
        }
        let mut state = inner.recovery.lock();
        if !state.owes() {
            // Under the lock, so that a debt incurred from here on finds no worker and starts one.
            if state.worker.as_ref().is_some_and(|worker| worker.id == id) {
                state.worker = None;
            }
            return;
        }
    }
}

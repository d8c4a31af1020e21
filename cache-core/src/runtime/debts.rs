//! Invalidations under way, those that failed, and the worker that retries them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::{self, Instant};
use crate::config::RECOVERY_PAUSE_MAX;
use crate::invalidation::Targets;
use crate::name::{Glob, Name};
use crate::store::ClosingId;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, cache_loom))]
mod interleavings;

/// The invalidations that this process still owes the store.
pub(crate) struct Debts {
    /// Most names and patterns that are kept one by one; more of them collapse into one clear.
    names_max: usize,
    /// Whether anything is owed. While nothing is, a call looks at this alone.
    owing: AtomicBool,
    /// How many times something was settled.
    settlements: AtomicU64,
    ledger: Mutex<Ledger>,
    /// Told when an invalidation is not under way any more.
    ended: Notify,
}

/// What was owed when a call began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outset {
    /// How many times something had been settled by then. `None`: nothing was owed.
    settlements: Option<u64>,
}

/// Each debt has the number under which it was last incurred. An attempt that began before that
/// does not settle it.
#[derive(Default)]
struct Ledger {
    last: u64,
    names: HashMap<Name, u64>,
    patterns: HashMap<Box<str>, (Glob, u64)>,
    clear: Option<u64>,
    /// The longest time for which names that are owed are to stay closed.
    hold: Duration,
    /// Who holds them: of the invalidations that are owed, the first one to be held.
    held_by: Option<ClosingId>,
    worker: Option<Worker>,
    last_worker: u64,
    under_way: HashMap<u64, Arc<Targets>>,
}

/// The task that retries. It ends with the tokio runtime that it was spawned on.
struct Worker {
    id: u64,
    task: JoinHandle<()>,
    /// When its next sign of life is due at the latest.
    due: Instant,
}

impl Debts {
    pub(crate) fn new(names_max: usize) -> Self {
        Self {
            names_max,
            owing: AtomicBool::new(false),
            settlements: AtomicU64::new(0),
            ledger: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// Notes an invalidation that is to be done, under the number that is returned.
    pub(crate) fn begin(&self, targets: Arc<Targets>) -> u64 {
        let mut ledger = self.lock();
        ledger.last += 1;
        let number = ledger.last;
        ledger.under_way.insert(number, targets);
        number
    }

    /// Notes that it is done, or owed by now.
    pub(crate) fn end(&self, number: u64) {
        self.lock().under_way.remove(&number);
        self.ended.notify_waiters();
    }

    /// Waits until no invalidation is under way.
    pub(crate) async fn none_under_way(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().under_way.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Takes over a failed invalidation, whose names `by` holds if they are to be held.
    pub(crate) fn incur(&self, targets: Targets, by: ClosingId) {
        let mut ledger = self.lock();
        ledger.last += 1;
        let at = ledger.last;
        if targets.clear {
            ledger.clear = Some(at);
        }
        if !targets.hold.is_zero() {
            ledger.hold = ledger.hold.max(targets.hold);
            ledger.held_by.get_or_insert(by);
        }
        ledger.names.extend(targets.names.into_iter().map(|name| (name, at)));
        let patterns = targets.patterns.into_iter();
        ledger.patterns.extend(patterns.map(|pattern| (pattern.as_str().into(), (Glob::new(&pattern), at))));
        if ledger.names.len() + ledger.patterns.len() > self.names_max {
            tracing::warn!(
                names_max = self.names_max,
                "too many names of failed invalidations to remember: the whole namespace will be cleared instead"
            );
            ledger.clear = Some(at);
        }
        if ledger.clear == Some(at) {
            // The clear reaches all names and patterns.
            ledger.names = HashMap::new();
            ledger.patterns = HashMap::new();
        }
        self.owing.store(ledger.owes(), Ordering::SeqCst);
    }

    pub(crate) fn is_owing(&self) -> bool {
        self.owing.load(Ordering::SeqCst)
    }

    pub(crate) fn outset(&self) -> Outset {
        Outset { settlements: self.is_owing().then(|| self.settlements.load(Ordering::SeqCst)) }
    }

    /// Whether an invalidation that was owed at the outset has been made good meanwhile. An answer
    /// of the store may be older than that invalidation, and what was owed is not on record any
    /// more.
    pub(crate) fn settled_since(&self, outset: Outset) -> bool {
        outset.settlements.is_some_and(|settlements| settlements != self.settlements.load(Ordering::SeqCst))
    }

    /// Whether an invalidation is owed that would remove an entry with one of these names. Such an
    /// entry must not be served.
    pub(crate) fn affects<'a>(&self, names: impl IntoIterator<Item = &'a Name>) -> bool {
        let ledger = self.lock();
        names.into_iter().any(|name| ledger.affects(name))
    }

    /// All that is owed, who holds it, and the number under which it is to be settled.
    pub(crate) fn owed(&self) -> (Targets, ClosingId, u64) {
        let ledger = self.lock();
        (ledger.owed(), ledger.held_by.unwrap_or_else(ClosingId::new), ledger.last)
    }

    /// The number of names and patterns that are owed; a clear counts as one.
    pub(crate) fn count(&self) -> usize {
        let ledger = self.lock();
        ledger.names.len() + ledger.patterns.len() + usize::from(ledger.clear.is_some())
    }

    /// All that is owed or under way.
    pub(crate) fn unsent(&self) -> Targets {
        // Under one lock: what fails meanwhile would be missed in both lists.
        let ledger = self.lock();
        let mut targets = ledger.owed();
        for under_way in ledger.under_way.values() {
            targets.extend(under_way);
        }
        targets
    }

    pub(crate) fn settle(&self, until: u64) {
        let mut ledger = self.lock();
        // Before `owing` ends: a call sees the one or the other.
        self.settlements.fetch_add(1, Ordering::SeqCst);
        ledger.names.retain(|_, at| *at > until);
        ledger.patterns.retain(|_, (_, at)| *at > until);
        ledger.clear = ledger.clear.filter(|at| *at > until);
        if ledger.names.is_empty() {
            (ledger.hold, ledger.held_by) = (Duration::ZERO, None);
        }
        self.owing.store(ledger.owes(), Ordering::SeqCst);
    }

    /// Lets `start` begin a worker, unless nothing is owed or a worker is alive.
    pub(crate) fn employ(&self, start: impl FnOnce(u64) -> Option<JoinHandle<()>>) {
        let mut ledger = self.lock();
        let now = clock::now();
        let alive = ledger.worker.as_ref().is_some_and(|worker| !worker.task.is_finished() && now <= worker.due);
        if alive || !ledger.owes() {
            return;
        }
        // One of its own: a worker that has stood still for long must not take another for itself.
        let id = ledger.last_worker + 1;
        let Some(task) = start(id) else { return };
        ledger.last_worker = id;
        ledger.worker = Some(Worker { id, task, due: now + RECOVERY_PAUSE_MAX });
    }

    /// Whether this worker is the one to go on. If so, its next sign of life follows within
    /// `time`.
    pub(crate) fn sign_of_life(&self, id: u64, time: Duration) -> bool {
        match &mut self.lock().worker {
            Some(worker) if worker.id == id => {
                // Twice the time: a busy machine is not a dead one.
                worker.due = clock::now() + time * 2;
                true
            }
            _ => false,
        }
    }

    /// Ends the worker if nothing is owed. Decided under the lock: whoever incurs a debt after that
    /// finds no worker, and begins one.
    pub(crate) fn dismiss(&self, id: u64) -> bool {
        let mut ledger = self.lock();
        if ledger.owes() {
            return false;
        }
        if ledger.worker.as_ref().is_some_and(|worker| worker.id == id) {
            ledger.worker = None;
        }
        true
    }

    // A panic while the lock is held leaves one debt too many at worst.
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn owes(&self) -> bool {
        self.clear.is_some() || !self.names.is_empty() || !self.patterns.is_empty()
    }

    fn owed(&self) -> Targets {
        Targets {
            names: self.names.keys().cloned().collect(),
            patterns: self.patterns.keys().map(ToString::to_string).collect(),
            clear: self.clear.is_some(),
            hold: self.hold,
        }
    }

    fn affects(&self, name: &Name) -> bool {
        self.clear.is_some()
            || self.names.contains_key(name)
            || name.as_key().is_some_and(|key| self.patterns.values().any(|(glob, _)| glob.matches(key)))
    }
}

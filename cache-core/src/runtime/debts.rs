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
    names: HashMap<Name, NameDebt>,
    patterns: HashMap<Box<str>, (Glob, u64)>,
    clear: Option<u64>,
    worker: Option<Worker>,
    last_worker: u64,
    under_way: HashMap<u64, Arc<Targets>>,
}

struct NameDebt {
    at: u64,
    /// The name was invalidated, and is still to be held.
    is_reached: bool,
    hold: Option<Hold>,
}

/// How a name is to be kept closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    pub(crate) by: ClosingId,
    pub(crate) lasts: Duration,
}

/// The names that are to be held in the same way, in no order: those for which there is no room do
/// not stand before the others for good.
pub(crate) type NamesToHold = HashMap<Hold, Vec<Name>>;

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
        let hold = (!targets.hold.is_zero()).then_some(Hold { by, lasts: targets.hold });
        for name in targets.names {
            let before = ledger.names.get(&name).and_then(|debt| debt.hold);
            let hold = before.map_or(hold, |before| Some(before.at_least(targets.hold)));
            ledger.names.insert(name, NameDebt { at, is_reached: false, hold });
        }
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
            // The clear reaches all names and patterns, and holds none.
            ledger.reached(at);
            ledger.patterns = HashMap::new();
        }
        if ledger.names.len() > self.names_max {
            ledger.names = HashMap::new();
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

    /// All that is to be invalidated, what is then to be held, and the number under which both are
    /// to be settled.
    pub(crate) fn owed(&self) -> (Targets, NamesToHold, u64) {
        let ledger = self.lock();
        let mut to_hold = NamesToHold::new();
        for (name, debt) in &ledger.names {
            if let Some(hold) = debt.hold {
                to_hold.entry(hold).or_default().push(name.clone());
            }
        }
        (ledger.owed(|debt| !debt.is_reached), to_hold, ledger.last)
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
        let mut targets = ledger.owed(|_| true);
        targets.hold =
            ledger.names.values().filter_map(|debt| debt.hold).map(|hold| hold.lasts).max().unwrap_or_default();
        for under_way in ledger.under_way.values() {
            targets.extend(under_way);
        }
        targets
    }

    /// All was invalidated that was owed up to this number. What is to be held is still owed.
    pub(crate) fn settle(&self, until: u64) {
        let mut ledger = self.lock();
        // Before `owing` ends: a call sees the one or the other.
        self.settlements.fetch_add(1, Ordering::SeqCst);
        ledger.reached(until);
        ledger.patterns.retain(|_, (_, at)| *at > until);
        ledger.clear = ledger.clear.filter(|at| *at > until);
        self.owing.store(ledger.owes(), Ordering::SeqCst);
    }

    /// These names are held, as was owed up to this number.
    pub(crate) fn held(&self, names: &[Name], until: u64) {
        let mut ledger = self.lock();
        for name in names {
            if ledger.names.get(name).is_some_and(|debt| debt.at <= until) {
                ledger.names.remove(name);
            }
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

impl Hold {
    /// The same, for so long at least.
    fn at_least(self, lasts: Duration) -> Self {
        Self { lasts: self.lasts.max(lasts), ..self }
    }
}

impl Ledger {
    fn owes(&self) -> bool {
        self.clear.is_some() || !self.names.is_empty() || !self.patterns.is_empty()
    }

    /// The names that were owed up to this number were invalidated.
    fn reached(&mut self, until: u64) {
        self.names.retain(|_, debt| {
            debt.is_reached |= debt.at <= until;
            !debt.is_reached || debt.hold.is_some()
        });
    }

    /// The names that `is_wanted` says, and all else.
    fn owed(&self, is_wanted: impl Fn(&NameDebt) -> bool) -> Targets {
        let names = self.names.iter().filter(|(_, debt)| is_wanted(debt));
        Targets {
            names: names.map(|(name, _)| name.clone()).collect(),
            patterns: self.patterns.keys().map(ToString::to_string).collect(),
            clear: self.clear.is_some(),
            hold: Duration::ZERO,
        }
    }

    fn affects(&self, name: &Name) -> bool {
        self.clear.is_some()
            || self.names.contains_key(name)
            || name.as_key().is_some_and(|key| self.patterns.values().any(|(glob, _)| glob.matches(key)))
    }
}

#[cfg(all(test, not(cache_loom)))]
mod tests {
    use super::*;

    const BY: [ClosingId; 2] = [ClosingId(1), ClosingId(2)];
    const SECOND: Duration = Duration::from_secs(1);

    fn incur(debts: &Debts, name: &str, hold: Duration, by: ClosingId) {
        debts.incur(Targets { hold, ..Targets::of(Name::tag(name).unwrap()) }, by);
    }

    /// Names, seconds, and who holds them, in order.
    fn to_hold(debts: &Debts) -> Vec<(String, u64, ClosingId)> {
        let of = |(hold, names): (Hold, Vec<Name>)| {
            names.into_iter().map(move |name| (name.text().to_owned(), hold.lasts.as_secs(), hold.by))
        };
        let mut each: Vec<_> = debts.owed().1.into_iter().flat_map(of).collect();
        each.sort();
        each
    }

    #[test]
    fn a_name_is_held_as_it_was_asked_for() {
        let debts = Debts::new(10);
        incur(&debts, "a", SECOND, BY[0]);
        incur(&debts, "b", 2 * SECOND, BY[1]);
        let (_, _, until) = debts.owed();
        incur(&debts, "c", Duration::ZERO, BY[1]);
        assert_eq!(to_hold(&debts), [("a".to_owned(), 1, BY[0]), ("b".to_owned(), 2, BY[1])]);
        // Of two times the longer one counts, for who may have held it before.
        incur(&debts, "a", 3 * SECOND, BY[1]);
        assert_eq!(to_hold(&debts)[0], ("a".to_owned(), 3, BY[0]));
        debts.settle(until);
        debts.held(&["a", "b"].map(|name| Name::tag(name).unwrap()), until);
        assert_eq!(to_hold(&debts), [("a".to_owned(), 3, BY[0])], "it was incurred again meanwhile");
        assert!(debts.affects([&Name::tag("c").unwrap()]));
    }

    #[test]
    fn what_is_to_be_held_stays_so_when_it_is_reached() {
        let clear = Targets { clear: true, ..Targets::default() };
        let debts = Debts::new(10);
        incur(&debts, "a", SECOND, BY[0]);
        debts.incur(clear, BY[1]);
        assert_eq!(debts.unsent().hold, SECOND);
        let (targets, _, until) = debts.owed();
        assert!(targets.clear && targets.names.is_empty());
        debts.settle(until);
        let name = Name::tag("a").unwrap();
        assert!(debts.affects([&name]), "its invalidation has not succeeded yet");
        assert_eq!(to_hold(&debts), [("a".to_owned(), 1, BY[0])]);
        debts.held(&[name], until);
        assert!(!debts.is_owing());
    }

    #[test]
    fn more_names_than_are_remembered_are_not_held() {
        let debts = Debts::new(2);
        ["a", "b", "c"].iter().for_each(|name| incur(&debts, name, SECOND, BY[0]));
        let (targets, to_hold, _) = debts.owed();
        assert!(targets.clear && to_hold.is_empty());
    }
}

//! What a store for tests is told to do wrong.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::breaker::Breaker;
use crate::clock;

/// Gates that wait for one kind of request: a test that makes more forgets them.
const STORE_GATES_MAX: usize = 1_024;

/// What a cache asks of its store, as a [`StoreScript`] tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreRequest {
    /// A request of any kind.
    Any,
    /// The value of a key, or of many: each hit is one.
    Read,
    /// What a load begins with: the lease, and a reading of the clock. A write begins with the
    /// latter.
    Lease,
    /// A loaded value is stored.
    Fill,
    /// A written value is stored: [`put`](crate::Cache::put), `#[write_through]`.
    Write,
    /// One step of an invalidation of keys and tags, and of a closing.
    Invalidate,
    /// One page of an invalidation by pattern, and of [`clear`](crate::Cache::clear).
    Sweep,
    /// Everything else: leases that are renewed or given back, waits for another process's load,
    /// `explain`, `preview`, `keys` and their like.
    Other,
}

/// What the store of a [scripted cache](crate::Cache::scripted) does wrong, as told. Clones tell
/// the same store.
///
/// A fault of [`StoreRequest::Any`] and one of a request's own kind add up: the request waits for
/// both, and fails if either says so.
#[derive(Clone)]
pub struct StoreScript(Arc<Stage>);

/// A request that waits until the test lets it go on. Made by [`StoreScript::hold`].
///
/// Dropped, it lets the request go on as well.
#[derive(Debug)]
#[must_use = "dropped, it holds nothing"]
pub struct StoreGate {
    arrival: watch::Receiver<bool>,
    /// Dropped with the gate, which opens it.
    _bar: watch::Sender<()>,
}

/// The script and the breaker in front of it.
pub(super) struct Stage {
    pub(super) breaker: Breaker,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    faults: BTreeMap<StoreRequest, Faults>,
    is_full: bool,
}

#[derive(Default)]
struct Faults {
    /// How many of the next requests fail.
    failing: u64,
    /// How many of the next answers are lost.
    losing: u64,
    delay: Duration,
    gates: VecDeque<HeldRequest>,
    requests: u64,
}

struct HeldRequest {
    arrival: watch::Sender<bool>,
    bar: watch::Receiver<()>,
}

/// What becomes of one request.
#[derive(Default)]
pub(super) struct Fate {
    gates: Vec<HeldRequest>,
    delay: Duration,
    pub(super) fails: bool,
    pub(super) loses_its_answer: bool,
}

impl StoreScript {
    pub(super) fn new(breaker_failures: u32) -> (Self, Arc<Stage>) {
        let stage = Arc::new(Stage { breaker: Breaker::new(breaker_failures), plan: Mutex::default() });
        (Self(stage.clone()), stage)
    }

    /// Every such request fails from now on, at once and without taking effect, as those to a
    /// server that is not there.
    pub fn fail(&self, request: StoreRequest) {
        self.fail_next(u64::MAX, request);
    }

    /// The next `count` such requests fail likewise.
    pub fn fail_next(&self, count: u64, request: StoreRequest) {
        self.0.change(request, |faults| faults.failing = count);
    }

    /// The next `count` such requests take effect, and their answers are lost: the cache cannot
    /// know what became of them, as when a connection breaks.
    pub fn lose_answers(&self, count: u64, request: StoreRequest) {
        self.0.change(request, |faults| faults.losing = count);
    }

    /// Every such request takes `time` from now on before it takes effect. What would take longer
    /// than a call waits for the store ([`operation_deadline`]) ends then, and has no effect: with
    /// [`Duration::MAX`] the store hangs.
    ///
    /// The time is tokio's, and passes at once in a test that pauses it.
    ///
    /// [`operation_deadline`]: crate::Builder::operation_deadline
    pub fn delay(&self, time: Duration, request: StoreRequest) {
        self.0.change(request, |faults| faults.delay = time);
    }

    /// The next such request waits before it takes effect, until the gate is opened, or the
    /// request's deadline has passed. Each further call holds one more.
    ///
    /// # Panics
    /// If 1,024 gates wait for such requests.
    pub fn hold(&self, request: StoreRequest) -> StoreGate {
        let (arrival, arrived) = watch::channel(false);
        let (bar, opened) = watch::channel(());
        self.0.change(request, |faults| {
            assert!(faults.gates.len() < STORE_GATES_MAX, "{STORE_GATES_MAX} gates wait for requests");
            faults.gates.push_back(HeldRequest { arrival, bar: opened });
        });
        StoreGate { arrival: arrived, _bar: bar }
    }

    /// Nothing is stored from now on, as on a server whose memory is full. What is stored stays,
    /// and is invalidated as ever.
    pub fn refuse_fills(&self) {
        self.0.lock().is_full = true;
    }

    /// Ends every fault, and takes away the gates that no request has reached. The breaker lets the
    /// next call try at once, as when a connection was made.
    pub fn heal(&self) {
        let mut plan = self.0.lock();
        plan.is_full = false;
        for faults in plan.faults.values_mut() {
            *faults = Faults { requests: faults.requests, ..Faults::default() };
        }
        drop(plan);
        self.0.breaker.probe_soon(clock::now());
    }

    /// How many such requests have come to the store so far: round trips, if it were a server. What
    /// an open breaker refuses does not come to the store.
    pub fn requests(&self, request: StoreRequest) -> u64 {
        self.0.lock().faults.get(&request).map_or(0, |faults| faults.requests)
    }
}

impl StoreGate {
    /// Waits until a request has come here. Returns at once if none ever will, because the script
    /// was [healed](StoreScript::heal).
    pub async fn reached(&mut self) {
        let _ = self.arrival.wait_for(|arrived| *arrived).await;
    }

    /// Lets the request go on.
    pub fn open(self) {}
}

impl Stage {
    fn change(&self, request: StoreRequest, change: impl FnOnce(&mut Faults)) {
        change(self.lock().faults.entry(request).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(super) fn fate(&self, request: StoreRequest) -> Fate {
        let mut plan = self.lock();
        let mut fate = Fate::default();
        for kind in [StoreRequest::Any, request] {
            let faults = plan.faults.entry(kind).or_default();
            faults.requests += 1;
            fate.gates.extend(faults.gates.pop_front());
            fate.delay = fate.delay.saturating_add(faults.delay);
            fate.fails |= is_due(&mut faults.failing);
            fate.loses_its_answer |= is_due(&mut faults.losing);
        }
        fate
    }

    /// Whether nothing is stored.
    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full
    }

    /// Whether every request fails, until the script is healed.
    pub(super) fn is_gone(&self) -> bool {
        self.lock().faults.get(&StoreRequest::Any).is_some_and(|faults| faults.failing == u64::MAX)
    }
}

impl Fate {
    /// Waits for as long as the request is held up.
    pub(super) async fn comes(&mut self) {
        for HeldRequest { arrival, mut bar } in self.gates.drain(..) {
            arrival.send_replace(true);
            // An error: the gate was opened.
            while bar.changed().await.is_ok() {}
        }
        if self.delay == Duration::MAX {
            std::future::pending::<()>().await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

/// Counts one down, unless it is for ever.
fn is_due(left: &mut u64) -> bool {
    let due = *left > 0;
    if due && *left != u64::MAX {
        *left -= 1;
    }
    due
}

impl fmt::Debug for StoreScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreScript").field("requests", &self.requests(StoreRequest::Any)).finish_non_exhaustive()
    }
}

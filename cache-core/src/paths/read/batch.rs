//! The read path of many keys at once: one look for all, one load for exactly those that nobody has or loads.
//!
//! Each key is a [`Read`] of its own, with its own flight, lease and clock reading, so that single calls and other batches
//! meet it as they meet each other. What is different: **nobody waits while holding a lease or leading a flight**, or two
//! batches that overlap would wait for each other. What others load is set aside; what is granted is loaded and filled;
//! only then is the rest waited for.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Asked, Found, Missed, Read, Way};
use crate::clock::{Instant, can_wait};
use crate::config::{BATCH_BYTES, BATCH_GET_KEYS, BATCH_GET_KEYS_UNSEEN, BATCH_WINDOW};
use crate::entry::Fingerprint;
use crate::key::Policy;
use crate::name::Name;
use crate::observe::Counters;
use crate::paths::lease::Lease;
use crate::paths::load::{Filling, Loading};
use crate::paths::window::{self, Boxed};
use crate::runtime::Runtime;
use crate::runtime::budget::Spent;
use crate::runtime::single_flight::{End, Role, Streak};
use crate::store::IfPresent;

/// One call for many keys. Keys are spoken of by their place in the input.
pub(crate) struct Batch {
    runtime: Arc<Runtime>,
    counters: Arc<Counters>,
    reads: Vec<Read>,
    /// Without a value so far.
    open: Vec<usize>,
    /// What the store may still cost: one operation deadline for each [`BATCH_WINDOW`] of keys, nothing once it has failed.
    left: Duration,
    /// The first look goes on here.
    looked: usize,
    /// How many keys it asks for next.
    look_keys: usize,
}

/// What became of keys without a value. Nothing of either: no key is left.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Found meanwhile. What cannot be decoded stays open.
    pub(crate) found: Vec<(usize, Found)>,
    /// To be loaded in one load, in the order of the input.
    pub(crate) loads: Vec<(usize, Box<Loading>)>,
}

enum Claimed {
    Missed(Missed),
    /// Somebody else is loading it.
    Elsewhere,
}

impl Batch {
    pub(crate) fn begin(
        runtime: &Arc<Runtime>,
        keys: impl Iterator<Item = Option<(Arc<str>, Name)>>,
        policy: &Policy,
        fingerprint: Fingerprint,
        refresh: bool,
    ) -> Self {
        let reads: Vec<Read> =
            keys.map(|key| Read::begin(runtime, key, policy.clone(), fingerprint, refresh)).collect();
        let open = (0..reads.len()).collect();
        let windows = u32::try_from(reads.len().div_ceil(BATCH_WINDOW)).unwrap_or(u32::MAX);
        let left = runtime.config.operation_deadline.saturating_mul(windows);
        let counters = runtime.counted.prefix(&policy.prefix);
        let look_keys = keys_within_bytes(&counters).unwrap_or(BATCH_GET_KEYS_UNSEEN);
        Self { runtime: runtime.clone(), counters, reads, open, left, looked: 0, look_keys }
    }

    /// What is stored, chunk by chunk; `None` after the last one. One round trip each.
    pub(crate) async fn stored(&mut self) -> Option<Vec<(usize, Found)>> {
        let runtime = self.runtime.clone();
        let Ok(store) = runtime.store() else { return None };
        let (mut places, mut keys) = (Vec::new(), Vec::new());
        while self.looked < self.reads.len() && keys.len() < self.look_keys {
            let read = &self.reads[self.looked];
            let is_asked_for = read.way != Way::Bypass && read.if_present != IfPresent::Ignore;
            if let Some((key, _)) = read.key.as_ref().filter(|_| is_asked_for) {
                places.push(self.looked);
                keys.push(key.clone());
            }
            self.looked += 1;
        }
        if keys.is_empty() {
            return None;
        }
        let asking = Asking::begin(self.left);
        let mut spent = Spent::new(runtime.config.operation_deadline.min(self.left), self.counters.clone());
        let answer = spent.ask(store.get_many(&keys)).await;
        self.left = if answer.is_ok() { asking.left() } else { Duration::ZERO };
        let values = answer.ok()?;
        let sizes = values.iter().flatten().map(bytes::Bytes::len);
        self.counters.values_seen(sizes.clone().count(), sizes.sum());
        self.look_keys = keys_within_bytes(&self.counters).unwrap_or((2 * self.look_keys).min(BATCH_GET_KEYS));
        let found = places.into_iter().zip(values);
        Some(found.filter_map(|(at, value)| Some((at, self.reads[at].usable(value?)?))).collect())
    }

    /// Whether no key is left without a value.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// These were decoded and go to the caller. None of them asks for a refresh: a batch does nothing in the background, so it
    /// loads what is stale.
    pub(crate) fn served(&mut self, served: Vec<(usize, Found)>) {
        let places: Vec<usize> = served.iter().map(|(at, _)| *at).collect();
        for (at, found) in served {
            self.reads[at].served(found);
        }
        self.close(&places);
    }

    /// The payload is not what the type expects.
    pub(crate) fn undecodable(&mut self, at: usize) {
        self.reads[at].undecodable();
    }

    /// Goes on with the keys that have no value yet: takes what others loaded, or comes back with a load to run.
    pub(crate) async fn gather(&mut self) -> Gathered {
        let mut gathered = self.claim().await;
        if gathered.found.is_empty() && gathered.loads.is_empty() && !self.open.is_empty() {
            gathered = self.wait().await;
            if !gathered.loads.is_empty() {
                // Whoever led this one gave up, and may have given up others.
                let more = self.claim().await;
                gathered.found.extend(more.found);
                gathered.loads.extend(more.loads);
            }
        }
        gathered.loads.sort_unstable_by_key(|(at, _)| *at);
        gathered
    }

    /// Leads and leases what nobody else has, without waiting for anyone.
    async fn claim(&mut self) -> Gathered {
        let asking = Asking::begin(self.left);
        let claims = each_open(&mut self.reads, &self.open).map(|(at, read)| -> Boxed<'_, (usize, Claimed)> {
            let asking = &asking;
            Box::pin(async move {
                // Here, as each is begun: a store that failed one key is not asked for thousands.
                read.limit(asking.left());
                let claimed = read.claim().await;
                asking.answered(read.way != Way::FailOpen);
                (at, claimed)
            })
        });
        let mut gathered = Gathered::default();
        window::run(claims, BATCH_WINDOW, |(at, claimed)| {
            if let Claimed::Missed(missed) = claimed {
                gathered.add(at, missed);
            }
            ControlFlow::Continue(())
        })
        .await;
        // What was granted nevertheless is offered to the store.
        self.left = asking.until.saturating_duration_since(Instant::now());
        self.close_loaded(&gathered);
        gathered
    }

    /// Waits for those who load, until all is found or something turns out to be ours to load.
    async fn wait(&mut self) -> Gathered {
        let failed = AtomicBool::new(false);
        let waits = each_open(&mut self.reads, &self.open).map(|(at, read)| -> Boxed<'_, (usize, Missed)> {
            let failed = &failed;
            Box::pin(async move {
                let missed = read.miss().await;
                failed.fetch_or(read.way == Way::FailOpen, Ordering::Relaxed);
                (at, missed)
            })
        });
        let mut gathered = Gathered::default();
        window::run(waits, BATCH_WINDOW, |(at, missed)| {
            gathered.add(at, missed);
            // The other waits end: what is loaded here must not wait for them.
            if gathered.loads.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await;
        if failed.into_inner() {
            self.left = Duration::ZERO;
        }
        self.close_loaded(&gathered);
        gathered
    }

    /// Sends fills side by side; `false`: the store did not answer one of them.
    pub(crate) async fn fill(&mut self, fillings: Vec<Filling>) -> bool {
        let asking = Asking::begin(self.left);
        let fills = fillings.into_iter().map(|filling| -> Boxed<'_, ()> {
            let asking = &asking;
            Box::pin(async move { asking.answered(filling.send_within(asking.left()).await) })
        });
        window::run(fills, BATCH_WINDOW, |()| ControlFlow::Continue(())).await;
        self.left = asking.left();
        !self.left.is_zero()
    }

    fn close_loaded(&mut self, gathered: &Gathered) {
        let places: Vec<usize> = gathered.loads.iter().map(|(at, _)| *at).collect();
        self.close(&places);
    }

    fn close(&mut self, places: &[usize]) {
        let places: HashSet<usize> = places.iter().copied().collect();
        self.open.retain(|at| !places.contains(at));
    }
}

/// How many keys to ask for in one command. `None`: no value was seen yet.
fn keys_within_bytes(counters: &Counters) -> Option<usize> {
    Some((BATCH_BYTES / counters.value_bytes()?).clamp(1, BATCH_GET_KEYS))
}

/// A time in which a batch asks the store many things at once.
struct Asking {
    until: Instant,
    failed: AtomicBool,
}

impl Asking {
    fn begin(left: Duration) -> Self {
        Self { until: Instant::now() + left, failed: AtomicBool::new(false) }
    }

    fn answered(&self, is_answered: bool) {
        self.failed.fetch_or(!is_answered, Ordering::Relaxed);
    }

    /// What the store may still cost.
    fn left(&self) -> Duration {
        match self.failed.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => self.until.saturating_duration_since(Instant::now()),
        }
    }
}

impl Gathered {
    fn add(&mut self, at: usize, missed: Missed) {
        match missed {
            Missed::Found(found) => self.found.push((at, found)),
            Missed::Load(loading) => self.loads.push((at, loading)),
        }
    }
}

/// `open` is sorted.
fn each_open<'a>(reads: &'a mut [Read], open: &'a [usize]) -> impl Iterator<Item = (usize, &'a mut Read)> {
    let mut open = open.iter().peekable();
    reads.iter_mut().enumerate().filter(move |(at, _)| open.next_if(|next| *next == at).is_some())
}

impl Read {
    /// The store may cost this call no more.
    fn limit(&mut self, left: Duration) {
        self.spent.limit(left);
        if left.is_zero() && self.way != Way::Bypass {
            self.way = Way::FailOpen;
        }
    }

    /// The lease if nobody has it, else nothing: never waits for another's load.
    async fn claim(&mut self) -> Claimed {
        let runtime = self.runtime.clone();
        let leases = matches!(self.way, Way::Share | Way::WaitForLease | Way::Alone);
        let (Some((key, _)), Ok(store), true) = (self.key.clone(), runtime.store(), leases) else {
            // Without the lease there is nothing to wait for.
            return Claimed::Missed(self.lease(None).await);
        };
        self.from_flight = false;
        let gives_up = !can_wait() || Instant::now() >= self.deadline();
        let leader = match self.way {
            Way::Share => match self.runtime.flights.join(&key, &Streak::default()) {
                Role::Lead(leader) => Some(leader),
                Role::Follow(_) if !gives_up => return Claimed::Elsewhere,
                Role::Follow(_) | Role::Crowded => None,
            },
            _ => None,
        };
        let mut lease = Lease::new(&runtime, &key);
        Claimed::Missed(match self.ask(store, &key, &mut lease).await {
            Asked::Found(found) => {
                leader.into_iter().for_each(|leader| leader.end(End::Elsewhere));
                Missed::Found(found)
            }
            Asked::Granted(clock) => self.load(clock, Some(lease), leader),
            Asked::Held { clock, .. } => {
                lease.forget();
                if !gives_up && self.way != Way::Alone {
                    // The load that this batch runs first has nothing to do with whoever follows here.
                    leader.into_iter().for_each(|leader| leader.end(End::Elsewhere));
                    return Claimed::Elsewhere;
                }
                self.load(clock, None, leader)
            }
            Asked::Unanswered => self.load_unfilled(leader),
        })
    }
}

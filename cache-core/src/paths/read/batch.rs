//! The read path of many keys at once: one look for all, one load for exactly those that nobody has
//! or loads.
//!
//! Each key is a [`Read`] of its own, with its own flight, lease and clock reading, so that single
//! calls and other batches meet it as they meet each other. One thing is different: **a batch never
//! waits while it holds a lease or leads a flight**, or two batches that overlap would wait for
//! each other. Keys that others load are set aside. Keys that this batch may load are loaded and
//! filled. Only then does the batch wait for the rest.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::claim::{Claim, ClaimAnswer};
use super::{Hit, Miss, Read, Source, Terms, Way};
use crate::clock::{self, Instant};
use crate::config::{BATCH_BYTES, BATCH_GET_KEYS, BATCH_GET_KEYS_UNSEEN, BATCH_WINDOW};
use crate::entry::Fingerprint;
use crate::key::{EntryKey, Policy};
use crate::observe::{Counters, StoreOperation};
use crate::paths::lease::Lease;
use crate::paths::load::{Filling, Loading};
use crate::paths::subject::Subject;
use crate::paths::window::{self, Boxed};
use crate::runtime::Runtime;
use crate::runtime::budget::Budget;
use crate::runtime::single_flight::{End, Role, Streak};

mod homes;

use homes::{Homes, Question};

/// One call for many keys. A key is named by its place in the input.
pub(crate) struct Batch {
    runtime: Arc<Runtime>,
    counters: Arc<Counters>,
    reads: Vec<Read>,
    /// The keys without a value so far.
    open: Vec<usize>,
    /// What the store may still cost: one operation deadline for each [`BATCH_WINDOW`] of keys,
    /// nothing once all homes have failed.
    left: Duration,
    homes: Homes,
    /// The place at which the first look goes on.
    looked: usize,
    /// How many keys the first look asks for next.
    look_keys: usize,
}

/// What became of keys without a value. If both lists are empty, no key is left.
#[derive(Default)]
pub(crate) struct BatchOutcome {
    /// Values found meanwhile. A key whose value cannot be decoded stays open.
    pub(crate) found: Vec<(usize, Hit)>,
    /// The keys to be loaded in one load, in the order of the input.
    pub(crate) loads: Vec<(usize, Box<Loading>)>,
}

impl Batch {
    pub(crate) fn begin(
        runtime: &Arc<Runtime>,
        keys: impl Iterator<Item = Option<EntryKey>>,
        policy: &Policy,
        fingerprint: Fingerprint,
        refresh: bool,
    ) -> Self {
        let terms = Terms { refresh, ..Terms::default() };
        let begin = |key| Read::begin(Subject::new(runtime, key, policy.clone(), fingerprint), terms);
        let reads: Vec<Read> = keys.map(begin).collect();
        let open = (0..reads.len()).collect();
        let windows = u32::try_from(reads.len().div_ceil(BATCH_WINDOW)).unwrap_or(u32::MAX);
        let deadline = runtime.config.operation_deadline;
        let left = Budget::new(deadline.saturating_mul(windows)).left();
        let each = reads.iter().filter_map(|read| read.home()).collect();
        let homes = Homes::new(each, Budget::new(deadline).left());
        let counters = runtime.counted.prefix(&policy.prefix);
        let look_keys = keys_within_bytes(&counters).unwrap_or(BATCH_GET_KEYS_UNSEEN);
        Self { runtime: runtime.clone(), counters, reads, open, left, homes, looked: 0, look_keys }
    }

    /// The stored values of the next chunk of keys; `None` after the last chunk, or if no home
    /// answers. One round trip each.
    pub(crate) async fn stored(&mut self) -> Option<Vec<(usize, Hit)>> {
        let (mut places, mut keys) = (Vec::new(), Vec::new());
        while self.looked < self.reads.len() && keys.len() < self.look_keys {
            let read = &self.reads[self.looked];
            let is_asked = read.looks() && read.home().is_some_and(|home| !self.homes.is_silent(home));
            if let Some(key) = read.subject.key_text().filter(|_| is_asked) {
                places.push(self.looked);
                keys.push(key.clone());
            }
            self.looked += 1;
        }
        if keys.is_empty() {
            return None;
        }
        let mut values = self.values(&keys).await;
        if self.homes.are_all_silent() {
            return None;
        }
        self.look_beside(&places, &mut values).await;
        let sizes = values.iter().flatten().map(bytes::Bytes::len);
        self.counters.values_seen(sizes.clone().count(), sizes.sum());
        self.look_keys = keys_within_bytes(&self.counters).unwrap_or((2 * self.look_keys).min(BATCH_GET_KEYS));
        let found = places.into_iter().zip(values);
        Some(found.filter_map(|(at, value)| Some((at, self.reads[at].usable(value?, Source::Store)?))).collect())
    }

    /// Asks each home for the values of its keys, all homes at once. One that does not answer has
    /// none.
    async fn values(&mut self, keys: &[Arc<str>]) -> Vec<Option<Bytes>> {
        let (runtime, mut values) = (self.runtime.clone(), vec![None; keys.len()]);
        let Ok(store) = runtime.store() else { return values };
        let mut by_home = BTreeMap::<u16, (Vec<usize>, Vec<Arc<str>>)>::new();
        for (at, key) in keys.iter().enumerate() {
            let (places, keys) = by_home.entry(store.home(key)).or_default();
            places.push(at);
            keys.push(key.clone());
        }
        let (until, homes, counters) = (self.until(), &self.homes, &self.counters);
        let asks = by_home.iter().map(|(home, (places, keys))| -> Boxed<'_, (&[usize], Vec<Option<Bytes>>)> {
            let question = homes.ask(*home, left(until));
            let mut budget = Budget::new(runtime.config.operation_deadline);
            budget.limit(question.limit);
            Box::pin(async move {
                let asked = budget.ask(counters, StoreOperation::GetMany, |until| store.get_many(keys, until));
                let answer = asked.await.inspect_err(|_| homes.was_unanswered(&question));
                (&places[..], answer.unwrap_or_default())
            })
        });
        window::run(asks, BATCH_WINDOW, |(places, found)| {
            places.iter().zip(found).for_each(|(at, value)| values[*at] = value);
            ControlFlow::Continue(())
        })
        .await;
        self.left = if homes.are_all_silent() { Duration::ZERO } else { left(until) };
        values
    }

    /// Looks for the entries of this type where those under the keys are of another one. One more
    /// round trip, if there are any.
    async fn look_beside(&mut self, places: &[usize], values: &mut [Option<Bytes>]) {
        let mut beside = Vec::new();
        for (at, (place, value)) in places.iter().zip(values.iter_mut()).enumerate() {
            if value.as_ref().is_some_and(|bytes| self.reads[*place].goes_beside(bytes)) {
                *value = None;
                beside.push(at);
            }
        }
        let keys: Vec<_> = beside.iter().filter_map(|at| self.reads[places[*at]].subject.key_text().cloned()).collect();
        if keys.is_empty() {
            return;
        }
        let found = self.values(&keys).await;
        beside.into_iter().zip(found).for_each(|(at, found)| values[at] = found);
    }

    /// Whether no key is left without a value.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Counts values that were decoded and go to the caller. None of them asks for a refresh: a
    /// batch does nothing in the background, so it loads what is stale.
    pub(crate) fn served(&mut self, served: Vec<(usize, Hit)>) {
        let places: Vec<usize> = served.iter().map(|(at, _)| *at).collect();
        for (at, found) in served {
            self.reads[at].served(found);
        }
        self.close(&places);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The payload is not what the type expects.
    pub(crate) fn undecodable(&mut self, at: usize, found: &Hit) {
        self.reads[at].undecodable(found);
    }

    /// Goes on with the keys that have no value yet: takes what others loaded, or comes back with a
    /// load to run.
    pub(crate) async fn gather(&mut self) -> BatchOutcome {
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

    /// Takes the flight and the lease of every key that nobody else loads, without waiting for
    /// anyone.
    async fn claim(&mut self) -> BatchOutcome {
        let (until, homes) = (self.until(), &self.homes);
        let claims = each_open(&mut self.reads, &self.open).map(|(at, read)| -> Boxed<'_, (usize, BatchClaim)> {
            Box::pin(async move {
                // The limit is set as each claim begins: a home that failed one key is not asked
                // for thousands.
                let question = read.limit_at(homes, left(until));
                let claim = read.claim_at_once().await;
                read.note_answer(homes, &question);
                (at, claim)
            })
        });
        let mut gathered = BatchOutcome::default();
        window::run(claims, BATCH_WINDOW, |(at, claim)| {
            if let BatchClaim::Missed(miss) = claim {
                gathered.add(at, miss);
            }
            ControlFlow::Continue(())
        })
        .await;
        // Not zero after a failure: the keys whose lease was granted are still offered to the
        // store.
        self.left = left(until);
        self.close_loaded(&gathered);
        gathered
    }

    /// Waits for the loads of others, until every key is found or one turns out to be this batch's
    /// to load.
    async fn wait(&mut self) -> BatchOutcome {
        let (left, homes) = (self.left, &self.homes);
        let waits = each_open(&mut self.reads, &self.open).map(|(at, read)| -> Boxed<'_, (usize, Miss)> {
            Box::pin(async move {
                let question = read.limit_at(homes, left);
                let miss = read.miss().await;
                read.note_answer(homes, &question);
                (at, miss)
            })
        });
        let mut gathered = BatchOutcome::default();
        window::run(waits, BATCH_WINDOW, |(at, miss)| {
            gathered.add(at, miss);
            // The other waits end, because the load of this batch must not wait for them.
            if gathered.loads.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await;
        if homes.are_all_silent() {
            self.left = Duration::ZERO;
        }
        self.close_loaded(&gathered);
        gathered
    }

    /// Sends the fills concurrently; `false`: no more are to be sent, because the store takes too
    /// long. A fill of which one home does not answer says nothing of the others: it has asked the
    /// homes of all names.
    pub(crate) async fn fill(&mut self, fillings: Vec<Filling>) -> bool {
        let (until, homes, failed) = (self.until(), &self.homes, AtomicBool::new(false));
        let fills = fillings.into_iter().map(|filling| -> Boxed<'_, ()> {
            let failed = &failed;
            Box::pin(async move {
                let left = if failed.load(Ordering::Relaxed) { Duration::ZERO } else { left(until) };
                let question = homes.ask_any(left);
                if !filling.send_within(question.limit).await {
                    homes.was_unanswered(&question);
                    failed.fetch_or(!homes.are_several(), Ordering::Relaxed);
                }
            })
        });
        window::run(fills, BATCH_WINDOW, |()| ControlFlow::Continue(())).await;
        self.left = if failed.into_inner() { Duration::ZERO } else { left(until) };
        !self.left.is_zero()
    }

    /// The time that the store has cost this batch in vain.
    pub(crate) fn lost(&self) -> Duration {
        if self.left.is_zero() { self.runtime.config.operation_deadline } else { self.homes.lost() }
    }

    /// Subtracts the time that the store has cost the load of this batch in vain.
    pub(crate) fn charge(&mut self, lost: Duration) {
        self.left = self.left.saturating_sub(lost);
        self.homes.have_lost(lost);
    }

    /// When the store has taken all that it may cost this batch.
    fn until(&self) -> Instant {
        clock::now() + self.left
    }

    fn close_loaded(&mut self, gathered: &BatchOutcome) {
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

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(clock::now())
}

impl BatchOutcome {
    fn add(&mut self, at: usize, miss: Miss) {
        match miss {
            Miss::Found(found) => self.found.push((at, found)),
            Miss::Load(loading) => self.loads.push((at, loading)),
        }
    }
}

/// `open` is sorted.
fn each_open<'a>(reads: &'a mut [Read], open: &'a [usize]) -> impl Iterator<Item = (usize, &'a mut Read)> {
    let mut open = open.iter().peekable();
    reads.iter_mut().enumerate().filter(move |(at, _)| open.next_if(|next| *next == at).is_some())
}

/// What a batch learns of one key without waiting for anybody.
enum BatchClaim {
    Missed(Miss),
    /// Somebody else is loading it.
    Elsewhere,
}

impl Read {
    /// Where the key is at home.
    fn home(&self) -> Option<u16> {
        let (key, store) = self.subject.place()?;
        Some(store.home(&key.text))
    }

    /// Limits the time that the store may still cost this call to what the batch may still lose to
    /// the home of its key.
    fn limit_at(&mut self, homes: &Homes, left: Duration) -> Question {
        let question = homes.ask(self.home().unwrap_or_default(), left);
        self.limit(question.limit);
        question
    }

    /// Tells whether the home has answered this call.
    fn note_answer(&self, homes: &Homes, question: &Question) {
        if self.was_failed() {
            homes.was_unanswered(question);
        }
    }

    /// Limits the time that the store may still cost this call.
    fn limit(&mut self, left: Duration) {
        self.budget.limit(left);
        if left.is_zero() && !matches!(self.way, Way::Bypass) {
            self.way = Way::FailOpen;
        }
    }

    fn was_failed(&self) -> bool {
        matches!(self.way, Way::FailOpen)
    }

    /// Takes the lease if it is free. Never waits for another's load.
    async fn claim_at_once(&mut self) -> BatchClaim {
        let subject = self.subject.clone();
        let leases = matches!(self.way, Way::Share | Way::WaitForLease | Way::Alone);
        let Some((key, _)) = subject.place().filter(|_| leases) else {
            // Without the lease there is nothing to wait for.
            return BatchClaim::Missed(self.lease(None).await);
        };
        // What is set aside is waited for as well.
        self.patience();
        let leader = match self.way {
            Way::Share => match self.join_at_once(&key.text) {
                Role::Lead(leader) => Some(leader),
                Role::Follow(_) => return BatchClaim::Elsewhere,
                Role::Crowded => None,
            },
            _ => None,
        };
        let claim = Claim { lease: Lease::new(&subject.runtime, &key.text), leader };
        BatchClaim::Missed(match self.claim(claim).await {
            ClaimAnswer::Missed(miss) => miss,
            ClaimAnswer::Held { claim, clock, .. } if self.gives_up() => self.load_unleased(claim, clock),
            ClaimAnswer::Held { mut claim, .. } => {
                claim.lease.forget();
                // This batch runs other loads first, and the followers here must not wait for
                // those.
                claim.leader.into_iter().for_each(|leader| leader.end(End::Elsewhere));
                return BatchClaim::Elsewhere;
            }
            ClaimAnswer::Unanswered(claim) => self.fail_open(claim),
        })
    }
    /// Beside a load that is under way, if it has waited for it long enough.
    fn join_at_once(&self, key: &Arc<str>) -> Role {
        let join = |overdue| self.subject.runtime.flights.join(key, &Streak::default(), overdue);
        let role = join(None);
        match &role {
            Role::Follow(follower) if self.is_out_of_patience() => match follower.overdue() {
                Some(overdue) => join(Some(&overdue)),
                None => role,
            },
            _ => role,
        }
    }
}

//! The read path: look, share or take the lease, load, fill. Nothing in it is generic: it is compiled once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::clock::{Instant, can_wait};
use crate::entry::Entry;
use crate::entry::codec;
use crate::entry::{Fingerprint, fingerprint};
use crate::error::Error;
use crate::freshness::{Reason, Step};
use crate::key::{Key, Policy};
use crate::name::Name;
use crate::paths::lease::Lease;
use crate::paths::load::{self, Loading};
use crate::paths::recovery;
use crate::paths::refresh::Due;
use crate::paths::stamp;
use crate::paths::wait::Wait;
use crate::runtime::Runtime;
use crate::runtime::budget::Spent;
use crate::runtime::provenance;
use crate::runtime::single_flight::{Beside, End, Followed, Leader, Role, Streak};
use crate::store::{Change, ClockReading, IfPresent, LeaseReply, Store};

pub(crate) mod batch;

/// One call, until it has a value or has to load.
pub(crate) struct Read {
    runtime: Arc<Runtime>,
    key: Option<(Arc<str>, Name)>,
    policy: Policy,
    fingerprint: Fingerprint,
    /// Whether bytes of another type count as bad. Not for a key given as text: see [`peek`].
    checks_type: bool,
    way: Way,
    if_present: IfPresent,
    /// Whether the caller can have a value refreshed in the background.
    background: bool,
    /// Served if the load fails.
    kept: Option<Entry>,
    from_flight: bool,
    /// For [`Way::Beside`].
    beside: Option<Beside>,
    /// When it stops waiting for others.
    deadline: Option<Instant>,
    spent: Spent,
}

/// How a call that missed goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Join the flight of the key, or lead one.
    Share,
    /// Alone, but wait for whoever has the lease.
    WaitForLease,
    /// Alone, now: with a clock reading, and with the lease only if it is free.
    Alone,
    /// Alone, now: with a clock reading, and without the lease, which is for whoever leads after a load that failed.
    Beside,
    /// The store failed this call: load and store nothing.
    FailOpen,
    /// Leave the cache alone: load and store nothing.
    Bypass,
}

/// A stored value that the caller may be served.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    served: Served,
    // Boxed: rare, and large.
    due: Option<Box<Due>>,
}

/// As what a stored value is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Fresh,
    /// Within `stale_while_revalidate`.
    Stale,
    /// In the place of another call's load, which failed: within `stale_if_error`.
    StandIn,
}

/// A stored value, or a load to run.
pub(crate) enum Missed {
    Found(Found),
    Load(Box<Loading>),
}

/// What comes of asking for the lease.
enum Asked {
    Found(Found),
    Granted(ClockReading),
    Held {
        clock: ClockReading,
        remaining: Duration,
    },
    /// There is no reading to load with.
    Unanswered,
}

impl Read {
    /// `key`: `None` if it could not be encoded.
    pub(crate) fn begin(
        runtime: &Arc<Runtime>,
        key: Option<(Arc<str>, Name)>,
        policy: Policy,
        fingerprint: Fingerprint,
        refresh: bool,
    ) -> Self {
        let counters = runtime.counted.prefix(&policy.prefix);
        // First of all: the enclosing load depends on this key whatever comes, also if this call is dropped right away.
        if provenance::in_load() {
            provenance::hand_over(runtime.id, key.iter().map(|(_, name)| name));
        }
        let way = match &key {
            _ if runtime.store.is_none() => Way::Bypass,
            None => Way::Bypass,
            Some((_, name)) if recovery::affects(runtime, [name]) => Way::Bypass,
            // Waiting for the load that it is part of, it would wait for itself.
            Some((key, _)) if provenance::is_loading(runtime.id, key) => Way::Alone,
            // A load that has begun is not the one that was asked for.
            Some(_) if refresh => Way::Alone,
            Some(_) => Way::Share,
        };
        if way == Way::Bypass && runtime.store.is_some() {
            counters.bypasses(1);
        }
        Self {
            spent: Spent::new(runtime.config.operation_deadline, counters),
            runtime: runtime.clone(),
            key,
            policy,
            fingerprint,
            checks_type: true,
            way,
            if_present: if refresh { IfPresent::Ignore } else { IfPresent::Return },
            background: false,
            kept: None,
            from_flight: false,
            beside: None,
            deadline: None,
        }
    }

    /// The caller will spawn what is due.
    pub(crate) fn in_background(&mut self) {
        self.background = can_wait() && self.runtime.config.refreshes_max > 0;
    }

    /// What is stored, if it can be used. One round trip, under the caller's own future: a shared answer could be older than
    /// the caller.
    pub(crate) async fn stored(&mut self) -> Option<Found> {
        let (Some((key, _)), Ok(store)) = (&self.key, self.runtime.store()) else { return None };
        if self.way == Way::Bypass || self.if_present == IfPresent::Ignore {
            return None;
        }
        match self.spent.look(store, key).await {
            Ok(bytes) => self.usable(bytes?),
            Err(_) => {
                self.way = Way::FailOpen;
                None
            }
        }
    }

    /// The entry was decoded and goes to the caller.
    pub(crate) fn served(&self, found: Found) -> Option<Box<Due>> {
        let counters = &self.spent.counters;
        match found.served {
            Served::StandIn => {
                counters.misses(1);
                counters.stale_hits(1);
            }
            _ if self.from_flight => {
                counters.misses(1);
                counters.shared(1);
            }
            served => {
                counters.hits(1);
                counters.stale_hits(u64::from(served == Served::Stale));
            }
        }
        found.due
    }

    /// The payload is not what the type expects.
    pub(crate) fn undecodable(&mut self) {
        self.spent.counters.bad_entries(1);
        self.if_present = IfPresent::Ignore;
        if self.from_flight {
            self.way = Way::Alone;
        }
    }

    /// Takes what others load, or comes back with a load to run.
    pub(crate) async fn miss(&mut self) -> Missed {
        self.from_flight = false;
        let leader = match self.share().await {
            Shared::Found(found) => return Missed::Found(found),
            Shared::Lead(leader) => Some(leader),
            Shared::Alone => None,
        };
        self.lease(leader).await
    }

    async fn share(&mut self) -> Shared {
        let Some((key, _)) = self.key.clone() else { return Shared::Alone };
        let (mut joined_again, mut asked_again, mut streak) = (false, false, Streak::default());
        while self.way == Way::Share {
            let follower = match self.runtime.flights.join(&key, &streak) {
                Role::Lead(leader) => return Shared::Lead(leader),
                Role::Follow(follower) => follower,
                Role::Crowded => {
                    self.way = Way::WaitForLease;
                    break;
                }
            };
            if !can_wait() {
                self.way = Way::Alone;
                break;
            }
            match tokio::time::timeout_at(self.deadline(), follower.followed()).await {
                Ok(Followed::Take(bytes)) => {
                    self.from_flight = true;
                    if let Some(found) = self.usable(bytes) {
                        return Shared::Found(found);
                    }
                    self.from_flight = false;
                    if self.way == Way::Share {
                        self.way = Way::Alone;
                    }
                }
                // One read for each, as it must be; together they would wait for the lease if it is gone again.
                Ok(Followed::Ask) if !asked_again && self.if_present != IfPresent::Ignore => {
                    asked_again = true;
                    if let Some(entry) = self.stored().await {
                        return Shared::Found(entry);
                    }
                }
                Ok(Followed::Ask) => self.way = Way::WaitForLease,
                // What would be served if a load of its own failed, too, need not wait for its turn to try.
                Ok(Followed::TryInTurn(_) | Followed::Beside(_)) if let Some(found) = self.stand_in() => {
                    return Shared::Found(found);
                }
                Ok(Followed::TryInTurn(failed)) => streak = failed,
                Ok(Followed::Beside(beside)) => {
                    self.way = Way::Beside;
                    self.beside = Some(beside);
                }
                Ok(Followed::Abandoned) => {}
                // Once: a value that is refused over and over must not make callers queue up.
                Ok(Followed::Again) if !joined_again => joined_again = true,
                // Everyone at once: the next leader's value may be as little to share, and so on.
                Ok(Followed::Again | Followed::Load) | Err(_) => self.way = Way::Alone,
            }
        }
        Shared::Alone
    }

    async fn lease(&mut self, mut leader: Option<Leader>) -> Missed {
        let (Some((key, _)), runtime) = (self.key.clone(), self.runtime.clone()) else {
            return self.load_unfilled(leader);
        };
        let Ok(store) = runtime.store() else { return self.load_unfilled(leader) };
        if matches!(self.way, Way::FailOpen | Way::Bypass) {
            return self.load_unfilled(leader);
        }
        if self.way == Way::Beside {
            return match self.spent.ask(store.read_clock(&key, stamp::recall(&self.policy))).await {
                Ok(clock) => {
                    self.spent.counters.misses(1);
                    let mut loading = self.loading(Some(clock), None, leader);
                    loading.beside = self.beside.take();
                    Missed::Load(Box::new(loading))
                }
                Err(_) => {
                    self.way = Way::FailOpen;
                    self.load_unfilled(leader)
                }
            };
        }
        let mut lease = Lease::new(&runtime, &key);
        let mut wait = Wait::default();
        let (left, way) = (self.spent.left, self.way);
        let mut may_look_again = false;
        loop {
            match self.ask(store, &key, &mut lease).await {
                Asked::Found(found) => {
                    // Older than those who joined since: they look for themselves.
                    leader.into_iter().for_each(|leader| leader.end(End::Elsewhere));
                    return Missed::Found(found);
                }
                Asked::Granted(clock) => return self.load(clock, Some(lease), leader),
                Asked::Held { clock, remaining } => {
                    let deadline = self.deadline();
                    if self.way == Way::Alone || Instant::now() >= deadline || !can_wait() {
                        lease.forget();
                        return self.load(clock, None, leader);
                    }
                    let change = wait.once(&mut self.spent, store, &key, self.if_present, remaining, deadline).await;
                    if change == Change::Value {
                        // Followers need not wait for this call's answer to ask for themselves: it is not theirs.
                        leader.take().into_iter().for_each(|leader| leader.end(End::Elsewhere));
                    }
                    // The wait has a limit of its own.
                    self.spent.left = left;
                    may_look_again = true;
                }
                // A connection that is lost while this call waits says nothing of the load that it waits for.
                Asked::Unanswered if may_look_again && self.way == Way::FailOpen && !self.spent.left.is_zero() => {
                    may_look_again = false;
                    self.way = way;
                }
                Asked::Unanswered => return self.load_unfilled(leader),
            }
        }
    }

    /// Asks for the lease. What lies under the key by now is taken, if it can be.
    async fn ask(&mut self, store: &dyn Store, key: &str, lease: &mut Lease) -> Asked {
        let recall = stamp::recall(&self.policy);
        loop {
            let asked = store.take_lease(key, lease.token, self.runtime.config.lease, self.if_present, recall);
            match self.spent.ask(asked).await {
                Ok(LeaseReply::Hit(bytes)) if self.if_present != IfPresent::Ignore => match self.usable(bytes) {
                    Some(found) => {
                        lease.forget();
                        return Asked::Found(found);
                    }
                    None if self.way == Way::Bypass => return Asked::Unanswered,
                    // These bytes do not count from here on.
                    None => {}
                },
                Ok(LeaseReply::Granted(clock)) => return Asked::Granted(clock),
                Ok(LeaseReply::Held { clock, remaining }) => return Asked::Held { clock, remaining },
                Ok(LeaseReply::Hit(_)) | Err(_) => {
                    self.way = Way::FailOpen;
                    return Asked::Unanswered;
                }
            }
        }
    }

    /// The entry in stored bytes, if this call may be served it. Hands its names to the enclosing load. If not, the next
    /// question to the store leaves it out.
    fn usable(&mut self, bytes: Bytes) -> Option<Found> {
        let Ok(entry) = Entry::decode(bytes) else { return self.bad() };
        let header = entry.header();
        let is_foreign = self.checks_type && header.fingerprint != self.fingerprint;
        if is_foreign || (header.by_text && !self.policy.by_text) {
            return self.bad();
        }
        let (in_load, is_owing) = (provenance::in_load(), self.runtime.debts.is_owing());
        let names = if in_load || is_owing { entry.names().ok() } else { Some(Vec::new()) };
        let Some(names) = names else { return self.bad() };
        if is_owing && recovery::affects(&self.runtime, &names) {
            self.spent.counters.bypasses(1);
            self.way = Way::Bypass;
            return None;
        }
        let step = match self.from_flight {
            // Loaded for those who waited, however short its TTL.
            true => Step::Serve,
            false => self.policy.freshness.step(&entry.header().times(), self.runtime.wall_ms(), 1.0 - fastrand::f64()),
        };
        // What is stale never is what an enclosing load is made from: that entry would be fresh. So it is loaded there and then.
        let reason = match step {
            Step::Serve => None,
            Step::ServeAndRefresh(reason @ Reason::Stale) if self.background && !in_load => Some(reason),
            Step::ServeAndRefresh(reason @ Reason::Early) if self.background => Some(reason),
            Step::ServeAndRefresh(Reason::Early) => None,
            Step::ServeAndRefresh(Reason::Stale) | Step::LoadOrServe | Step::Expired => return self.too_old(entry),
        };
        provenance::hand_over(self.runtime.id, &names);
        let key = self.key.as_ref().filter(|_| reason.is_some());
        let due = key.and_then(|key| Due::new(&self.runtime, key, &self.policy, self.fingerprint, entry.version()));
        let served = if reason == Some(Reason::Stale) { Served::Stale } else { Served::Fresh };
        Some(Found { entry, served, due })
    }

    /// What this very call has read: that of a leader may be older than this call.
    fn stand_in(&mut self) -> Option<Found> {
        let entry = load::stand_in(&self.runtime, &self.policy, self.kept.take()?)?;
        Some(Found { entry, served: Served::StandIn, due: None })
    }

    /// Whoever replaces it meanwhile saves this call the load.
    fn too_old(&mut self, entry: Entry) -> Option<Found> {
        self.if_present = IfPresent::ReturnOther(entry.version());
        self.kept = (!self.policy.freshness.stale_if_error.is_zero()).then_some(entry);
        None
    }

    fn bad(&mut self) -> Option<Found> {
        self.spent.counters.bad_entries(1);
        self.if_present = IfPresent::Ignore;
        None
    }

    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.runtime.config.lease_wait)
    }

    fn load(&mut self, clock: ClockReading, lease: Option<Lease>, leader: Option<Leader>) -> Missed {
        self.spent.counters.misses(1);
        Missed::Load(Box::new(self.loading(Some(clock), lease, leader)))
    }

    /// Without a clock reading there is no fill, so there is nothing that followers could wait for.
    fn load_unfilled(&mut self, leader: Option<Leader>) -> Missed {
        leader.into_iter().for_each(|leader| leader.end(End::Nothing));
        if self.way != Way::Bypass {
            self.spent.counters.misses(1);
        }
        Missed::Load(Box::new(self.loading(None, None, None)))
    }

    fn loading(&mut self, clock: Option<ClockReading>, lease: Option<Lease>, leader: Option<Leader>) -> Loading {
        let loading = Loading::new(
            self.runtime.clone(),
            self.key.clone(),
            self.policy.clone(),
            self.fingerprint,
            clock,
            lease,
            leader,
            Spent::new(self.spent.left, self.spent.counters.clone()),
        );
        // Past a failed invalidation nothing stored counts.
        let kept = self.kept.take().filter(|_| self.way != Way::Bypass);
        loading.keeping(kept).of_nothing(self.if_present == IfPresent::Return)
    }
}

/// What is stored under a key, without loading. A cached call like any other to the load around it.
///
/// A key given as text does not know the version and the declared fields that the function's fingerprint is made with: there,
/// what decodes is taken.
pub(crate) async fn peek<T: DeserializeOwned>(runtime: &Arc<Runtime>, key: Key<T>) -> Result<Option<T>, Error> {
    let policy = key.policy();
    let fingerprint = fingerprint::<T>(policy.version, policy.shape);
    let mut read = Read::begin(runtime, key.entry(), policy, fingerprint, false);
    read.checks_type = key.recipe().is_some();
    let (Some((key, _)), Ok(store)) = (read.key.clone(), runtime.store()) else { return Ok(None) };
    if read.way == Way::Bypass {
        return Ok(None);
    }
    let Some(bytes) = read.spent.ask(store.get(&key)).await? else { return Ok(None) };
    let Some(found) = read.usable(bytes) else { return Ok(None) };
    let value = codec::decode(&found.entry).inspect_err(|_| read.undecodable()).ok();
    Ok(value)
}

enum Shared {
    Found(Found),
    Lead(Leader),
    Alone,
}

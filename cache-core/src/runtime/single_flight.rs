//! One load per key in this process: who leads, who follows, and what followers may take.
//!
//! A follower may take the leader's value only if no invalidation that ended before the follower
//! joined can have overtaken that value. This is so if the fill was stored after the follower
//! joined, for the store looks at the fences then; or if the load began after the follower joined.
//!
//! A follower that has waited long enough leads the next flight, beside the one whose load goes on.
//!
//! This module knows nothing of stores, leases or types.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::watch;

use crate::ablation::{ProcessRule, keeps};
use crate::config::{FAILED_LOADS_AT_ONCE, FLIGHTS_MAX};
use crate::observe::WaitEnd;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, cache_loom))]
mod interleavings;

/// The flights of one cache.
#[derive(Default)]
pub(crate) struct Flights {
    by_key: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
    /// Advanced by every local invalidation, before it is sent and again after it. Nobody joins a
    /// flight of an earlier epoch: nothing stale would come of it, but a wait for a load that the
    /// store is going to refuse.
    epoch: AtomicU64,
}

struct Flight {
    epoch: u64,
    /// The loads that failed before this flight, as far as its callers know.
    streak: Mutex<Streak>,
    end: watch::Sender<Option<End>>,
    /// Whether the load has begun. Apart from the end: nobody is to be woken by it but those who
    /// have waited long enough.
    load: watch::Sender<bool>,
    /// The flight that took too long, and that this one was led beside. Nobody has joined it since.
    beside: Option<Overdue>,
}

/// A flight that somebody has waited for long enough, and whose load goes on.
#[derive(Clone)]
pub(crate) struct Overdue(Weak<Flight>);

/// How a flight ended, as the leader tells the followers.
#[derive(Clone)]
pub(crate) enum End {
    /// The fill was stored: every follower may take the bytes.
    Stored(Bytes),
    /// The store refused the value, because an invalidation overtook it. Followers who joined
    /// before the load began take it. The others join once more, so that an invalidation of a key
    /// that many callers want costs one more load, and not one load each.
    Refused(Bytes),
    /// The fill failed. Followers who joined before the load began take the value.
    NotStored(Bytes),
    /// There is nothing to share (a value that cannot be stored). All followers load now, without
    /// waiting for each other.
    Nothing,
    /// The load failed. Each follower needs a result of its own, but not all may ask at once a
    /// source that just failed: one follower leads the next flight, and a few load beside it, twice
    /// as many after each failure.
    Failed(Streak),
    /// Somebody else had stored the value: all followers look in the store.
    Elsewhere,
}

/// What the end of a flight means to a follower.
pub(crate) enum Advice {
    Take(Bytes),
    /// Load now, without a flight.
    Load,
    /// The load failed, as loads before it did: load now, beside the next flight.
    LoadBeside(Beside),
    /// The load failed: join again.
    TakeTurns(Streak),
    /// Look in the store again.
    Look,
    /// The value was too old for this follower: join again, but only once.
    JoinAgain,
    /// The leader was dropped or panicked: join again, and one of the followers leads.
    TakeOver,
    /// The load has begun, and this follower has waited long enough: join again, but not this
    /// flight.
    StandBy(Overdue),
}

impl Advice {
    /// How the wait for it ended.
    pub(crate) fn wait_end(&self) -> WaitEnd {
        match self {
            Self::Take(_) => WaitEnd::Value,
            Self::Load => WaitEnd::NotShared,
            Self::LoadBeside(_) | Self::TakeTurns(_) => WaitEnd::Failed,
            Self::Look => WaitEnd::Elsewhere,
            Self::JoinAgain => WaitEnd::TooOld,
            Self::TakeOver => WaitEnd::Abandoned,
            Self::StandBy(_) => WaitEnd::Patience,
        }
    }
}

/// A caller's part in a flight.
pub(crate) enum Role {
    Lead(Leader),
    Follow(Follower),
    /// [`FLIGHTS_MAX`] is reached.
    Crowded,
}

/// The right to load. If it is dropped without [`end`](Self::end), the followers take over.
pub(crate) struct Leader {
    flights: Arc<Flights>,
    key: Arc<str>,
    flight: Arc<Flight>,
}

/// Closes a flight without ending it. Holds the flight weakly: the flight is over when its leader
/// is dropped.
pub(crate) struct FlightCloser {
    flights: Arc<Flights>,
    key: Arc<str>,
    flight: Weak<Flight>,
}

pub(crate) struct Follower {
    flight: Weak<Flight>,
    end: watch::Receiver<Option<End>>,
    before_load: bool,
}

/// Loads of one key that failed one after the other.
#[derive(Clone, Default)]
pub(crate) struct Streak {
    failures: u32,
    /// The loads that are under way beside the leader's.
    beside: Arc<AtomicU32>,
}

/// The right to load beside a leader. It is given back when this is dropped.
pub(crate) struct Beside(Arc<AtomicU32>);

impl Flights {
    /// Joins the flight of a key, or begins one. `streak`: the loads that the caller has seen
    /// fail; `overdue`: the flight that the caller has waited for long enough.
    pub(crate) fn join(self: &Arc<Self>, key: &Arc<str>, streak: &Streak, overdue: Option<&Overdue>) -> Role {
        let mut by_key = self.lock();
        // Read under the lock, so that a flight made after an invalidation began has the new
        // epoch.
        let epoch = self.epoch.load(Ordering::SeqCst);
        let crowded = by_key.len() >= FLIGHTS_MAX;
        let is_overdue =
            |flight: &Arc<Flight>| overdue.is_some_and(|overdue| overdue.0.as_ptr() == Arc::as_ptr(flight));
        let flight = match by_key.entry(key.clone()) {
            Slot::Occupied(slot) if slot.get().epoch == epoch && !is_overdue(slot.get()) => {
                let flight = slot.get();
                flight.note(streak);
                let end = flight.end.subscribe();
                let before_load = !*flight.load.borrow();
                return Role::Follow(Follower { flight: Arc::downgrade(flight), end, before_load });
            }
            Slot::Vacant(_) if crowded => return Role::Crowded,
            slot => {
                let flight = Arc::new(Flight {
                    epoch,
                    streak: Mutex::new(streak.clone()),
                    end: watch::Sender::new(None),
                    load: watch::Sender::new(false),
                    beside: overdue.cloned(),
                });
                slot.insert_entry(flight.clone());
                flight
            }
        };
        Role::Lead(Leader { flights: self.clone(), key: key.clone(), flight })
    }

    /// After this no caller joins a flight that is under way now.
    pub(crate) fn close_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a call of this process loads the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.lock().contains_key(key)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn close(&self, key: &Arc<str>, closed: &Arc<Flight>) {
        let mut by_key = self.lock();
        // A later flight may have taken the place of this one.
        if by_key.get(key).is_some_and(|flight| Arc::ptr_eq(flight, closed)) {
            by_key.remove(key);
        }
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Flight>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Takes over the streak of a caller that has seen more loads fail than the flight's other
    /// callers.
    fn note(&self, streak: &Streak) {
        let mut known = self.lock_streak();
        if known.failures < streak.failures {
            *known = streak.clone();
        }
    }

    /// Followers of a flight that took too long had joined before the load of this one began, so
    /// they may take what it stored.
    fn serve_who_waits_beside(&self, end: &End) {
        let before = |beside: &Option<Overdue>| beside.as_ref().and_then(|overdue| overdue.0.upgrade());
        for overdue in std::iter::successors(before(&self.beside), |overdue| before(&overdue.beside)) {
            overdue.end.send_if_modified(|ended| {
                let is_open = ended.is_none();
                ended.get_or_insert_with(|| end.clone());
                is_open
            });
        }
    }

    fn lock_streak(&self) -> MutexGuard<'_, Streak> {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// To be called before the load begins.
    pub(crate) fn load_begins(&self) {
        self.flight.load.send_replace(true);
    }

    /// Lets nobody else join. To be called before the fill is sent: a stored fill proves the value
    /// current only to followers who joined before.
    pub(crate) fn close(&self) {
        if keeps(ProcessRule::FlightsCloseBeforeTheirFill) {
            self.flights.close(&self.key, &self.flight);
        }
    }

    /// The right to close the flight, for whoever learns that this leader loads in vain.
    pub(crate) fn closing(&self) -> FlightCloser {
        FlightCloser { flights: self.flights.clone(), key: self.key.clone(), flight: Arc::downgrade(&self.flight) }
    }

    /// The load failed.
    pub(crate) fn fail(self) {
        let mut streak = self.flight.lock_streak().clone();
        streak.failures = streak.failures.saturating_add(1);
        self.end(End::Failed(streak));
    }

    pub(crate) fn end(self, end: End) {
        self.flights.close(&self.key, &self.flight);
        if let End::Stored(_) = end {
            self.flight.serve_who_waits_beside(&end);
        }
        self.flight.end.send_replace(Some(end));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Only the map and the leader hold the flight, and the flight holds the sender. So
        // followers who still wait learn of the end.
        self.flights.close(&self.key, &self.flight);
    }
}

impl FlightCloser {
    pub(crate) fn close(&self) {
        if let Some(flight) = self.flight.upgrade() {
            self.flights.close(&self.key, &flight);
        }
    }
}

impl Follower {
    /// As [`advice`](Self::advice), for a follower that has waited long enough: it waits no longer
    /// than for the load to begin. Until then the leader is waiting as well, and is the first of
    /// this process whose turn comes.
    pub(crate) async fn advice_without_patience(&mut self) -> Advice {
        let flight = self.flight.clone();
        let Some(mut load) = flight.upgrade().map(|flight| flight.load.subscribe()) else { return self.advice().await };
        tokio::select! {
            biased;
            advice = self.advice() => advice,
            _ = load.wait_for(|begun| *begun) => Advice::StandBy(Overdue(flight)),
        }
    }

    /// Its flight, if the load has begun.
    pub(crate) fn overdue(&self) -> Option<Overdue> {
        let begun = self.flight.upgrade().is_some_and(|flight| *flight.load.borrow());
        begun.then(|| Overdue(self.flight.clone()))
    }

    /// Waits for the leader. Cancel safe.
    pub(crate) async fn advice(&mut self) -> Advice {
        // An error says that the sender is gone: the leader was dropped without an end.
        if self.end.changed().await.is_err() {
            return Advice::TakeOver;
        }
        let end = self.end.borrow().clone();
        match end {
            Some(End::Stored(bytes)) => Advice::Take(bytes),
            Some(End::Refused(bytes) | End::NotStored(bytes))
                if self.before_load || !keeps(ProcessRule::FollowersJoinBeforeTheLoad) =>
            {
                Advice::Take(bytes)
            }
            Some(End::Refused(_)) => Advice::JoinAgain,
            Some(End::NotStored(_) | End::Nothing) => Advice::Load,
            Some(End::Failed(streak)) => match streak.beside() {
                Some(beside) => Advice::LoadBeside(beside),
                None => Advice::TakeTurns(streak),
            },
            Some(End::Elsewhere) => Advice::Look,
            None => Advice::TakeOver,
        }
    }
}

impl Streak {
    /// Whether any load failed.
    pub(crate) fn is_one(&self) -> bool {
        self.failures > 0
    }

    /// The right to load beside the leader. After 1, 2, 3, … failures 1, 2, 4, … loads may be under
    /// way, the leader's among them, and [`FAILED_LOADS_AT_ONCE`] at most. So one failed load costs
    /// one more load; and while loads go on failing, no caller waits for as many loads as there are
    /// callers.
    fn beside(&self) -> Option<Beside> {
        let at_once = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX).min(FAILED_LOADS_AT_ONCE);
        let one_more = |beside| (beside + 1 < at_once).then_some(beside + 1);
        let granted = self.beside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        granted.ok().map(|_| Beside(self.beside.clone()))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

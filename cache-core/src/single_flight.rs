//! One load per key in this process: who leads, who follows, and what followers may take.
//!
//! A follower may take the leader's value only if no invalidation that ended before the follower came can have overtaken it:
//! the fill was stored after the follower joined (the store looks at the fences then), or the load began after it joined.
//! This module knows nothing of stores, leases or types.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::config::{FAILED_LOADS_AT_ONCE, FLIGHTS_MAX};

/// The flights of one cache.
#[derive(Default)]
pub(crate) struct Flights {
    by_key: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
    /// Advanced by every local invalidation, before it is sent and again after: nobody joins a flight of an earlier epoch.
    epoch: AtomicU64,
}

struct Flight {
    epoch: u64,
    load_began: AtomicBool,
    /// Loads of this key that failed one after the other before this one, as far as its callers know.
    failures: AtomicU32,
    followers: AtomicU32,
    end: watch::Sender<Option<End>>,
}

/// How a flight ended, as its leader says it.
#[derive(Clone)]
pub(crate) enum End {
    /// The fill was stored: every follower may take the bytes.
    Stored(Bytes),
    /// A value that the store refused, as an invalidation overtook it: for those who joined before the load began. The
    /// others join once more, so that an invalidation of a key that many want costs one more load, and not one for each.
    Refused(Bytes),
    /// A value whose fill failed: for those who joined before the load began.
    NotStored(Bytes),
    /// Nothing to share (a value that cannot be stored): everyone loads now, without waiting for each other.
    Nothing,
    /// The load failed, so often in a row. Each must find out for itself, but what just failed is not asked by all at once:
    /// one follower leads the next flight, and a few load beside it, twice as many each time.
    Failed(u32),
    /// Somebody else had stored it: everyone looks for themselves.
    Elsewhere,
}

/// What a follower makes of it.
pub(crate) enum Followed {
    Take(Bytes),
    /// Load now, alone.
    Load,
    /// The load failed, as others did right before it: load now, beside the next flight.
    Beside,
    /// The load failed, so often in a row: join again.
    TryInTurn(u32),
    /// Ask the store again.
    Ask,
    /// The value was too old for this follower: join again, if for the first time.
    Again,
    /// The leader was dropped or panicked: join again, and one of the followers leads.
    Abandoned,
}

/// A caller's part in a flight.
pub(crate) enum Role {
    Lead(Leader),
    Follow(Follower),
    /// [`FLIGHTS_MAX`] is reached.
    Crowded,
}

/// The right to load. Dropped without [`end`](Self::end): followers take over.
pub(crate) struct Leader {
    flights: Arc<Flights>,
    key: Arc<str>,
    flight: Arc<Flight>,
}

pub(crate) struct Follower {
    end: watch::Receiver<Option<End>>,
    before_load: bool,
    /// How many joined before.
    place: u32,
}

impl Flights {
    /// `failures`: how many loads in a row the caller has seen fail.
    pub(crate) fn join(self: &Arc<Self>, key: &Arc<str>, failures: u32) -> Role {
        let mut by_key = self.lock();
        // Read under the lock: a flight made after an invalidation began has the new epoch.
        let epoch = self.epoch.load(Ordering::SeqCst);
        let crowded = by_key.len() >= FLIGHTS_MAX;
        let flight = match by_key.entry(key.clone()) {
            Slot::Occupied(slot) if slot.get().epoch == epoch => {
                let flight = slot.get();
                flight.failures.fetch_max(failures, Ordering::SeqCst);
                return Role::Follow(Follower {
                    end: flight.end.subscribe(),
                    before_load: !flight.load_began.load(Ordering::SeqCst),
                    place: flight.followers.fetch_add(1, Ordering::SeqCst),
                });
            }
            Slot::Vacant(_) if crowded => return Role::Crowded,
            slot => {
                let flight = Arc::new(Flight {
                    epoch,
                    load_began: AtomicBool::new(false),
                    failures: AtomicU32::new(failures),
                    followers: AtomicU32::new(0),
                    end: watch::Sender::new(None),
                });
                slot.insert_entry(flight.clone());
                flight
            }
        };
        Role::Lead(Leader { flights: self.clone(), key: key.clone(), flight })
    }

    /// No caller that comes after this joins a flight that is under way now.
    pub(crate) fn close_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Flight>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// To be called before the load begins.
    pub(crate) fn load_begins(&self) {
        self.flight.load_began.store(true, Ordering::SeqCst);
    }

    /// Lets nobody else join. To be called before the fill is sent: a stored fill is proof only for those who joined before.
    pub(crate) fn close(&self) {
        let mut by_key = self.flights.lock();
        // A later epoch may have put its own flight in the place of this one.
        if by_key.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            by_key.remove(&self.key);
        }
    }

    /// The load failed.
    pub(crate) fn fail(self) {
        let failures = self.flight.failures.load(Ordering::SeqCst).saturating_add(1);
        self.end(End::Failed(failures));
    }

    pub(crate) fn end(self, end: End) {
        self.close();
        self.flight.end.send_replace(Some(end));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // The map and the leader alone hold the flight, and it holds the sender: followers who still wait learn of it.
        self.close();
    }
}

impl Follower {
    /// Waits for the leader. Cancel safe.
    pub(crate) async fn followed(mut self) -> Followed {
        // An error is a sender that is gone: the leader's flight ended without a word.
        if self.end.changed().await.is_err() {
            return Followed::Abandoned;
        }
        let end = self.end.borrow().clone();
        match end {
            Some(End::Stored(bytes)) => Followed::Take(bytes),
            Some(End::Refused(bytes) | End::NotStored(bytes)) if self.before_load => Followed::Take(bytes),
            Some(End::Refused(_)) => Followed::Again,
            Some(End::NotStored(_) | End::Nothing) => Followed::Load,
            Some(End::Failed(failures)) if self.place < beside(failures) => Followed::Beside,
            Some(End::Failed(failures)) => Followed::TryInTurn(failures),
            Some(End::Elsewhere) => Followed::Ask,
            None => Followed::Abandoned,
        }
    }
}

/// Followers that load beside the next leader after so many failures: 1, 2, 4, … loads at once. A load that failed once costs
/// one more; one that goes on failing keeps nobody waiting for as many loads as there are callers.
fn beside(failures: u32) -> u32 {
    let at_once = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    at_once.min(FAILED_LOADS_AT_ONCE) - 1
}

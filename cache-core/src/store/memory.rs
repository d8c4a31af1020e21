//! The embedded store: one partition of the protocol in this process.
//!
//! This module holds the lock and the time; [`state`] holds everything that happens. Nothing here
//! awaits, so no lock is ever held across an await. A hit takes the read lock and writes only one
//! flag.

use std::sync::{Arc, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;

use bytes::Bytes;

use self::moment::{Now, Settings};
use self::state::State;
use super::watches::{Change, Watch, Watches};
use super::{
    Catalogue, CataloguePage, ClockReading, ClosingId, CopyKeeper, CopyKeepers, Fill, FillReply, IfPresent, KeyFacts,
    LeaseReply, LeaseRequest, Look, Operation, Recall, Remains, Removal, Sight, Store, StoreFuture, SweepReply, SweepScope, Token, TrailPage, Voucher, WriteReply, too_many_closed,
};
use crate::clock::{self, Instant};
use crate::config::Config;
use crate::entry::Version;
use crate::error::Error;
use crate::name::Name;
use crate::observe::MemoryUse;
use crate::store::rules::Rules;

mod cascade;
mod closings;
mod entries;
mod fences;
mod indexes;
mod learned;
mod leases;
mod looking;
mod moment;
#[cfg(test)]
mod rig;
mod size;
mod state;
mod tidy;

#[cfg(test)]
mod model;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use model::unwind;

/// Lives as long as its last handle. Nothing is written to disk, and no other process sees it.
///
/// # Limits
/// `memory_bytes_max` for entries and bookkeeping together, as accounted by [`State::bytes`].
/// Beyond it entries are evicted (SIEVE). If no entry is left, bookkeeping is dropped into the
/// floor.
///
/// # Cost
/// A hit: one hash look-up under a read lock. Everything else takes the write lock for O(names ·
/// log n) or one chunk.
pub(crate) struct MemoryStore {
    state: RwLock<State>,
    started: Instant,
    started_wall: Duration,
    watches: Watches,
    keepers: CopyKeepers,
    /// Copies are dropped under the lock, before a change can be seen.
    voucher: Arc<Voucher>,
}

impl MemoryStore {
    pub(crate) fn new(config: &Config) -> Self {
        let (started, started_wall) = (clock::now(), clock::wall_time());
        let now = Now { at: started, wall_us: started_wall.as_micros() as u64 };
        let state = State::new(Settings::new(config), Rules::default(), fastrand::u128(..), now);
        Self {
            state: RwLock::new(state),
            started,
            started_wall,
            watches: Watches::default(),
            keepers: CopyKeepers::default(),
            voucher: Voucher::for_good(),
        }
    }

    /// Wall time runs on the monotonic clock, so that both stand still together in tests and
    /// neither ever steps back.
    fn now(&self) -> Now {
        let at = clock::now();
        let wall = self.started_wall + at.saturating_duration_since(self.started);
        Now { at, wall_us: wall.as_micros() as u64 }
    }

    /// A panic inside may have left indexes that miss an entry. Then the partition is treated as
    /// lost, which the protocol can survive, rather than trusted.
    fn write_state(&self, remains: &mut Remains) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            *state = State::new(state.settings.clone(), state.rules, fastrand::u128(..), self.now());
            self.state.clear_poison();
            remains.add(self.keepers.lost());
            state
        })
    }

    fn run<'a, T: Send + 'a>(&'a self, step: impl FnOnce(&mut State, Now) -> T + Send + 'a) -> StoreFuture<'a, T> {
        Box::pin(async move { Ok(self.step_once(step)) })
    }

    /// One operation. The copies of what it changes are dropped before anybody can see the change.
    fn step_once<T>(&self, step: impl FnOnce(&mut State, Now) -> T) -> T {
        // Declared before the guard, and so dropped after it: a value's `Drop` may call this cache.
        let mut remains = Remains::default();
        let mut state = self.write_state(&mut remains);
        let outcome = step(&mut state, self.now());
        let changed = state.entries.take_changed();
        if !changed.is_empty() {
            remains.add(self.keepers.changed(changed.iter().filter_map(Name::as_key)));
        }
        outcome
    }

    #[cfg(test)]
    pub(crate) fn nobody_watches(&self) -> bool {
        self.watches.is_empty()
    }

    /// The value was stored, refused or discarded. Each ends the lease, and a waiter that is woken
    /// finds out which it was.
    fn ended(&self, key: &str) {
        self.watches.wake(key.as_bytes());
        self.watches.wake(lease_name(key).as_bytes());
    }

    fn run_on<'a, T: Send + 'a>(
        &'a self,
        key: &'a str,
        step: impl FnOnce(&mut State, &Name, Now) -> T + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let key = Name::key(key)?;
            Ok(self.step_once(|state, now| step(state, &key, now)))
        })
    }
}

impl Store for MemoryStore {
    /// The clock by which this store drops entries. So soft and hard lifetimes cannot drift apart,
    /// and both follow paused time.
    fn wall_ms(&self) -> u64 {
        self.now().wall_us / 1_000
    }

    fn get<'a>(&'a self, key: &'a str, _: Instant) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            match self.state.read() {
                Ok(state) => Ok(state.get(key, self.now())),
                Err(_) => Ok(None), // see `write_state`
            }
        })
    }

    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        Box::pin(async move { Ok((self.get(key, until).await?, Some(self.voucher.clone()))) })
    }

    fn keep_copies(&self, keeper: Weak<dyn CopyKeeper>) {
        self.keepers.add(keeper);
    }

    fn tells_at_once(&self) -> bool {
        true
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], _: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            match self.state.read() {
                Ok(state) => Ok(keys.iter().map(|key| state.get(key, self.now())).collect()),
                Err(_) => Ok(vec![None; keys.len()]), // see `write_state`
            }
        })
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, _: Instant) -> StoreFuture<'a, LeaseReply> {
        self.run_on(key, move |state, key, now| state.take_lease(key, &request, now))
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, _: Instant) -> StoreFuture<'a, bool> {
        self.run_on(key, move |state, key, now| state.renew_lease(key, token, lease, now))
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, _: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.run_on(key, move |state, key, _| state.release_lease(key, token)).await?;
            self.watches.wake(lease_name(key).as_bytes());
            Ok(())
        })
    }

    fn discard<'a>(&'a self, key: &'a str, token: Token, version: Option<Version>, _: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.run_on(key, move |state, name, _| state.discard(name, token, version)).await?;
            self.ended(key);
            Ok(())
        })
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, _: Instant) -> StoreFuture<'a, Option<Watch>> {
        Box::pin(async move {
            let Some(watch) = self.watches.register(key, &lease_name(key)) else { return Ok(None) };
            let (filled, held) = self
                .run_on(key, move |state, name, now| (state.get(key, now).is_some(), state.is_leased(name, now)))
                .await?;
            if filled && if_present == IfPresent::Return {
                watch.tell(Change::Value);
            } else if !held {
                watch.tell(Change::Lease);
            }
            Ok(Some(watch))
        })
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, _: Instant) -> StoreFuture<'a, ClockReading> {
        self.run_on(key, move |state, key, now| state.read_clock(key, recall, now))
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, _: Instant) -> StoreFuture<'a, FillReply> {
        Box::pin(async move {
            let key = fill.key;
            let reply = self.run_on(key, move |state, name, now| state.fill(name, &fill, now)).await?;
            self.ended(key);
            Ok(reply)
        })
    }

    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, _: Instant) -> StoreFuture<'a, WriteReply> {
        Box::pin(async move {
            let key = fill.key;
            let reply = self.run_on(key, move |state, name, now| state.write(name, &fill, opens, now)).await?;
            self.ended(key);
            Ok(reply)
        })
    }

    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, _: Instant) -> StoreFuture<'a, Removal> {
        Box::pin(async move {
            let (names, intent) = operation.next_chunk();
            let mut removal = self.step_once(|state, now| state.chunk(names, intent, now))?;
            // Wakes the callers that wait for a load that this invalidation has overtaken.
            names.iter().filter_map(Name::as_key).for_each(|key| self.watches.wake(lease_name(key).as_bytes()));
            operation.take_in(&mut removal);
            Ok(removal)
        })
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        _: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        self.run(move |state, now| state.sweep(pattern, scope, cursor, now))
    }

    fn facts<'a>(&'a self, key: &'a str, _: Instant) -> StoreFuture<'a, KeyFacts> {
        Box::pin(async move {
            let key = Name::key(key)?;
            match self.state.read() {
                Ok(state) => Ok(state.facts(&key, self.now())),
                Err(_) => Ok(KeyFacts::default()), // see `write_state`
            }
        })
    }

    fn fenced_since(&self, seq: u64, _: Instant) -> StoreFuture<'_, TrailPage> {
        self.run(move |state, _| state.fences.since(seq))
    }

    fn look<'a>(&'a self, look: Look<'a>, _: Instant) -> StoreFuture<'a, Sight> {
        Box::pin(async move {
            match self.state.read() {
                Ok(state) => Ok(state.look(look, self.now())),
                Err(_) => Ok(Sight::default()), // see `write_state`
            }
        })
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        _: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        Box::pin(async move {
            match self.state.read() {
                Ok(state) => Ok(state.list(catalogue, pattern, cursor, self.now())),
                Err(_) => Ok(CataloguePage::default()), // see `write_state`
            }
        })
    }

    fn memory(&self) -> Option<MemoryUse> {
        Some(match self.state.read() {
            Ok(state) => state.memory_use(),
            Err(_) => MemoryUse::default(), // see `write_state`
        })
    }

    fn ready(&self, _: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok::<(), Error>(()) })
    }
}

/// The name under which waiters for the lease of a key are registered. No logical key holds a
/// control character.
fn lease_name(key: &str) -> String {
    ["\0", key].concat()
}

//! The embedded store: one partition of the protocol in this process.
//!
//! This module holds the lock and the time; [`state`] holds everything that happens. Nothing here
//! awaits, so no lock is ever held across an await. A hit takes the read lock and writes only one
//! flag.

use std::sync::{Arc, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;

use bytes::Bytes;

use self::moment::{Now, Settings};
use self::site::Site;
use self::state::State;
use super::watches::{Change, Watch, Watches};
use super::{
    Catalogue, CataloguePage, ClockReading, ClosingId, CopyKeeper, CopyKeepers, FenceTrail, Fill, FillReply,
    HomeReading, IfPresent, Intent, KeyFacts, KnownClocks, LeaseReply, LeaseRequest, Look, Operation, Partitions,
    Recall, Remains, Removal, Sight, Store, StoreFuture, SweepReply, SweepScope, Token, TrailPosition, Voucher,
    WriteReply,
};
use crate::clock::{self, Instant};
use crate::config::Config;
use crate::entry::Version;
use crate::error::Error;
use crate::name::Name;
use crate::observe::MemoryUse;
use crate::store::place_of;
use crate::store::rules::Rules;

mod cascade;
mod closings;
mod entries;
mod fences;
mod homes;
mod indexes;
mod learned;
mod leases;
mod looking;
mod marks;
mod moment;
#[cfg(test)]
mod rig;
pub(super) mod several;
mod site;
mod size;
mod state;
mod sweep;
mod tidy;

#[cfg(test)]
pub(super) mod model;
#[cfg(test)]
mod tests;

#[cfg(test)]
use model::states_of_hours;
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
    partitions: Partitions,
    /// The first partition, and usually the only one.
    state: RwLock<State>,
    others: Box<[RwLock<State>]>,
    /// With several partitions.
    known: Option<KnownClocks>,
    retention: Duration,
    rules: Rules,
    started: Instant,
    started_wall: Duration,
    watches: Watches,
    keepers: CopyKeepers,
    /// Copies are dropped under the lock, before a change can be seen.
    voucher: Arc<Voucher>,
}

impl MemoryStore {
    #[cfg(test)]
    pub(crate) fn new(config: &Config) -> Self {
        Self::with_partitions(config, Partitions::ONE)
    }

    /// One partition, or several that know of each other no more than the nodes of a cluster do.
    pub(crate) fn with_partitions(config: &Config, partitions: Partitions) -> Self {
        Self::with_rules(config, partitions, Rules::default())
    }

    pub(super) fn with_rules(config: &Config, partitions: Partitions, rules: Rules) -> Self {
        let (started, started_wall) = (clock::now(), clock::wall_time());
        let now = Now { at: started, wall_us: started_wall.as_micros() as u64 };
        let settings = Settings::new(config, partitions);
        let numbers = || 0..partitions.count();
        let new = |number| State::at(Site::new(number, partitions), settings.clone(), rules, fastrand::u128(..), now);
        let mut states: Vec<State> = numbers().map(new).collect();
        let readings: Vec<HomeReading> = states.iter().map(State::home_reading).collect();
        // Nothing is stored yet, so all lists are complete.
        states.iter_mut().for_each(|state| state.site.know_all(&readings));
        let mut states = states.into_iter().map(RwLock::new);
        Self {
            partitions,
            state: states.next().expect("there is a first partition"),
            others: states.collect(),
            known: (!partitions.is_one()).then(|| KnownClocks::new(readings, started)),
            retention: config.fence_retention,
            rules,
            started,
            started_wall,
            watches: Watches::default(),
            keepers: CopyKeepers::default(),
            voucher: Voucher::for_good(),
        }
    }

    fn partition(&self, number: u16) -> &RwLock<State> {
        match number {
            0 => &self.state,
            later => &self.others[usize::from(later) - 1],
        }
    }

    fn partition_of(&self, key: &str) -> &RwLock<State> {
        self.partition(self.partitions.home_of_key(key))
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
    fn write_state(&self, number: u16, remains: &mut Remains) -> RwLockWriteGuard<'_, State> {
        self.partition(number).write().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            let site = Site::new(number, self.partitions);
            *state = State::at(site, state.settings.clone(), state.rules, fastrand::u128(..), self.now());
            self.partition(number).clear_poison();
            remains.add(self.keepers.lost());
            state
        })
    }

    /// One script. The copies of what it changes are dropped before anybody can see the change.
    fn script<T>(&self, number: u16, run: impl FnOnce(&mut State, Now) -> T) -> T {
        // Declared before the guard, and so dropped after it: a value's `Drop` may call this cache.
        let mut remains = Remains::default();
        let mut state = self.write_state(number, &mut remains);
        let outcome = run(&mut state, self.now());
        let changed = state.entries.take_changed();
        if !changed.is_empty() {
            remains.add(self.keepers.changed(changed.iter().filter_map(Name::as_key)));
        }
        if let Some(known) = &self.known {
            known.saw(number, &state.home_reading());
        }
        outcome
    }

    /// Wakes the callers that wait for a load that an invalidation of these names has overtaken.
    fn wake_lease_waiters(&self, names: &[Name]) {
        names.iter().filter_map(Name::as_key).for_each(|key| self.watches.wake(lease_name(key).as_bytes()));
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
            Ok(self.script(self.partitions.home(&key), |state, now| step(state, &key, now)))
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
            match self.partition_of(key).read() {
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
            let get = |key: &Arc<str>| Some(self.partition_of(key).read().ok()?.get(key, self.now()));
            Ok(keys.iter().map(|key| get(key).unwrap_or_default()).collect()) // see `write_state`
        })
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, _: Instant) -> StoreFuture<'a, LeaseReply> {
        Box::pin(async move {
            let reply = self.run_on(key, move |state, key, now| state.take_lease(key, &request, now)).await?;
            Ok(match reply {
                LeaseReply::Granted(clock) => LeaseReply::Granted(self.with_homes(clock)),
                LeaseReply::Held { clock, remaining } => LeaseReply::Held { clock: self.with_homes(clock), remaining },
                hit @ LeaseReply::Hit(_) => hit,
            })
        })
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
        Box::pin(async move {
            let clock = self.run_on(key, move |state, key, now| state.read_clock(key, recall, now)).await?;
            Ok(self.with_homes(clock))
        })
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, _: Instant) -> StoreFuture<'a, FillReply> {
        Box::pin(async move {
            let key = Name::key(fill.key)?;
            let own = self.partitions.home(&key);
            let reply = match self.register(own, &fill, None) {
                Ok(registered) => self.script(own, |state, now| state.fill(&key, &fill, &registered, now)),
                Err(refusal) => {
                    self.script(own, |state, _| state.release_lease(&key, fill.token));
                    FillReply::Refused(refusal)
                }
            };
            if self.known.is_some() {
                self.look_after(own, reply);
            }
            self.ended(fill.key);
            Ok(reply)
        })
    }

    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, _: Instant) -> StoreFuture<'a, WriteReply> {
        Box::pin(async move {
            let key = [Name::key(fill.key)?];
            let own = self.partitions.home(&key[0]);
            let intent = opens.map_or(Intent::Invalidate, |by| Intent::Open { by });
            let registered = self.register(own, &fill, opens);
            let homes = registered.as_deref().map_err(|refusal| *refusal);
            let (reply, visited) = self.script(own, |state, now| state.write(&key[0], &fill, homes, opens, now));
            self.ended(fill.key);
            let (rest, drained) = self.rest_of((own, &key), intent, visited, fill.clock.homes.as_deref());
            Ok(WriteReply { fill: reply, drained, rest })
        })
    }

    fn begin<'a>(&self, names: &'a [Name], intent: Intent) -> Operation<'a> {
        match &self.known {
            None => Operation::new(names, intent),
            Some(known) => Operation::over(self.partitions, &known.copy(), names, intent, self.rules),
        }
    }

    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, _: Instant) -> StoreFuture<'a, Removal> {
        Box::pin(async move { self.round(operation) })
    }

    fn settle(&self, operation: Operation<'_>) {
        for (home, done) in operation.settlements() {
            self.script(home, |state, _| state.settle(&done));
        }
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        _: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        Box::pin(async move {
            let (number, at) = place_of(cursor);
            let (names, next, visited) = self.script(number, |state, now| state.sweep(pattern, scope, at, now));
            let (rest, drained) = self.rest_of((number, &names), Intent::Invalidate, visited, None);
            // A partition of this store that loses its clock keeps the order of what it has.
            let (began, incarnation) = (cursor - at, "".into());
            Ok(SweepReply { next: self.partitions.cursor(number, next), began, incarnation, drained, rest })
        })
    }

    fn facts<'a>(&'a self, key: &'a str, _: Instant) -> StoreFuture<'a, KeyFacts> {
        Box::pin(async move {
            let key = Name::key(key)?;
            let facts_at = |number| match self.partition(number).read() {
                Ok(state) => state.facts(&key, self.now()),
                Err(_) => KeyFacts::default(), // see `write_state`
            };
            let own = self.partitions.home(&key);
            let mut facts = facts_at(own);
            for elsewhere in (0..self.partitions.count()).filter(|number| *number != own) {
                facts.add_dependents(facts_at(elsewhere));
            }
            Ok(facts)
        })
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, _: Instant) -> StoreFuture<'a, FenceTrail> {
        Box::pin(async move { Ok(self.fences_since(since)) })
    }

    fn look<'a>(&'a self, look: Look<'a>, _: Instant) -> StoreFuture<'a, Sight> {
        Box::pin(async move { Ok(self.look_at(look)) })
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        _: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        Box::pin(async move {
            let Some((number, at)) = self.partitions.place_of(cursor) else { return Ok(CataloguePage::default()) };
            match self.partition(number).read() {
                Ok(state) => {
                    let CataloguePage { names, next } = state.list(catalogue, pattern, at, self.now());
                    Ok(CataloguePage { names, next: self.partitions.cursor(number, next) })
                }
                Err(_) => Ok(CataloguePage::default()), // see `write_state`
            }
        })
    }

    fn memory(&self) -> Option<MemoryUse> {
        let mut sum = MemoryUse::default();
        for state in (0..self.partitions.count()).filter_map(|number| self.partition(number).read().ok()) {
            sum.add(state.memory_use());
        }
        Some(sum)
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

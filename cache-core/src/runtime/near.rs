//! Copies of entries in this process, as values of their types: found by function and arguments,
//! dropped by logical key.
//!
//! A copy is made of what a read returns, if nothing has changed the entry since before the read
//! was sent: its placeholder is still there. It is served while its [`Voucher`] vouches for it.
//! [`model`] shows what each rule is for.

use std::any::Any;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use self::board::{Board, Unlinked};
use self::kin::Kin;
use self::table::Table;
use crate::ablation::{ProcessRule, keeps};
use crate::clock::{self, Instant};
use crate::config::{COPY_OF_STORE_LIVES, Config};
use crate::key::NearPlace;
use crate::name::prefix_of;
use crate::observe::{CallResult, SharedCounters, TellCall};
use crate::store::{CopyKeeper, Remains, Store, Voucher};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

mod board;
#[cfg(all(test, cache_loom))]
mod interleavings;
mod kin;
#[cfg(test)]
mod model;
mod table;
#[cfg(test)]
mod tests;

/// One copy. The value is last, so that a copy of any type is one allocation.
struct NearCopy<V: ?Sized> {
    place: Box<[u8]>,
    key: Arc<str>,
    /// The order in which copies were made.
    number: u64,
    bytes: usize,
    expires: Instant,
    lifespan: Lifespan,
    voucher: Arc<Voucher>,
    counters: SharedCounters,
    /// Whether it was served since the hand last passed.
    visited: AtomicBool,
    value: V,
}

type AnyCopy = NearCopy<dyn Any + Send + Sync>;

/// What becomes a copy.
pub(crate) struct NewCopy<'a, T> {
    pub(crate) place: &'a NearPlace,
    pub(crate) lifespan: Lifespan,
    /// The size of the entry.
    pub(crate) bytes: usize,
    pub(crate) voucher: Arc<Voucher>,
    pub(crate) counters: SharedCounters,
    pub(crate) value: T,
}

/// For how long a copy may be served at most, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifespan {
    /// The function, or its type.
    Near(Duration),
    /// The store, whose entries are in this process anyway.
    OfStore(Duration),
}

impl Lifespan {
    pub(crate) fn at_most(self, longest: Duration) -> Self {
        match self {
            Self::Near(lives) => Self::Near(lives.min(longest)),
            Self::OfStore(lives) => Self::OfStore(lives.min(longest)),
        }
    }

    fn lives(self) -> Duration {
        let (Self::Near(lives) | Self::OfStore(lives)) = self;
        lives
    }
}

/// The copies that one cache keeps.
pub(crate) struct Near {
    table: Table,
    board: Mutex<Board>,
    kin: Arc<Kin>,
    /// Holds the entries.
    store: Option<Arc<dyn Store>>,
    is_on: bool,
    of_store: Option<Lifespan>,
    /// Whether there has ever been a read for a copy.
    is_used: AtomicBool,
}

impl Near {
    /// Of the entries of `store`, which tells of their changes. `id` is that of the cache.
    pub(crate) fn new(id: u128, config: &Config, store: Option<Arc<dyn Store>>) -> Arc<Self> {
        let tells_at_once = store.as_ref().is_some_and(|store| store.tells_at_once());
        let near = Arc::new(Self {
            table: Table::new(),
            board: Mutex::new(Board::new(config.near_entries_max, config.near_bytes_max)),
            kin: Kin::of(id),
            store,
            is_on: config.near_entries_max > 0,
            of_store: tells_at_once.then_some(Lifespan::OfStore(COPY_OF_STORE_LIVES)),
            is_used: AtomicBool::new(false),
        });
        near.kin.join(&near);
        if let Some(store) = &near.store {
            let keeper: Weak<dyn CopyKeeper> = Arc::downgrade(&(near.clone() as Arc<dyn CopyKeeper>));
            store.keep_copies(keeper);
        }
        near
    }

    /// The copy at this place, if it may be served now.
    ///
    /// # Cost
    /// The look-up under the read lock of one of the table's parts, and one look at the clock. The
    /// value is cloned outside of the lock: a `Clone` is the user's code.
    pub(crate) fn get<T: Clone + 'static>(&self, place: &NearPlace, tell: Option<TellCall>) -> Option<T> {
        let copy = self.table.get(place.bytes(), Arc::clone)?;
        let value = self.served(&copy, clock::now())?;
        if let Some(tell) = tell {
            let is_near = matches!(copy.lifespan, Lifespan::Near(_));
            let result = if is_near { CallResult::NearHit } else { CallResult::Hit };
            tell(result, prefix_of(&copy.key), Some(&copy.key));
        }
        Some(value)
    }

    /// As [`get`](Self::get), for values whose `Clone` is no user's code: they are cloned under the
    /// lock, and nobody has to count who holds the copy.
    pub(crate) fn get_shared<T: Clone + 'static>(&self, place: &NearPlace) -> Option<T> {
        let now = clock::now();
        self.table.get(place.bytes(), |copy| self.served(copy, now)).flatten()
    }

    /// The value, counted, if it may be served at `now`: by a clock that somebody advances, too,
    /// which would stand still with whoever advances it.
    fn served<T: Clone + 'static>(&self, copy: &AnyCopy, now: Instant) -> Option<T> {
        if copy.expires <= now || !copy.voucher.vouches(now, self.kin.doubted()) {
            return None;
        }
        let value = copy.value.downcast_ref::<T>()?.clone();
        // Looking first keeps the line of a hot copy shared between cores.
        if !copy.visited.load(Ordering::Relaxed) {
            copy.visited.store(true, Ordering::Relaxed);
        }
        match copy.lifespan {
            Lifespan::Near(_) => copy.counters.near_hit(),
            Lifespan::OfStore(_) => copy.counters.hit(),
        }
        Some(value)
    }

    /// Makes the placeholder of a read that is about to be sent. `None`: no copies are kept, or too
    /// many reads are under way.
    pub(crate) fn expect(self: &Arc<Self>, key: &Arc<str>) -> Option<Placeholder> {
        if !self.is_on {
            return None;
        }
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        let number = self.board().expect(key)?;
        Some(Placeholder { near: self.clone(), key: key.clone(), number })
    }

    /// After every change that this process has made: a copy may be older than the change until its
    /// connection has answered a later question. A push may come after the reply to who has made
    /// the change. That question is sent at once.
    pub(crate) fn doubt(&self) {
        if !keeps(ProcessRule::OwnChangesAreDoubted) {
            return;
        }
        self.kin.doubt();
        self.confirm();
        self.kin.others(self).iter().for_each(|near| near.confirm());
    }

    fn confirm(&self) {
        if let Some(store) = self.store.as_ref().filter(|_| self.is_used()) {
            store.confirm_copies();
        }
    }

    /// This process has stored a value under this key, or removed it. The push may come later.
    pub(crate) fn forget(&self, key: &str) {
        drop(self.changed(key));
        self.kin.others(self).iter().for_each(|near| drop(near.changed(key)));
    }

    /// As [`forget`](Self::forget), for all keys.
    pub(crate) fn forget_all(&self) {
        drop(self.lost());
        self.kin.others(self).iter().for_each(|near| drop(near.lost()));
    }

    /// How copies are kept of what no function or type wants kept.
    pub(crate) fn of_store(&self) -> Option<Lifespan> {
        self.of_store
    }

    /// Whether any copies are to be kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether a cache that was opened at the same place may have copies.
    pub(crate) fn is_used_by_kin(&self) -> bool {
        self.is_used() || self.kin.others(self).iter().any(|near| near.is_used())
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Whether no read for a copy is under way.
    #[cfg(test)]
    pub(crate) fn expects_nothing(&self) -> bool {
        self.board().expects_nothing()
    }

    #[cfg(all(test, cache_loom))]
    pub(crate) fn doubted(&self) -> u64 {
        self.kin.doubted()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // A panic while the lock is held is one of the allocator's.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes copies off the board and out of the table.
    fn without(&self, take: impl FnOnce(&mut Board) -> Unlinked) -> Remains {
        let mut board = self.board();
        let unlinked = take(&mut board);
        self.unlink(&unlinked);
        drop(board);
        if unlinked.0.is_empty() { Remains::default() } else { Remains::of(unlinked) }
    }

    fn unlink(&self, unlinked: &Unlinked) {
        unlinked.0.iter().for_each(|copy| self.table.remove(copy));
    }
}

impl CopyKeeper for Near {
    fn changed(&self, key: &str) -> Remains {
        if !keeps(ProcessRule::PushDropsCopies) {
            return Remains::default();
        }
        self.without(|board| board.take(key))
    }

    fn lost(&self) -> Remains {
        self.without(Board::take_all)
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        drop(self.lost());
    }
}

/// Stands for a copy while its read is under way. A change of the entry takes it off the board.
pub(crate) struct Placeholder {
    near: Arc<Near>,
    key: Arc<str>,
    number: u64,
}

impl Placeholder {
    /// Makes the copy, unless the entry has changed, or the connection has ended, since before the
    /// read was sent.
    pub(crate) fn keep<T: Send + Sync + 'static>(self, new: NewCopy<'_, T>) {
        let NewCopy { place, lifespan, bytes, voucher, counters, value } = new;
        let expires = clock::after(lifespan.lives());
        let copy = Arc::new(NearCopy {
            place: place.bytes().into(),
            key: self.key.clone(),
            number: self.number,
            bytes,
            expires,
            lifespan,
            voucher,
            counters,
            visited: AtomicBool::new(false),
            value,
        });
        self.near.keep(copy);
    }
}

impl Near {
    fn keep(&self, copy: Arc<AnyCopy>) {
        let mut board = self.board();
        let is_expected = board.is_expected(&copy.key, copy.number) || !keeps(ProcessRule::CopyNeedsPlaceholder);
        let is_late = copy.voucher.is_revoked() && keeps(ProcessRule::LateReplyIsNoCopy);
        if !is_expected || is_late || !board.could_hold(&copy) {
            return;
        }
        // Dropped after the guard: see `Unlinked`.
        let mut replaced = Unlinked::default();
        replaced.0.extend(self.table.insert(&copy));
        replaced.0.iter().for_each(|replaced| board.forget(replaced));
        board.add(&copy);
        let evicted = board.evicted(clock::now());
        self.unlink(&evicted);
        drop(board);
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        self.near.board().give_up(&self.key, self.number);
    }
}

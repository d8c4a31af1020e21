//! What the cache asks of a store, and the answers it gets. `ARCHITECTURE.md` describes the
//! protocol (clock, fences, leases, fills, cascades).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::catalogue::{Catalogue, CataloguePage};
use super::closing::ClosingId;
use super::copies::{CopyKeeper, Voucher};
use super::facts::KeyFacts;
use super::fence_trail::{FenceTrail, TrailPosition};
use super::operation::Operation;
use super::place::StoreKey;
use super::preview::{Look, Sight};
use super::removal::Removal;
use super::scope::SweepScope;
use super::visit::{HomeReading, Intent};
use super::watches::Watch;
use crate::clock::{self, Instant};
use crate::entry::Version;
use crate::error::Error;
use crate::name::Name;
use crate::observe::{MemoryUse, StoreLinks};

/// A boxed answer, because the store is chosen at run time. It costs a hit one allocation beside a
/// round trip.
pub(crate) type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Unique for every fill. One token per process or connection would let a process release the lease
/// of its own later fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub(crate) u128);

impl Token {
    pub(crate) fn new() -> Self {
        Self(fastrand::u128(..))
    }
}

/// What a partition's clock showed before a load or a write began. A fill is refused if anything
/// that it depends on was invalidated after the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// Changes whenever the clock is lost: readings of another incarnation are worth nothing.
    pub(crate) incarnation: Arc<str>,
    /// Advanced by every invalidation.
    pub(crate) seq: u64,
    /// The store's wall time in ms, for the age limit of a load only: no ordering rests on it.
    pub(crate) read_at_ms: u64,
    /// The time of the reading on this process's monotonic clock: a step of the store's clock
    /// cannot make an old load look young.
    pub(crate) read_at: Instant,
    /// What earlier fills taught about the key, if it was asked for ([`Recall`]) and is still
    /// known. It comes with the reading, so that a load needs no round trip of its own for it. At
    /// most `LEARNED_BYTES_MAX` bytes, perhaps written by another program.
    pub(crate) learned: Option<Bytes>,
    /// What this process knew of the clocks of all partitions when it was given the reading, by
    /// number. `None`: there is one partition.
    pub(crate) homes: Option<Arc<[HomeReading]>>,
}

/// Whether a reading brings what was learned of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recall {
    Nothing,
    Learned,
}

/// Whether a value that is already stored answers a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfPresent {
    /// Somebody filled meanwhile: take it.
    Return,
    /// This version is too old, or to be refreshed: take any other.
    ReturnOther(Version),
    /// What is stored is corrupt, foreign or to be replaced: it does not count.
    Ignore,
}

impl IfPresent {
    /// Whether stored bytes are an answer.
    pub(crate) fn returns(self, stored: &[u8]) -> bool {
        match self {
            Self::Return => true,
            Self::ReturnOther(old) => Version::of(stored) != Some(old),
            Self::Ignore => false,
        }
    }
}

/// What a call does about a lease that another holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfHeld {
    /// It waits: nobody loads beside a load that is under way.
    Wait,
    /// It has waited for so long: it takes over a lease that nobody has taken, or taken over, for
    /// this long. The holder's load goes on, and may fill.
    ///
    /// So the calls that wait for one load go on one after the other, in every process that shares
    /// the store. Each time that their number has doubled they go twice as fast: a load that never
    /// ends lets even thousands go after a dozen steps.
    TakeOver(Duration),
}

impl IfHeld {
    /// For how long a lease is safe from this call, if so many have taken it over since it was
    /// free. The script has it too.
    pub(crate) fn spares_for(self, takeovers: u32) -> Option<Duration> {
        match self {
            Self::Wait => None,
            Self::TakeOver(after) => Some(after / 2_u32.pow(takeovers.max(1).ilog2())),
        }
    }
}

/// A request for a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRequest {
    pub(crate) token: Token,
    /// How long the lease lasts unless it is renewed.
    pub(crate) lasts: Duration,
    pub(crate) if_present: IfPresent,
    pub(crate) if_held: IfHeld,
    pub(crate) recall: Recall,
}

#[cfg(test)]
impl LeaseRequest {
    pub(crate) fn waiting(token: Token, lasts: Duration, if_present: IfPresent, recall: Recall) -> Self {
        Self { token, lasts, if_present, if_held: IfHeld::Wait, recall }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum LeaseReply {
    /// Somebody filled meanwhile.
    Hit(Bytes),
    /// The caller has the exclusive right to load until the lease ends.
    Granted(ClockReading),
    /// Another call has it, until then at the latest: its lease ends, or may be taken over by who
    /// asks for that.
    Held { clock: ClockReading, remaining: Duration },
}

/// A value on its way into the store, with everything it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Fill<'a> {
    /// Logical key.
    pub(crate) key: &'a str,
    /// Header and payload (see `entry`).
    pub(crate) value: Bytes,
    /// Tags and dependencies, sorted, each once, without the key itself; the same as in the header.
    pub(crate) names: &'a [Name],
    /// Hard TTL.
    pub(crate) ttl: Duration,
    /// Read before the load began.
    pub(crate) clock: &'a ClockReading,
    /// The lease to give back, if the caller still has it. A call that loads without a lease passes
    /// a token that holds none.
    pub(crate) token: Token,
    /// A few bytes (at most `LEARNED_BYTES_MAX`), and how long the store keeps them beside the key,
    /// whatever becomes of the entry. All processes can [recall](ClockReading::learned) them. Kept
    /// only if the value is stored. May be dropped at any time.
    pub(crate) learned: Option<(Bytes, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillReply {
    Stored,
    /// Stored nothing: the value may be older than an invalidation.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key, a tag or a dependency was invalidated after the reading.
    Fenced,
    /// The key, a tag or a dependency is closed.
    Closed,
    /// The floor passed the reading.
    BelowFloor,
    /// The clock was lost after the reading.
    ForeignIncarnation,
    /// The load took longer than fences and dead members are kept.
    TooOld,
    /// A write found the store's memory full. It has removed the old entry and its dependents all
    /// the same.
    OutOfMemory,
    /// A home of the write's names did not answer. The write has removed the old entry and its
    /// dependents all the same.
    #[cfg(feature = "redis")]
    Unregistered,
}

/// The answer to [`Store::write`].
#[derive(Clone, Debug)]
pub(crate) struct WriteReply {
    pub(crate) fill: FillReply,
    pub(crate) drained: Removal,
    /// What is left to remove.
    pub(crate) rest: Operation<'static>,
}

#[derive(Clone, Debug)]
pub(crate) struct SweepReply {
    /// Where the walk goes on; `None` at its end.
    pub(crate) next: Option<u64>,
    /// Where the walk of the page's partition has begun.
    pub(crate) began: u64,
    /// The incarnation of that partition's clock: of another one's data the cursor says nothing.
    pub(crate) incarnation: Arc<str>,
    pub(crate) drained: Removal,
    /// What is left to remove, before the walk goes on.
    pub(crate) rest: Operation<'static>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreHealth {
    /// There is no connection.
    pub(crate) disconnected: bool,
    /// The store failed repeatedly and is not asked for now.
    pub(crate) breaker_open: bool,
    /// An `allkeys-*` eviction policy: bookkeeping may be dropped while entries that need it live.
    pub(crate) evicts_bookkeeping: bool,
    /// Another program has overwritten bookkeeping.
    pub(crate) overwritten_bookkeeping: bool,
    /// Nothing vouches for copies that are kept.
    pub(crate) lacks_vouchers: bool,
}

/// Is told that the store has lost writes; `false`: it need not be told again.
pub(crate) type LossListener = Box<dyn Fn() -> bool + Send + Sync>;

/// What a store has lost, and what is made good when everything is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreLoss {
    /// The primary of this reign has lost writes.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "the embedded store loses none"))]
    Writes(Box<str>),
    /// Several partitions, each with its number, have lost writes.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "the embedded store loses none"))]
    OfPartitions(Vec<(u16, StoreLoss)>),
    /// Members of an index: another program has overwritten the key. Each such loss has a higher
    /// mark than the one before.
    Members(u64),
}

/// A place where entries, their indexes and the protocol's clock live.
///
/// Every method ends by the `until` that it is given, with an error if it must: this is the only
/// deadline. Every script is atomic; on several partitions a method sends several, and nothing is
/// stale whichever of them have run. Every method is idempotent, because a call may send a
/// command twice. Keys are logical; names are complete (`Name`). An error leaves the outcome
/// unknown.
pub(crate) trait Store: Send + Sync + 'static {
    /// The same for all stores of this process that reach the same entries; `None`: no other does.
    fn identity(&self) -> Option<u128> {
        None
    }

    /// The key of a server under which this lies; `None`: there is no server.
    fn physical_key(&self, _: StoreKey<'_>) -> Option<String> {
        None
    }

    /// The partition in which a key is at home. What has another home may answer although this one
    /// does not.
    fn home(&self, _: &str) -> u16 {
        0
    }

    /// Wall time in ms. The times in headers are written and judged by it. No ordering rests on it.
    ///
    /// If other processes see the store, it is the wall time of the host: a monotonic clock stands
    /// still while a machine is suspended.
    fn wall_ms(&self) -> u64 {
        clock::wall_ms()
    }

    /// Whether it would refuse any call at once, without asking a server. A call that finds it so
    /// need not be made.
    fn refuses(&self) -> bool {
        false
    }

    /// The stored bytes of a key.
    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>>;

    /// As [`get`](Self::get), for a caller that keeps a copy and has been added as a
    /// [keeper](Self::keep_copies): each later change of the entry is told. Also returns what
    /// vouches for the copy; `None`: nothing does, and there must be no copy.
    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        Box::pin(async move { Ok((self.get(key, until).await?, None)) })
    }

    /// Has `keeper` told of changes of the entries that were [read for copies](Self::get_to_copy).
    fn keep_copies(&self, _: Weak<dyn CopyKeeper>) {}

    /// Whether a keeper of copies is told of a change before anybody can see the change.
    fn tells_at_once(&self) -> bool {
        false
    }

    /// Has what vouches for copies do so anew, at once.
    fn confirm_copies(&self) {}

    /// The stored bytes of at most `BATCH_GET_KEYS` keys of one [home](Self::home), in their order.
    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>>;

    /// Asks for the exclusive right to load `key`; renewed by [`renew_lease`](Self::renew_lease).
    /// A lease that a fence of the key, or the floor, has overtaken is free.
    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply>;

    /// Extends a lease if the caller still has it; `false`: it does not.
    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool>;

    /// Gives a lease back, if the caller still has it.
    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()>;

    /// Removes the value of `key` as the end of its TTL would, and gives the lease back, if the
    /// caller still has it. With a version, any other value stays. If anything depends on the key,
    /// its memberships stay, so that the dependents are still reached through them.
    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()>;

    /// A watch for changes of the value or the lease of `key`, for a call that was told
    /// [`LeaseReply::Held`]. With [`IfPresent::Return`] a value that is there by now is a change.
    /// `None`: the store cannot tell of changes, or too many callers wait.
    ///
    /// A change is only a hint. One may be missed, so the caller looks again after a while
    /// ([`WATCHED_POLL`]). One may be of no interest, so a caller that is woken asks the store
    /// again.
    ///
    /// [`WATCHED_POLL`]: crate::config::WATCHED_POLL
    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>>;

    /// A clock reading for a [`write`](Self::write), or for a load that does not ask for the lease.
    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading>;

    /// Stores a loaded value with its memberships, or refuses it. Gives the lease back either way.
    /// More than one round trip for over 256 names or 64 KiB.
    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply>;

    /// Removes the key and what depends on it, and fences the key. Stores the new value only if
    /// nothing that it depends on was invalidated after `fill.clock` or is closed, and memory is
    /// not full. Cost as for `fill`, and as for one step of an invalidation.
    ///
    /// With `opens`, this is also the end of an operation that had closed the key before it read
    /// the clock: its own mark does not count, and is taken away.
    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply>;

    /// An invalidation of any number of names. Sends nothing.
    fn begin<'a>(&self, names: &'a [Name], intent: Intent) -> Operation<'a> {
        Operation::new(names, intent)
    }

    /// Takes one step of an operation: fences at most `INVALIDATE_NAMES_PER_CHUNK` of its names,
    /// removes what they reach, and goes on with what it has left. It is done when nothing is
    /// pending.
    ///
    /// A step that closes does nothing if more than [`CLOSED_NAMES_MAX`] names would be closed: an
    /// error of kind `Limit`.
    ///
    /// After an error the operation is not to be gone on with. It has what was removed all the
    /// same: [`take_uncounted`](Operation::take_uncounted).
    ///
    /// [`CLOSED_NAMES_MAX`]: crate::config::CLOSED_NAMES_MAX
    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal>;

    /// Takes away what an operation that is done has followed, and nobody needs any more. Nobody
    /// waits for it.
    fn settle(&self, _: Operation<'_>) {}

    /// One page of a pattern walk; raises the floor first. `pattern` is a Redis glob over logical
    /// keys.
    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply>;

    /// What is known of a key. Changes nothing.
    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts>;

    /// The names that were fenced after this look at the clocks, and what the clocks show now.
    /// Without a look, what they show. Changes nothing.
    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail>;

    /// Looks at what an invalidation would reach, and changes nothing.
    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight>;

    /// One page of the names that match `pattern`, of about [`LIST_KEYS_PER_PAGE`] names looked at.
    /// A cursor of 0 begins. A name that is there from the first page to the last is on one of
    /// them. Changes nothing.
    ///
    /// [`LIST_KEYS_PER_PAGE`]: crate::config::LIST_KEYS_PER_PAGE
    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage>;

    /// Succeeds when the store answers and is usable, within `timeout`. A fault that waiting cannot
    /// cure (credentials, permissions, database) is a configuration error at once.
    fn ready(&self, timeout: Duration) -> StoreFuture<'_, ()>;

    /// Has `listener` called when the store has lost writes that this process knows of: what these
    /// had invalidated is there again. It is called before anything of what the store has now can
    /// be the answer to a call that began later.
    fn on_loss(&self, _: LossListener) {}

    /// The last loss of writes, if it was not made good.
    fn loss(&self) -> Option<StoreLoss> {
        None
    }

    /// Notes that the loss is made good: everything was removed since it was found. Other processes
    /// that find it need not do so.
    fn make_good<'a>(&'a self, _: &'a StoreLoss, _: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Ends the reaping that this process does in the background: other processes go on with it.
    fn end_reaping(&self) {}

    /// What the store holds, if it is inside this process.
    fn memory(&self) -> Option<MemoryUse> {
        None
    }

    /// Its connections; `None`: it needs none.
    fn links(&self) -> Option<StoreLinks> {
        None
    }

    /// Whether it failed repeatedly, and is not asked for now.
    fn is_breaker_open(&self) -> bool {
        false
    }

    /// The health as far as it is known without asking. A store that connects begins to do so.
    fn health(&self) -> StoreHealth {
        StoreHealth::default()
    }
}

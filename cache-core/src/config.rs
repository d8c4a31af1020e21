//! Every default and limit, in one place, each with its reason.

use std::time::Duration;

pub use self::lost_writes::LostWrites;
use crate::codec::Storage;
#[cfg(feature = "redis")]
mod clusters;

#[cfg(feature = "redis")]
pub(crate) use clusters::*;

mod lost_writes;

/// What a user may set, a row each: the reason, the constant, the setting, its type, its default.
/// The reason is also the documentation of the setter. `settings!(receiver)` hands the rows to a
/// macro.
macro_rules! settings {
    ($receiver:ident) => {
        $receiver! {
            /// The lifetime of an entry whose function names none, or a class that is in no table.
            DEFAULT_TTL default_ttl: Duration = 300 s,
            /// The longest time that a call waits for the store; then the call goes on without the
            /// store. A slow cache must cost less than the load that it saves.
            OPERATION_DEADLINE operation_deadline: Duration = 250 ms,
            /// The longest time to open one connection, handshake included.
            CONNECT_TIMEOUT connect_timeout: Duration = 1 s,
            /// How long the store remembers invalidations one by one, and keeps dead members in an
            /// index. A load that takes longer returns its value and does not store it; a refresh
            /// in the background that takes longer is ended.
            FENCE_RETENTION fence_retention: Duration = 60 s,
            /// How long the right to load a key outlives a process that dies while it has that
            /// right. A living process renews the right every third of this time, so a load may
            /// take much longer. The default is half of [`lease_wait`](Self::lease_wait): a call
            /// that waits for a dead process has time left to wait for the next process's load. A
            /// shorter lease costs the server more renewals.
            LEASE lease: Duration = 1 s,
            /// The longest time that all calls wait for one load of the same key; then one of them
            /// loads as well, after as long again another one, and then twice as many in each such
            /// time, over all processes. Not shorter than the lease: otherwise the calls that wait
            /// for a dead process would give up just before one of them could take over.
            LEASE_WAIT lease_wait: Duration = 2 s,
            /// The failures in a row after which the store is left alone for a while. With a lower
            /// number one lost connection would be enough for that.
            BREAKER_FAILURES breaker_failures: u32 = 5,
            /// The connections to Redis of each tokio runtime that the cache is used from. The
            /// calls of a runtime share its connections, and a key always uses the same one. One
            /// more is opened when a large value (from 128 KiB on) is met, and serves the prefixes
            /// of such values. The more calls share a connection, the fewer system calls they
            /// cost; more connections help only where one core cannot feed the server.
            CONNECTIONS connections: usize = 2,
            /// The largest stored value, header included. A larger value is returned and not
            /// stored. One reply of 8 MiB delays everything behind it by a few milliseconds.
            VALUE_BYTES_MAX value_bytes_max: usize = 8 MiB,
            /// The smallest value that `compress` compresses, in bytes: less fits a few packets.
            COMPRESS_BYTES_MIN compress_bytes_min: usize = 4096,
            /// The most that a compressed value inflates to. An entry that claims more is a miss.
            INFLATED_BYTES_MAX inflated_bytes_max: usize = 32 MiB,
            /// The most names of one entry: tags and dependencies, its own, those of the items of a
            /// list, and inherited ones. A value with more names is not stored, and that is logged
            /// once at WARN. A name takes about 100 bytes in the entry and in an index, so 4,096 of
            /// them weigh as much as a large value.
            NAMES_MAX names_max: usize = 4096,
            /// The most names of failed invalidations that are remembered one by one. If there are
            /// more, the whole namespace is cleared when the store is back.
            RECOVERY_NAMES_MAX recovery_names_max: usize = 10000,
            /// How long names that were [closed](crate::Cache::close) stay closed if their process
            /// dies. A living process renews the time until it opens them. A change that takes
            /// effect in the database after that may be followed by an old value, so this is longer
            /// than a COMMIT on its way when its process dies.
            CLOSING_LIFETIME closing_lifetime: Duration = 30 s,
            /// The share by which lifetimes are shortened at random at most, from 0 (not at all) to
            /// below 1, so that entries that are stored together do not expire together.
            JITTER jitter: f64 = 0.05,
            /// The most background refreshes at once of one cache (each tenant and peer has its
            /// own): each may hold a database connection. Beyond it a stale value is served without
            /// a refresh, and the next call tries again. 0: callers load stale values themselves.
            REFRESHES_MAX refreshes_max: usize = 64,
            /// The largest size of the embedded store. Entries not read since the eviction hand
            /// last passed give way (SIEVE). It counts what is requested of the allocator for
            /// everything in it, and 16 bytes for each allocation, as an estimate that is 15 % off
            /// at most. [`Cache::memory`](crate::Cache::memory) tells how much is in use.
            MEMORY_BYTES_MAX memory_bytes_max: usize = 64 MiB,
            /// The most copies (`near`) of one cache; each tenant and peer has its own. Copies not
            /// read since the eviction hand last passed give way (SIEVE). 0: none are kept.
            NEAR_ENTRIES_MAX near_entries_max: usize = 10000,
            /// The largest size of these copies together. A copy counts as the bytes of its entry,
            /// which are about what its value takes in memory, those of the call's arguments, and
            /// some 300 bytes of bookkeeping.
            NEAR_BYTES_MAX near_bytes_max: usize = 64 MiB,
            /// An answer of the store that a call has waited for as long as this is logged at INFO:
            /// far above what any command takes a server that is well, and well below the
            /// [`operation_deadline`](Self::operation_deadline), after which a call no longer
            /// waits. See [the guide](crate::guide::metrics#traces).
            SLOW_STORE_CALL slow_store_call: Duration = 100 ms,
            /// The share of hits, from 0 (none) to 1 (all), that are loaded again in the background
            /// and compared, to find what was changed and not invalidated. It counts for functions
            /// with `verify`, `stale_while_revalidate` or `early_refresh` that name no share of
            /// their own. 0.001 is a good start. See [the guide](crate::guide::verify).
            VERIFY verify: f64 = 0.0,
            /// The most [tenants](crate::Cache::tenant) of this cache that this process keeps open.
            /// One more takes the place of the tenant that nobody has used for the longest time.
            TENANTS_MAX tenants_max: usize = 1000,
            /// The largest size of one tenant's copies (`near`), and of its own embedded store.
            TENANT_BYTES_MAX tenant_bytes_max: usize = 4 MiB,
            /// The most entries of one tenant, of all processes together; 0: as many as there is
            /// room for. See [the guide](crate::guide::tenants#quotas).
            TENANT_ENTRIES_MAX tenant_entries_max: usize = 0,
        }
    };
}
pub(crate) use settings;

macro_rules! amount {
    ($number:literal ms) => {
        Duration::from_millis($number)
    };
    ($number:literal s) => {
        Duration::from_secs($number)
    };
    ($number:literal MiB) => {
        $number << 20
    };
    ($number:literal) => {
        $number
    };
}

macro_rules! config {
    ($(
        $(#[$doc:meta])*
        $default:ident $name:ident: $type:ty = $number:literal $($unit:ident)?,
    )*) => {
        $($(#[$doc])* pub(crate) const $default: $type = amount!($number $($unit)?);)*

        /// The settings of one cache; the builder changes them.
        #[derive(Clone, Debug)]
        pub(crate) struct Config {
            pub(crate) namespace: String,
            pub(crate) lost_writes: LostWrites,
            pub(crate) storage: Storage,
            $(pub(crate) $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                let (namespace, storage) = ("cache".to_owned(), Storage::default());
                Self { namespace, lost_writes: LostWrites::Clear, storage, $($name: $default,)* }
            }
        }
    };
}

settings!(config);

/// For how long a copy of an entry may be served after the last answer of its connection, counted
/// from the moment of the question: so long may another process's invalidation go unseen.
pub(crate) const NEAR_TRUST: Duration = Duration::from_secs(1);
/// How often such a connection is asked: three questions within [`NEAR_TRUST`], so that a slow
/// answer or two cost nothing.
#[cfg(feature = "redis")]
pub(crate) const NEAR_ASK_INTERVAL: Duration = Duration::from_millis(300);
/// For how long the embedded store's values are served as copies of their types. Then an entry is
/// read once more, so that the store knows that it is in use, and does not evict it first.
pub(crate) const COPY_OF_STORE_LIVES: Duration = Duration::from_secs(1);
/// Reads under way whose values are to become copies; further reads make none.
pub(crate) const NEAR_READS_MAX: usize = 4_096;
/// Parts of the table of copies, each with a lock of its own. Two threads rarely meet in one.
pub(crate) const NEAR_SHARDS: usize = 64;
/// Accounted for one copy beside the bytes of its entry and of its place: what three tables take
/// for it, and its key.
pub(crate) const NEAR_COPY_BYTES: usize = 300;
/// The arguments of a call, in bytes, of which there may be a copy. Long arguments are compared
/// and kept whole, which costs more than a copy saves.
pub(crate) const NEAR_PLACE_BYTES_MAX: usize = 4 << 10;
/// Lines of one counter, each of one thread while that runs. Further threads share one more line,
/// and count more slowly.
pub(crate) const COUNTER_LINES: usize = 16;

/// Shortest duration that may be set: the unit of stored times, of leases and of timers.
pub(crate) const DURATION_MIN: Duration = Duration::from_millis(1);
/// Longest duration, a century. A text in a configuration file or an attribute may not say more; a
/// longer setting or lifetime counts as this. Durations are added to a clock in ms, and a century
/// leaves room for that.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(36_525 * 86_400);
/// Largest file of certificates that a URL names: Mozilla's authorities take a quarter of it.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_FILE_BYTES_MAX: u64 = 1 << 20;
/// Most connections of each runtime: a server accepts 10,000, and one connection feeds a core.
pub(crate) const CONNECTIONS_MAX: usize = 1_024;
/// Tokio runtimes that have connections at the same time; calls of further runtimes go past the
/// store. A process has one runtime, or one for each core; at this number something starts runtimes
/// and never ends them.
pub(crate) const RUNTIMES_MAX: usize = 256;
/// Longest name (key, tag or pattern) in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 1_024;
/// Longest logical key in bytes that is spelled out; a longer one ends in a digest. 120 bytes are
/// readable in a terminal, and a small share of what an entry costs.
pub(crate) const KEY_BYTES_MAX: usize = 120;
/// Keys that one key may lead to along declared dependencies: as many as `names_max` lets an entry
/// have by default.
pub(crate) const DEPENDENCIES_MAX: usize = 4_096;
/// Longest chain of declared dependencies. Each is a call inside of another one: a few hundred
/// bytes of stack, or a few thousand in a debug build.
pub(crate) const DEPENDENCIES_DEPTH_MAX: usize = 100;
/// Deepest nesting of one key parameter. A call with a deeper one is not cached: a hostile argument
/// must not end the process.
pub(crate) const KEY_DEPTH_MAX: usize = 128;
/// Pause between two lines of the log of one kind about one function: nobody reads a thousand.
pub(crate) const LOG_PAUSE: Duration = Duration::from_secs(1);
/// Most functions and kinds of one prefix that have lines of their own; further ones share a line.
pub(crate) const LOG_PLACES_MAX: usize = 1_024;
/// Of a text of others in a line, such as a function's error; what is longer is cut.
pub(crate) const LOG_TEXT_BYTES_MAX: usize = 4_096;
/// Most keys of one prefix whose loads are watched for invalidations of their own value: a load
/// that invalidates it each time does so for every key, so a few of the keys that return show it.
pub(crate) const RELAPSES_MAX: usize = 64;
/// First values of each type of a function that are tried: decoded again before they are stored,
/// and compared. A loss in every value shows at the first one; a loss that takes a `None` or a rare
/// variant shows within a few.
pub(crate) const TRIED_FIRST: u32 = 16;
/// After these, one fill in so many is tried. A trial costs a few times as much as the encoding, so
/// this adds about a twentieth to the cost of encoding.
pub(crate) const TRIED_ONE_IN: u32 = 64;
/// Deepest nesting down to which a value is compared with the value that its bytes decode to. JSON
/// has 127 levels, and each may hold a few options and newtypes. The comparison must leave room on
/// the stack of a thread.
pub(crate) const COMPARED_DEPTH_MAX: usize = 512;
/// Deepest nesting that a type fingerprint looks at.
pub(crate) const SHAPE_DEPTH_MAX: usize = 32;
/// Most values that the walks over one type ask for: a few milliseconds, once per type. What lies
/// beyond does not count in the fingerprint.
pub(crate) const SHAPE_STEPS_MAX: usize = 20_000;
/// Names sent in one invalidation chunk.
pub(crate) const INVALIDATE_NAMES_PER_CHUNK: usize = 256;
/// Members one invalidation script visits: about 3 µs each, so a chunk stays below 2 ms. What an
/// entry weighs beside the visit is said in `cascade.lua`. The scripts have the number too
/// (`time.lua`).
pub(crate) const INVALIDATE_MEMBERS_PER_CHUNK: usize = 300;
/// Keys one pattern page looks at.
pub(crate) const SWEEP_KEYS_PER_PAGE: usize = 300;
/// Keys of the database that one page of a listing looks at: well below a millisecond, for nothing
/// is done with them.
pub(crate) const LIST_KEYS_PER_PAGE: usize = 1_000;
/// Names and dependents that an explanation tells of: what a person reads. More are counted.
pub(crate) const EXPLAIN_NAMES_MAX: usize = 256;
pub(crate) const EXPLAIN_DEPENDENTS_MAX: usize = 50;
/// Keys of which a process remembers why the last value was not stored, and as many of which why
/// it was not served. The oldest is forgotten.
pub(crate) const REASONS_REMEMBERED_MAX: usize = 1_024;
/// Invalidations that a listener of the feed may be behind by, and then loses: a burst of a second.
/// Shared by all listeners of a cache.
pub(crate) const FEED_RECORDS_MAX: usize = 256;
/// Names that the feed tells of one invalidation: what a person reads. All are counted.
pub(crate) const FEED_NAMES_MAX: usize = 64;
/// Entries that a preview names: more than anybody reads, and enough for a page that counts them.
pub(crate) const PREVIEW_KEYS_MAX: usize = 10_000;
/// Names that a preview goes through, which it has to remember: some ten MiB.
pub(crate) const PREVIEW_NAMES_MAX: usize = 100_000;
/// Looks of one preview, each a round trip and at most as long as one chunk of the invalidation:
/// twenty seconds of the server's time.
pub(crate) const PREVIEW_LOOKS_MAX: usize = 10_000;
/// Indexes, members and dependents that one call of the reaper in the background looks at: about a
/// millisecond.
pub(crate) const REAP_LOOKS_MAX: usize = 1_000;
/// The reaper's pause between two such calls: a backlog takes a tenth of the server's time at
/// most.
pub(crate) const REAP_PAUSE: Duration = Duration::from_millis(10);
/// Shortest and longest time after which the reaper comes back. Between these bounds it comes back
/// about once in a fence retention, the time after which something may have come due.
pub(crate) const REAP_PERIOD_MIN: Duration = Duration::from_millis(100);
pub(crate) const REAP_PERIOD_MAX: Duration = Duration::from_secs(3_600);
/// Memberships that the script of one fill registers. Further memberships are registered before it,
/// by scripts of their own.
pub(crate) const FILL_NAMES_PER_STEP: usize = 256;
/// A value of this size or more is staged under a temporary key and renamed: a script would copy it
/// through Lua.
pub(crate) const STAGED_BYTES_MIN: usize = 64 << 10;
/// Most bytes of state that an adaptive TTL keeps of one key. The state is 41 bytes today; bytes
/// beyond the limit are something else, and are not read.
pub(crate) const LEARNED_BYTES_MAX: usize = 64;
/// Longest time that such a state is kept: Redis refuses a TTL beyond its clock.
pub(crate) const LEARNED_TTL_MAX: Duration = Duration::from_secs(36_525 * 86_400);
/// Names that all operations together may have closed in a namespace, each counted once for each
/// operation: a hundred operations with a hundred names. A name takes three places in the clock.
pub(crate) const CLOSED_NAMES_MAX: usize = 10_000;
/// Beyond so many closed names, what a closing reaches is not closed name by name any more: then
/// nothing is stored that depends on a key. So there is room for the names of other operations. The
/// scripts have the number too (`closings.lua`).
pub(crate) const REACHED_NAMES_MAX: usize = CLOSED_NAMES_MAX / 2;
/// Names of one closing, so that two of them find room: 16 chunks, each of which is closed and
/// opened in one round trip.
pub(crate) const CLOSING_NAMES_MAX: usize = 16 * INVALIDATE_NAMES_PER_CHUNK;
/// Longest time for which an invalidation keeps its names closed: far above what a replica lags
/// that is still read from.
pub(crate) const HOLD_MAX: Duration = Duration::from_secs(3_600);
/// Most fences of a store. Beyond that the oldest fences are dropped into the floor. The scripts
/// have the number too (`time.lua`).
pub(crate) const FENCES_MAX: usize = 100_000;
/// Names that one look at what was invalidated tells. Of more it says everything.
pub(crate) const TRAIL_NAMES_MAX: usize = 2_000;
/// Partitions of a cluster, a power of two. So each has 16 slots at least, and no two are in one.
pub(crate) const PARTITIONS_MAX: u16 = 1_024;
/// The embedded store's fences may take one part in so many of its size.
pub(crate) const MEMORY_FENCES_SHARE: usize = 4;
/// The names that operations have closed may take one part in so many of the embedded store's size.
pub(crate) const MEMORY_CLOSINGS_SHARE: usize = 8;
/// The state of adaptive TTLs may take one part in so many of the embedded store's size.
pub(crate) const MEMORY_LEARNED_SHARE: usize = 8;
/// Expired entries, dead members and ended leases that one operation of the embedded store
/// collects, beside twice as many memberships as the operation adds. Collecting is faster than
/// storing, so nothing accumulates although nothing runs in the background.
pub(crate) const MEMORY_REAPED_PER_OPERATION: usize = 16;
/// Dependents that are looked at to see whether a dead member leads to something alive. A member
/// with more dependents stays for another while.
pub(crate) const MEMORY_DEPENDENTS_LOOKED_AT: usize = 64;
/// Memberships that count as much in a chunk as one more member: an entry may have thousands of
/// memberships to leave.
pub(crate) const MEMORY_MEMBERSHIPS_PER_VISIT: usize = 16;
/// Tokio runtimes that are remembered to have no timers, because asking is a panic that is caught.
/// Beyond that number the runtime that was met first is asked again.
pub(crate) const TIMERLESS_RUNTIMES_MAX: usize = 64;
/// Sentinels that a URL may name. A set has three to seven.
#[cfg(feature = "redis")]
pub(crate) const SENTINELS_MAX: usize = 32;
/// A sentinel that says nothing is asked this often where the primary is: its message may be lost
/// on a half-open link, and after a jump of its clock (TILT) it publishes nothing for 30 s.
#[cfg(feature = "redis")]
pub(crate) const SENTINEL_ASK_INTERVAL: Duration = Duration::from_millis(500);
/// A connection logs in again a quarter of its credentials' lifetime before they end, and this long
/// before at most: a provider that fails is asked again until then.
#[cfg(feature = "redis")]
pub(crate) const CREDENTIALS_MARGIN_MAX: Duration = Duration::from_secs(60);
/// Shortest and longest delay before a lost connection is tried again: a full outage costs a few
/// packets a second, and its end is noticed within two seconds.
pub(crate) const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
pub(crate) const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// How often a server is asked whether it is there and still a primary. One connection asks for all
/// connections to that server: two small commands a second for each process.
pub(crate) const PRIMARY_ASK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a yes of the server counts, from the moment of the question: two intervals, so that one
/// slow answer changes nothing. For so long a server that was made a replica may go on serving
/// hits.
pub(crate) const PRIMARY_TRUST: Duration = Duration::from_secs(1);
/// Longest time without a reply before a connection is asked whether it is still there, and longest
/// time for its answer. A half-open socket is replaced within the sum of both and one
/// [`PRIMARY_ASK_INTERVAL`].
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Calls without an answer, with no reply in between, after which a connection is replaced.
pub(crate) const UNANSWERED_CALLS_MAX: u32 = 3;
/// A value from which on its prefix is served on a connection of its own: about a millisecond of a
/// network of 1 Gbit/s.
pub(crate) const LARGE_VALUE_BYTES_MIN: usize = 128 << 10;
/// How long a prefix counts as one of large values after the last one was met.
pub(crate) const LARGE_VALUE_REMEMBERED: Duration = Duration::from_secs(60);
/// Calls for large values that are under way at once; further ones wait for their turn, within
/// their deadlines. Redis copies 8 MiB in about 3 ms, and serves nobody else meanwhile.
pub(crate) const LARGE_CALLS_MAX: usize = 4;
/// Prefixes of large values that are remembered; the values of others delay small ones.
pub(crate) const LARGE_PREFIXES_MAX: usize = 256;
/// How often a connection with calls under way is looked at for deadlines that have passed. The
/// usual ones are met to the millisecond; one that is shorter than those of the calls around it may
/// be met so much later.
pub(crate) const DEADLINES_LOOK: Duration = Duration::from_millis(25);
/// Replies that one connection waits for at the same time: what a server answers within a deadline.
/// Further calls fail at once.
pub(crate) const REPLIES_AWAITED_MAX: usize = 65_536;
/// Bytes that wait to be written to one connection, unless it is one command: what a network takes
/// within a deadline. Further calls fail at once.
pub(crate) const UNSENT_BYTES_MAX: usize = 64 << 20;
/// Room for what is read from a socket at once. It holds 200 hits of 300 bytes.
pub(crate) const SOCKET_READ_BYTES: usize = 64 << 10;
/// Room for commands that a connection keeps between two writes.
pub(crate) const SOCKET_WRITE_BYTES_KEPT: usize = 64 << 10;
/// What a reply may hold. Redis stores no longer text than this, no answer of ours is deeper than
/// three levels, and the longest are those for the keys of a batch. A line is a number, or an error
/// in a few words.
pub(crate) const REPLY_BULK_BYTES_MAX: usize = 512 << 20;
pub(crate) const REPLY_BYTES_MAX: usize = 1 << 30;
pub(crate) const REPLY_ITEMS_MAX: u64 = 1 << 20;
pub(crate) const REPLY_DEPTH_MAX: usize = 8;
pub(crate) const REPLY_LINE_BYTES_MAX: usize = 64 << 10;
/// Time after which the kernel gives up a peer that acknowledges nothing: a second line of defence
/// behind our questions, for a runtime that is stuck.
pub(crate) const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence of a peer after which the kernel starts to probe it.
pub(crate) const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
/// How long past its own deadline a connection's supervisor may be silent before it counts as dead:
/// the supervisor's runtime may be starved, or no longer polled by anyone.
pub(crate) const SUPERVISOR_SLACK: Duration = Duration::from_secs(1);
/// Shortest and longest delay before an open breaker lets one call try the store.
pub(crate) const BREAKER_PROBE_DELAY_MIN: Duration = Duration::from_millis(100);
pub(crate) const BREAKER_PROBE_DELAY_MAX: Duration = Duration::from_secs(5);
/// How long that one call may hold the right to try: far above any operation deadline.
pub(crate) const BREAKER_PROBE_LEASE: Duration = Duration::from_secs(5);
/// Prefixes that the statistics count apart; further prefixes share one line.
pub(crate) const STATS_PREFIXES_MAX: usize = 1_024;
/// Calls of one observed future that are written down; further ones are counted. More than a page
/// shows, and little memory.
pub(crate) const OBSERVED_CALLS_MAX: usize = 1_000;
/// When an entry that differs from its source is looked at again, after the first look. A program
/// that works invalidates within a moment of its COMMIT; one whose invalidation failed retries it
/// every few seconds. What still differs after a minute was forgotten.
pub(crate) const VERIFY_LOOKS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];
/// Entries of one cache that are being verified. Most of them wait for their next look.
pub(crate) const VERIFICATIONS_MAX: usize = 256;
/// Loads of one cache at once that verify: each may hold a connection to a database, and nobody
/// waits for them.
pub(crate) const VERIFY_LOADS_MAX: usize = 4;
/// Loads that may verify a prefix, as a share of all its loads, and beside that for each second: so
/// that a high share of hits does not become more load than the misses are, and a prefix without
/// misses is verified all the same.
pub(crate) const VERIFY_LOADS_SHARE: f64 = 0.1;
pub(crate) const VERIFY_LOADS_PER_SECOND: f64 = 1.0;
/// What may be saved up of these.
pub(crate) const VERIFY_LOADS_SAVED_MAX: f64 = 100.0;
/// Pause between two reports of inconsistent entries of one prefix: somebody has to read each.
pub(crate) const VERIFY_REPORT_PAUSE: Duration = Duration::from_secs(60);
/// Prefixes that a header `Server-Timing` tells apart; further ones share a metric. A response has
/// room for so many beside its other headers.
pub(crate) const SERVER_TIMING_METRICS_MAX: usize = 16;
/// Memory that a thread keeps for the text of its next key or tag.
pub(crate) const SPARE_TEXT_BYTES_MAX: usize = 1_024;
/// Caches whose counters a function remembers; calls with further ones look for them under a lock.
pub(crate) const COUNTERS_REMEMBERED_MAX: usize = 2;
/// Prefixes for which one chunk of an invalidation counts what it removed; the rest is in the total
/// alone. So its reply grows by 33 KiB at most. `cascade.lua` has the number too.
pub(crate) const REMOVED_PREFIXES_MAX: usize = 32;
/// How far another host's clock may be off. A stored expiry that has passed by more than this
/// counts, although the store still has the entry.
pub(crate) const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// Keys of which the callers of one process share a load in flight. Beyond that number callers
/// share through the lease alone.
pub(crate) const FLIGHTS_MAX: usize = 65_536;
/// Most callers of one process that load one key at once after loads of that key failed. So a
/// source that is down is not asked by everyone, and 250 callers of a load that fails within 100 ms
/// still end within two seconds.
pub(crate) const FAILED_LOADS_AT_ONCE: u32 = 16;
/// Loads of one cache that run in tasks of their own at once (`finish`, `load_timeout`). Each
/// begins with a caller, so callers bound their number; but what outlives its callers may hold a
/// connection to a database. Further loads run in the tasks of their callers, and end with them.
pub(crate) const LOAD_TASKS_MAX: usize = 1_024;
/// Shortest pause between a failed refresh of a key and the next refresh of that key in the same
/// process.
pub(crate) const REFRESH_RETRY_PAUSE: Duration = Duration::from_millis(250);
/// First and longest pause between two looks at another process's lease: the end of a short load is
/// seen soon, and a long load causes no more than ten looks a second.
pub(crate) const LEASE_POLL_MIN: Duration = Duration::from_millis(4);
pub(crate) const LEASE_POLL_MAX: Duration = Duration::from_millis(100);
/// Longest pause between two such looks while the store is to push changes: what a lost push
/// costs.
pub(crate) const WATCHED_POLL: Duration = Duration::from_millis(250);
/// Calls that wait for pushes, for each connection; further calls look at the lease again and
/// again. Each waiting call costs the server two tracked keys, of which a server keeps a million by
/// default.
pub(crate) const WATCHES_MAX: usize = 4_096;
/// Keys that a batch asks for in one command: a reply of small values takes the server well under a
/// millisecond.
pub(crate) const BATCH_GET_KEYS: usize = 512;
/// The same while this process has not seen a value of the prefix. Each command that finds no value
/// is followed by one of twice as many keys.
pub(crate) const BATCH_GET_KEYS_UNSEEN: usize = 128;
/// Most bytes of the reply to such a command, judged by the values seen before, and of the fills
/// under way: a few milliseconds of the server and of the connection, which others use as well. A
/// single value may be larger.
pub(crate) const BATCH_BYTES: usize = 4 << 20;
/// Leases, fills and waits of one batch that are under way at the same time: enough to fill a
/// pipeline.
/// All answers of the store for so many keys together may take one operation deadline.
pub(crate) const BATCH_WINDOW: usize = 128;
/// Longest time one invalidation goes on by itself; what is left then is retried in the background.
/// With 300 members in each chunk of 2 ms this is enough for a cascade of nine million entries.
pub(crate) const INVALIDATE_DEADLINE: Duration = Duration::from_secs(60);
/// First and longest pause between two attempts at a failed invalidation.
pub(crate) const RECOVERY_PAUSE_MIN: Duration = Duration::from_millis(100);
pub(crate) const RECOVERY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Most names, and most patterns, of an invalidation that is written down. A row of an outbox stays
/// readable so, and a tag can stand for more names.
pub(crate) const INVALIDATION_NAMES_MAX: usize = 10_000;
/// Warmers and loaders that run at once: most of a connection pool is left to visitors.
pub(crate) const WARM_CONCURRENCY: usize = 4;
/// Longest time of one warmer, or of one call of a loader: far above any query worth its warming.
pub(crate) const WARM_TIME_LIMIT: Duration = Duration::from_secs(300);
/// Keys in one call of a batch loader: no more than one `MGET` asks for, and fewer than databases
/// allow in one `IN (…)` list.
pub(crate) const WARM_BATCH_MAX: usize = 500;
/// Keys in one run of a warmer; they are held in memory until the run ends.
pub(crate) const WARM_KEYS_MAX: usize = 100_000;
/// Errors of one run that are kept and logged; further ones are counted.
pub(crate) const WARM_ERRORS_MAX: usize = 100;
/// How long a run waits for a store that is not there, all waits together, before it gives up. Long
/// enough for two attempts to connect, for a run often comes right after the start.
pub(crate) const WARM_STORE_WAIT: Duration = Duration::from_secs(2);
/// Shortest pause between two scheduled runs.
pub(crate) const WARM_PAUSE_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;

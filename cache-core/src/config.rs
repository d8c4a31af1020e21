//! Every default and limit, in one place, each with its reason.

use std::time::Duration;

/// What a user may set, each row once: the constant, the setting, its type, its default, and why.
/// The documentation is that of the setter. `settings!(receiver)` hands the rows to a macro.
macro_rules! settings {
    ($receiver:ident) => {
        $receiver! {
            /// The lifetime of an entry whose function names none, or a class that is in no table.
            DEFAULT_TTL default_ttl: Duration = 300 s,
            /// The longest time that a call waits for the store; then it goes on without it. A slow
            /// cache must cost less than the load that it saves.
            OPERATION_DEADLINE operation_deadline: Duration = 250 ms,
            /// The longest time to open one connection, handshake included.
            CONNECT_TIMEOUT connect_timeout: Duration = 1 s,
            /// How long the store remembers invalidations one by one, and keeps dead members in an
            /// index. A load that takes longer returns its value and does not store it; a refresh
            /// in the background that takes longer is ended.
            FENCE_RETENTION fence_retention: Duration = 60 s,
            /// How long the right to load a key outlives a process that died with it. A living
            /// process renews it every third of that time, so a load may take much longer. The
            /// default is half of [`lease_wait`](Self::lease_wait): whoever waits for a dead
            /// process still waits for the load of its successor. A short lease costs the server
            /// more renewals.
            LEASE lease: Duration = 1 s,
            /// The longest time that a call waits for another's load of the same key; then it loads
            /// for itself. Not shorter than the lease: every call that waits for a dead process
            /// would give up just before one of them could take over.
            LEASE_WAIT lease_wait: Duration = 2 s,
            /// The failures in a row after which the store is left alone for a while. Fewer would
            /// leave it alone after one lost connection.
            BREAKER_FAILURES breaker_failures: u32 = 5,
            /// The connections to Redis of each tokio runtime that the cache is used from. Its
            /// calls share them, and one key always uses the same one. More of them help only where
            /// one core cannot feed the server; where each core has a runtime of its own, fewer do.
            CONNECTIONS connections: usize = 4,
            /// The largest stored value, header included. A larger one is returned and not stored.
            /// One reply of 8 MiB delays everything behind it by a few milliseconds.
            VALUE_BYTES_MAX value_bytes_max: usize = 8 MiB,
            /// The most tags of one entry, inherited ones not counted. With more the value is not
            /// stored, and that is said once at WARN.
            TAGS_MAX tags_max: usize = 128,
            /// The most names of one entry: tags and dependencies, inherited ones included. With
            /// more the value is not stored, and that is said once at WARN.
            NAMES_MAX names_max: usize = 4096,
            /// The most names of failed invalidations that are remembered one by one. With more the
            /// whole namespace is cleared when the store is back.
            RECOVERY_NAMES_MAX recovery_names_max: usize = 10000,
            /// Lifetimes are shortened at random by up to this share, from 0 (not at all) to below
            /// 1: entries that are stored together do not expire together.
            JITTER jitter: f64 = 0.05,
            /// The most background refreshes of this process at once, because each may hold a
            /// connection to a database. A stale value beyond them is served without a refresh, and
            /// the next call tries again. 0: callers load stale values themselves.
            REFRESHES_MAX refreshes_max: usize = 64,
            /// The size of the embedded store, indexes included. The least recently used entries
            /// give way.
            MEMORY_BYTES_MAX memory_bytes_max: usize = 64 MiB,
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
            $(pub(crate) $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { namespace: "cache".to_owned(), $($name: $default,)* }
            }
        }
    };
}

settings!(config);

/// Shortest duration that may be set: the unit of stored times, of leases and of timers.
pub(crate) const DURATION_MIN: Duration = Duration::from_millis(1);
/// Longest duration that a text may say, in a configuration file as in an attribute, and that a
/// longer setting or lifetime counts as: times are added to a clock in ms, and a century leaves
/// room.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(36_525 * 86_400);
/// Connections of each runtime: a server lets 10,000 in by default, and one feeds a core.
pub(crate) const CONNECTIONS_MAX: usize = 1_024;
/// Tokio runtimes that have connections at the same time; calls of further ones go past the store.
/// A process has one, or one for each core; at this number something starts runtimes and never ends
/// them.
pub(crate) const RUNTIMES_MAX: usize = 256;
/// Longest name (key, tag or pattern) in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 1_024;
/// Longest logical key that is spelled out; a longer one ends in a digest. Readable in a terminal,
/// and a small share of what an entry costs.
pub(crate) const KEY_BYTES_MAX: usize = 120;
/// Deepest nesting of one key parameter; beyond it the call is not cached. A hostile argument must
/// not end the process.
pub(crate) const KEY_DEPTH_MAX: usize = 128;
/// Values of each type that a function's first fills try: decoded again before they are stored, and
/// compared. What changes every value shows at the first; what takes a `None` or a rare variant,
/// within a few.
pub(crate) const TRIED_FIRST: u32 = 16;
/// One fill in so many is tried after them. A trial costs a few times what encoding costs, so this
/// is a twentieth of it.
pub(crate) const TRIED_ONE_IN: u32 = 64;
/// Deepest nesting down to which a value is compared with what its stored bytes decode to. JSON has
/// 127 levels, of which each may hold a few options and newtypes; the comparison must leave room on
/// the stack of a thread.
pub(crate) const COMPARED_DEPTH_MAX: usize = 512;
/// Deepest nesting that a type fingerprint looks at.
pub(crate) const SHAPE_DEPTH_MAX: usize = 32;
/// Most values that the walks over one type ask for: a few milliseconds, once per type. What lies
/// beyond does not count.
pub(crate) const SHAPE_STEPS_MAX: usize = 20_000;
/// Names sent in one invalidation chunk.
pub(crate) const INVALIDATE_NAMES_PER_CHUNK: usize = 256;
/// Members one invalidation script visits: about 6 µs each, so a chunk stays near 2 ms.
pub(crate) const INVALIDATE_MEMBERS_PER_CHUNK: usize = 300;
/// Keys one pattern page looks at.
pub(crate) const SWEEP_KEYS_PER_PAGE: usize = 300;
/// Indexes, members and dependents that one call of the background looks at to reap: about a
/// millisecond.
pub(crate) const REAP_LOOKS_MAX: usize = 1_000;
/// Its pause between two such calls: a backlog takes a tenth of the server's time at most.
pub(crate) const REAP_PAUSE: Duration = Duration::from_millis(10);
/// It comes back about every [`FENCE_RETENTION`], which is when something may have come due: not
/// more often, nor less, than this when that was set.
pub(crate) const REAP_PERIOD_MIN: Duration = Duration::from_millis(100);
pub(crate) const REAP_PERIOD_MAX: Duration = Duration::from_secs(3_600);
/// Memberships one fill registers in a script; further ones are registered by scripts of their own
/// before it.
pub(crate) const FILL_NAMES_PER_STEP: usize = 256;
/// A value from this size on is staged under a temporary key and renamed: a script would copy it
/// through Lua.
pub(crate) const STAGED_BYTES_MIN: usize = 64 << 10;
/// What an adaptive TTL may keep of one key: its state is 41 bytes today, and whatever else lies
/// there is not read further.
pub(crate) const LEARNED_BYTES_MAX: usize = 64;
/// How long it is kept at most: Redis refuses a TTL beyond its clock.
pub(crate) const LEARNED_TTL_MAX: Duration = Duration::from_secs(36_525 * 86_400);
/// Fences kept at most; the oldest beyond it are dropped into the floor.
pub(crate) const FENCES_MAX: usize = 100_000;
/// Part of them that fences may take, one in so many: what is invalidated must not push out what is
/// read.
pub(crate) const MEMORY_FENCES_SHARE: usize = 4;
/// Part of them that what adaptive TTLs have learned may take, one in so many.
pub(crate) const MEMORY_LEARNED_SHARE: usize = 8;
/// Expired entries, dead members and ended leases that one operation of the embedded store
/// collects, beside twice as many memberships as it adds: collecting is faster than storing, so
/// nothing accumulates although nothing runs in the background.
pub(crate) const MEMORY_REAPED_PER_OPERATION: usize = 16;
/// Dependents looked at to see whether a dead member leads to something alive; beyond it the member
/// stays for another while.
pub(crate) const MEMORY_DEPENDENTS_LOOKED_AT: usize = 64;
/// Memberships that cost a chunk as much as one more member: an entry may have thousands of them to
/// leave.
pub(crate) const MEMORY_MEMBERSHIPS_PER_VISIT: usize = 16;
/// Tokio runtimes that are remembered to have no timers: asking is a panic that is caught. Beyond
/// it the one that was met first is asked again.
pub(crate) const TIMERLESS_RUNTIMES_MAX: usize = 64;
/// Memberships of one removed entry that end at once; the others by work on record. About a
/// millisecond.
pub(crate) const MEMORY_NAMES_LEFT_AT_ONCE: usize = 2_048;
/// Shortest and longest delay before a lost connection is tried again: a full outage costs a few
/// packets a second, and its end is noticed within two seconds.
pub(crate) const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
pub(crate) const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// How often a server is asked whether it is there and still a primary, by one connection for all
/// that lead to it: two small commands a second for each process.
pub(crate) const PRIMARY_ASK_INTERVAL: Duration = Duration::from_millis(500);
/// How long it counts that it said yes, from when it was asked: two intervals, so that one slow
/// answer changes nothing. For so long a server that was made a replica may go on serving hits.
pub(crate) const PRIMARY_TRUST: Duration = Duration::from_secs(1);
/// After how long without a reply a connection is asked whether it is still there, and how long it
/// may take to answer: a half-open socket is replaced within both and one [`PRIMARY_ASK_INTERVAL`].
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Calls without an answer, and none answered since, that have a connection replaced.
pub(crate) const UNANSWERED_CALLS_MAX: u32 = 3;
/// Commands waiting to be written to one connection; more callers wait in line.
pub(crate) const COMMANDS_QUEUED_MAX: usize = 256;
/// When the kernel gives up a peer that acknowledges nothing: a second line behind our questions,
/// for a runtime that is stuck.
pub(crate) const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// When the kernel starts to probe a silent peer.
pub(crate) const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
/// How long past its own deadline a supervisor may be silent before it counts as dead: its runtime
/// may be starved, or no longer polled by anyone.
pub(crate) const SUPERVISOR_SLACK: Duration = Duration::from_secs(1);
/// Shortest and longest delay before an open breaker lets one call try the store.
pub(crate) const BREAKER_PROBE_DELAY_MIN: Duration = Duration::from_millis(100);
pub(crate) const BREAKER_PROBE_DELAY_MAX: Duration = Duration::from_secs(5);
/// How long one such call may hold the right to try: far above any operation deadline.
pub(crate) const BREAKER_PROBE_LEASE: Duration = Duration::from_secs(5);
/// Prefixes counted apart; further ones share one line of the statistics.
pub(crate) const STATS_PREFIXES_MAX: usize = 1_024;
/// How far another host's clock may be off before its stored expiry is believed over the store's
/// own TTL.
pub(crate) const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// Keys with a load in flight that callers of one process share; beyond it callers share through
/// the lease alone.
pub(crate) const FLIGHTS_MAX: usize = 65_536;
/// Most callers of one process that load one key at once after loads of it failed: a source that is
/// down is not asked by everyone, and 250 callers of a load that fails within 100 ms still end
/// within two seconds.
pub(crate) const FAILED_LOADS_AT_ONCE: u32 = 16;
/// How long after a refresh that failed the next one of the key may begin in the same process.
pub(crate) const REFRESH_RETRY_PAUSE: Duration = Duration::from_millis(250);
/// First and longest pause between two looks at another process's lease: short loads are met soon,
/// long ones not asked for more than ten times a second.
pub(crate) const LEASE_POLL_MIN: Duration = Duration::from_millis(4);
pub(crate) const LEASE_POLL_MAX: Duration = Duration::from_millis(100);
/// Longest pause between two such looks while the store is to say when something changes: what a
/// lost push costs.
pub(crate) const WATCHED_POLL: Duration = Duration::from_millis(250);
/// Calls that wait for a change, for each connection; further ones look at the lease again and
/// again. Each costs the server two tracked keys, of which it keeps a million by default.
pub(crate) const WATCHES_MAX: usize = 4_096;
/// Keys that a batch asks for in one command: a reply of small values takes the server well under a
/// millisecond.
pub(crate) const BATCH_GET_KEYS: usize = 512;
/// The same while this process has not seen a value of the prefix; twice as many each time that
/// none is found.
pub(crate) const BATCH_GET_KEYS_UNSEEN: usize = 128;
/// What the reply to such a command is to hold, judged by the values seen before, and what the
/// fills under way hold: a few milliseconds of the server and of the connection, which others use
/// as well. One value may be more.
pub(crate) const BATCH_BYTES: usize = 4 << 20;
/// Leases, fills and waits of one batch that are under way at the same time: enough to fill a
/// pipeline, and half of [`COMMANDS_QUEUED_MAX`], so that single calls find room beside it. All
/// that the store answers for so many keys may take one operation deadline.
pub(crate) const BATCH_WINDOW: usize = 128;
/// Longest time one invalidation goes on by itself; what is left then is retried in the background.
/// At 300 members a chunk of 2 ms this is a cascade of nine million entries.
pub(crate) const INVALIDATE_DEADLINE: Duration = Duration::from_secs(60);
/// First and longest pause between two attempts at a failed invalidation.
pub(crate) const RECOVERY_PAUSE_MIN: Duration = Duration::from_millis(100);
pub(crate) const RECOVERY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Most names, and most patterns, of an invalidation that is written down: a row of an outbox stays
/// readable, and beyond it a tag says the same.
pub(crate) const INVALIDATION_NAMES_MAX: usize = 10_000;
/// Warmers and loaders that run at once: most of a connection pool is left to visitors.
pub(crate) const WARM_CONCURRENCY: usize = 4;
/// Longest time one warmer, or one call of a loader, may take: far above any query that is worth
/// its warming, and what hangs gives its place back within one round of a usual schedule.
pub(crate) const WARM_TIME_LIMIT: Duration = Duration::from_secs(300);
/// Keys in one call of a batch loader: no more than one `MGET` asks for, and below what databases
/// allow in one `IN (…)` list.
pub(crate) const WARM_BATCH_MAX: usize = 500;
/// Keys in one run of a warmer, which are held in memory until it ends.
pub(crate) const WARM_KEYS_MAX: usize = 100_000;
/// Errors of one run that are kept and logged; further ones are counted.
pub(crate) const WARM_ERRORS_MAX: usize = 100;
/// How long a run waits for a store that is not there, before it gives up without having loaded
/// anything: a few attempts to connect, for a run often comes right after the start.
pub(crate) const WARM_READY_WAIT: Duration = Duration::from_secs(5);
/// Shortest pause between two scheduled runs.
pub(crate) const WARM_PAUSE_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;

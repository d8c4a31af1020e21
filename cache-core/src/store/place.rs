//! What lies where in a server, for programs that look at the server themselves.

/// What a cache keeps under one key of its server: see
/// [`Cache::physical_key`](crate::Cache::physical_key).
///
/// Only values may be read by other programs, and nothing may be written: an entry without its
/// memberships is one that no invalidation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKey<'a> {
    /// The entry of a logical key: a string.
    Value(&'a str),
    /// The keys of the entries that depend on the entry of a logical key: a sorted set, scored by
    /// when each expires, in ms of Unix time.
    Dependents(&'a str),
    /// The keys of the entries that have a tag: likewise.
    Tagged(&'a str),
    /// The clock, with the fences: a sorted set. Of a cluster, that of the first partition.
    Clock,
    /// The clock of one partition of a cluster, by its number from 0: likewise.
    ClockOf(u16),
    /// On a cluster, how many partitions the namespace has: a string.
    Partitions,
    /// What has to be reaped, by when: a sorted set.
    Due,
}

//! What a readiness probe or a dashboard asks.

/// The state of a cache as this process knows it, without asking the store. Made by [`Cache::health`](crate::Cache::health).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The store failed repeatedly: calls go past it, and a probe now and then finds out when it is back.
    pub breaker_open: bool,
    /// An invalidation failed and is being retried; this process bypasses what it names until it has succeeded.
    pub owes_invalidations: bool,
    /// The server runs an `allkeys-*` eviction policy: it may drop an index while entries that are reached through it live, and
    /// an invalidation would then miss them. Use `volatile-*` or `noeviction`.
    pub evicts_bookkeeping: bool,
}

impl Health {
    /// Nothing is wrong.
    pub fn is_good(&self) -> bool {
        *self == Self::default()
    }
}

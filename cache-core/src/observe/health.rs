//! What a readiness probe or a dashboard asks.

/// The state of a cache as this process knows it, without asking the store. Made by
/// [`Cache::health`](crate::Cache::health).
///
/// A cache that is [disabled](crate::Cache::disabled) or [in memory](crate::Cache::in_memory) is
/// always well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// No connection to the server stands: none was made yet, or all were lost. They are made in
    /// the background, whether or not anything is called; until then calls go past the store.
    pub disconnected: bool,
    /// The store failed repeatedly: calls go past it. Probes in the background find out when it is
    /// back, also where nothing is called: at once over a new connection, within a few seconds over
    /// one that stood.
    pub breaker_open: bool,
    /// An invalidation failed and is being retried; this process bypasses what it names until it
    /// has succeeded.
    pub owes_invalidations: bool,
    /// The server runs an `allkeys-*` eviction policy: it may drop an index while entries that are
    /// reached through it live, and an invalidation would then miss them. Use `volatile-*` or
    /// `noeviction`.
    pub evicts_bookkeeping: bool,
}

impl Health {
    /// Nothing is wrong. Calls are answered either way: a process that can do without the cache for
    /// a while need not be taken out of service.
    pub fn is_good(&self) -> bool {
        *self == Self::default()
    }
}

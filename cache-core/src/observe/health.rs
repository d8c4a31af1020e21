//! The state of a cache, for readiness probes and dashboards.

/// The state of a cache as this process knows it, without asking the store. Made by
/// [`Cache::health`](crate::Cache::health).
///
/// A cache that is [disabled](crate::Cache::disabled) or [in memory](crate::Cache::in_memory) is
/// always well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// No connection to the server is open: none was made yet, or all were lost. The cache connects
    /// in the background, whether or not there are calls; until a connection is open, calls go past
    /// the store. Each tokio runtime has connections of its own: these are those of the runtime
    /// that asks, and outside of a runtime those of any.
    pub disconnected: bool,
    /// The store failed repeatedly, and calls go past it. Probes in the background find out when
    /// the store is back, also without calls: at once over a new connection, within a few seconds
    /// over a connection that stayed open.
    pub breaker_open: bool,
    /// An invalidation failed and is being retried. Until it has succeeded, this process bypasses
    /// the names in it.
    pub owes_invalidations: bool,
    /// The server has an `allkeys-*` eviction policy. It may drop an index and keep entries that
    /// are reached only through that index; an invalidation would then miss those entries. Use
    /// `volatile-*` or `noeviction`.
    pub evicts_bookkeeping: bool,
    /// This process has met a key of the cache's bookkeeping that another program had overwritten
    /// with a value of another type, and has replaced it. The log says at ERROR what kind of key it
    /// was. Give that program keys outside of the cache's namespace. It stays true for the life of
    /// the cache.
    pub overwritten_bookkeeping: bool,
    /// Copies in this process (`near`) are kept and not served now, but for those that another
    /// runtime keeps: an invalidation of this process is owed, or the connection that tells of
    /// changes is not open, or has not answered within the last second. Calls ask the store.
    pub bypasses_copies: bool,
}

impl Health {
    /// Whether nothing of the above is the case. Calls are answered either way: a process that can
    /// do without the cache for a while need not be taken out of service.
    pub fn is_good(&self) -> bool {
        *self == Self::default()
    }
}

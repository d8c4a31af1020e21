//! The state of a cache, as metrics show it.

use super::memory_use::MemoryUse;

/// What a cache is at the moment of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheState {
    /// Names and patterns of failed invalidations.
    pub(crate) owed: u64,
    pub(crate) is_breaker_open: bool,
    /// `None`: the store has no connections.
    pub(crate) links: Option<StoreLinks>,
    pub(crate) memory: Option<MemoryUse>,
}

/// The connections of a store, and what was learned over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreLinks {
    /// Those that stand, of every runtime.
    pub(crate) standing: u64,
    /// How many times one was made anew after it had been lost.
    pub(crate) remade: u64,
    /// As in [`Health`](super::Health).
    pub(crate) evicts_bookkeeping: bool,
    /// As in [`Health`](super::Health).
    pub(crate) overwritten_bookkeeping: bool,
}

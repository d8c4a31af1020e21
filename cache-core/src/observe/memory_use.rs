//! Gauges of the embedded store.

/// What the embedded store holds at this moment. Made by [`Cache::memory`](crate::Cache::memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Stored entries, of all prefixes. An entry whose TTL has ended counts until it is collected,
    /// which later operations do.
    pub entries: u64,
    /// What they take, with keys, tags and bookkeeping, in bytes: an estimate of what is requested
    /// of the allocator, with 16 bytes for each allocation. It differs from the truth by 15 % at
    /// most.
    pub bytes: u64,
    /// What they may take: [`memory_bytes_max`](crate::Builder::memory_bytes_max).
    pub bytes_max: u64,
    /// Entries that had to give way to others since the cache was made.
    pub evictions: u64,
}

impl MemoryUse {
    /// Adds what another part of the same store holds.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { entries, bytes, bytes_max, evictions } = other;
        self.entries += entries;
        self.bytes += bytes;
        self.bytes_max += bytes_max;
        self.evictions += evictions;
    }
}

//! What a walk over the keys visits.

/// Which keys a pattern walk visits. A walk visits all values first, then the indexes. An index can
/// gain a stale dependent only while the entry that it names is still there, and then the first
/// walk meets that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SweepScope {
    /// Entries whose logical key matches.
    Values,
    /// Indexes of the dependents of matching keys, whether or not the entry itself is still there.
    Dependents,
    /// Every index, of keys and of tags; the pattern is not looked at. For `clear`.
    AllIndexes,
}

//! The reasons for which values are not stored.

use super::whole::labels;

labels! {
    /// Why a value that was loaded or written is not in the store.
    enum NotStored {
        /// It is not meant to be: an `Err`, a `None` without `negative_ttl`, a TTL of zero, or
        /// `when` said no.
        NotWanted = "not_wanted",
        /// No clock reading proves the value current: the store failed, or the cache was bypassed.
        NoReading = "no_reading",
        /// It cannot be encoded.
        Unencodable = "unencodable",
        /// Its seal failed.
        Unsealable = "unsealable",
        /// Its bytes cannot be decoded.
        Undecodable = "undecodable",
        /// Its bytes decode to another value.
        Changed = "changed",
        /// It is larger than `value_bytes_max`.
        TooLarge = "too_large",
        /// Another function would be served it.
        PrefixContested = "prefix_contested",
        /// It has more names than `names_max`, inherited ones included.
        TooManyNames = "too_many_names",
        /// One of its names cannot be spelled, or its dependencies lead to too many others, so an
        /// invalidation could not reach it.
        NameUnspelled = "name_unspelled",
        /// Its key cannot be encoded.
        KeyUnspelled = "key_unspelled",
        /// It was made from another cache's entries.
        OfAnotherCache = "of_another_cache",
        /// It was made from a value past its TTL that stood in for a load that failed.
        MadeFromStale = "made_from_stale",
        /// A written value was made from the entry that it replaces: nothing tells a read before
        /// the write from one after it.
        MadeFromItself = "made_from_itself",
        /// Its key, a tag or a dependency was invalidated while it was loaded.
        Invalidated = "invalidated",
        /// Its key, a tag or a dependency is closed around a change.
        Closed = "closed",
        /// It was invalidated while it was loaded, by its own load, not for the first time.
        InvalidatesItself = "invalidates_itself",
        /// An invalidation by pattern, or of everything, ran while it was loaded.
        FloorRaised = "floor_raised",
        /// The store lost its clock while it was loaded.
        ClockLost = "clock_lost",
        /// The load took longer than invalidations are remembered (`fence_retention`).
        TooOld = "too_old",
        /// The store's memory is full.
        MemoryFull = "memory_full",
        /// The tenant has as many entries as it may (`tenant_entries_max`).
        QuotaReached = "quota_reached",
        /// The store did not answer.
        Unanswered = "unanswered",
    }
}

/// How often a reason has kept values from being stored. Made by
/// [`PrefixStats::unstored_by_reason`](crate::PrefixStats::unstored_by_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnstoredReason {
    /// The reason as the metric `cache_fills_total` calls it: `invalidated`.
    pub reason: &'static str,
    /// What happened to the value, in words.
    pub words: &'static str,
    /// What to do about it; `None`: it is no mistake.
    pub way_out: Option<&'static str>,
    /// How many values it was.
    pub count: u64,
}

const WHAT_IS_LOST: &str = "give the part that its codec does not hold a type of its own: see docs/what-json-loses.md";

impl NotStored {
    /// The reason to log, and the way out; `None`: it is no mistake.
    pub(super) fn advice(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Unencodable => (
                "they cannot be encoded",
                "see whether their `Serialize` fails, and what their codec refuses: docs/codecs.md",
            ),
            Self::Unsealable => ("their seal fails", "see why the `seal` of your `Seal` fails"),
            Self::Undecodable => ("their bytes cannot be read back", WHAT_IS_LOST),
            Self::Changed => ("their bytes read back as other values", WHAT_IS_LOST),
            Self::TooLarge => ("they are too large", "raise `value_bytes_max`, or cache their parts"),
            Self::NameUnspelled => (
                "a tag or a dependency of theirs cannot be spelled, or leads to too many others",
                "see the rules for names, and those for `depends_on`",
            ),
            Self::KeyUnspelled => ("their key cannot be encoded", "see whether the `Serialize` of a parameter fails"),
            Self::OfAnotherCache => {
                ("they were made from another cache's entries", "give both functions one cache, such as one `context`")
            }
            Self::MadeFromStale => (
                "they were made from a value that stood in for a failed load",
                "they are stored when that load succeeds",
            ),
            Self::MadeFromItself => ("they were made from the entry that they replace", "read around the cache"),
            Self::InvalidatesItself => {
                ("each load of them invalidates what they are made from", "invalidate outside of the function")
            }
            Self::TooOld => ("their loads take too long", "raise `fence_retention`, or load less at once"),
            Self::MemoryFull => {
                ("the server's memory is full", "raise its `maxmemory`, or have it evict with a `volatile-*` policy")
            }
            Self::QuotaReached => {
                ("their tenant has as many entries as it may", "raise `tenant_entries_max`, or shorten lifetimes")
            }
            Self::NotWanted | Self::NoReading | Self::Unanswered => return None,
            Self::TooManyNames | Self::PrefixContested => return None,
            Self::Invalidated | Self::Closed | Self::FloorRaised | Self::ClockLost => return None,
        })
    }

    /// All reasons that came up, each with how often.
    pub(super) fn counted(counts: &[u64; Self::LABELS.len()]) -> impl Iterator<Item = UnstoredReason> + use<> {
        let counts = Self::EACH.into_iter().zip(*counts).filter(|(_, count)| *count > 0);
        counts.map(|(reason, count)| UnstoredReason {
            reason: reason.label(),
            words: reason.words(),
            way_out: reason.way_out(),
            count,
        })
    }

    /// What happened to the value, for who asks about its key.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotWanted => "it is not meant to be: an Err, a None without negative_ttl, a TTL of zero, or `when`",
            Self::NoReading => "nothing proved it current: the store failed, or the cache was bypassed",
            Self::Unencodable => "it cannot be encoded",
            Self::Unsealable => "its seal failed",
            Self::Undecodable => "its bytes cannot be read back",
            Self::Changed => "its bytes read back as another value",
            Self::TooLarge => "it is larger than value_bytes_max",
            Self::PrefixContested => "another function caches under its prefix",
            Self::TooManyNames => "it has more names than names_max",
            Self::NameUnspelled => "a tag or a dependency cannot be spelled, or leads to too many others",
            Self::KeyUnspelled => "its key cannot be encoded",
            Self::OfAnotherCache => "it was made from another cache's entries",
            Self::MadeFromStale => "it was made from a value that stood in for a failed load",
            Self::MadeFromItself => "it was made from the entry that it replaces",
            Self::Invalidated => "its key, a tag or a dependency was invalidated while it was loaded",
            Self::Closed => "its key, a tag or a dependency is closed around a change",
            Self::InvalidatesItself => "its own load invalidates what it is made from",
            Self::FloorRaised => "a pattern, or everything, was invalidated while it was loaded",
            Self::ClockLost => "the store lost its clock while it was loaded",
            Self::TooOld => "the load took longer than fence_retention",
            Self::MemoryFull => "the server's memory is full",
            Self::QuotaReached => "its tenant has as many entries as it may",
            Self::Unanswered => "the store did not answer",
        }
    }

    /// What to do about it; `None`: it is no mistake.
    pub(crate) fn way_out(self) -> Option<&'static str> {
        self.advice().map(|(_, way_out)| way_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_that_came_up_are_told_with_what_to_do_about_them() {
        let mut counts = [0; NotStored::LABELS.len()];
        counts[NotStored::Invalidated as usize] = 3;
        counts[NotStored::TooLarge as usize] = 1;
        let [large, invalidated] = NotStored::counted(&counts).collect::<Vec<_>>()[..] else { panic!("two reasons") };
        assert_eq!((large.reason, large.count, large.way_out.is_some()), ("too_large", 1, true));
        assert_eq!((invalidated.reason, invalidated.count, invalidated.way_out), ("invalidated", 3, None));
        assert_eq!(invalidated.words, NotStored::Invalidated.words());
    }
}

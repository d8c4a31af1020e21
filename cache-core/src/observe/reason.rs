//! The reasons why a value is not stored, in words.

use super::NotStored;

impl NotStored {
    /// What happened to the value, for who asks about its key.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotWanted => "it is not meant to be: an Err, a None without negative_ttl, a TTL of zero, or `when`",
            Self::NoReading => "nothing proved it current: the store failed, or the cache was bypassed",
            Self::Unencodable => "it cannot be encoded",
            Self::Undecodable => "its JSON cannot be read back",
            Self::Changed => "its JSON reads back as another value",
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
            Self::Unanswered => "the store did not answer",
        }
    }

    /// What to do about it; `None`: it is no mistake.
    pub(crate) fn way_out(self) -> Option<&'static str> {
        self.advice().map(|(_, way_out)| way_out)
    }
}

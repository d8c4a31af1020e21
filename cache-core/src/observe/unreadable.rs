//! The reasons for which stored bytes are not served.

use super::whole::labels;

labels! {
    /// Why stored bytes are no answer to a call: a miss, and then stored over.
    enum Unreadable {
        /// They end too early.
        Truncated = "truncated",
        /// They are no entry, or of a format that is unknown here.
        Foreign = "foreign",
        /// They contradict themselves, or do not match their checksum.
        Corrupt = "corrupt",
        /// They are of another type, or of another version of it.
        OtherType = "other_type",
        /// They were stored under a text key, without the tags of the function.
        ByText = "by_text",
        /// They were written by a codec that this process does not have.
        UnknownCodec = "unknown_codec",
        /// They are compressed in a way that this process does not have.
        UnknownCompression = "unknown_compression",
        /// They say that they inflate to more than `inflated_bytes_max`.
        InflatesTooFar = "inflates_too_far",
        /// They do not inflate.
        Uninflatable = "uninflatable",
        /// They are sealed with a key that this process does not have.
        UnknownKey = "unknown_key",
        /// They were not sealed with the key that they name, or not for this entry.
        Unopened = "unopened",
        /// They are not sealed, and this cache has a seal.
        Unsealed = "unsealed",
        /// The codec does not read them as a value of the type.
        Undecodable = "undecodable",
    }
}

/// How often stored bytes were not served for one reason. Made by
/// [`PrefixStats::bad_entries_by_reason`](crate::PrefixStats::bad_entries_by_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadEntryReason {
    /// The reason as the metric `cache_bad_entries_total` calls it: `unknown_codec`.
    pub reason: &'static str,
    /// What is the matter with the bytes, in words.
    pub words: &'static str,
    /// How often it was.
    pub count: u64,
}

impl Unreadable {
    /// All reasons that came up, each with how often.
    pub(super) fn counted(counts: &[u64; Self::LABELS.len()]) -> impl Iterator<Item = BadEntryReason> + use<> {
        let counts = Self::EACH.into_iter().zip(*counts).filter(|(_, count)| *count > 0);
        counts.map(|(reason, count)| BadEntryReason { reason: reason.label(), words: reason.words(), count })
    }

    /// What is the matter with the bytes, for who asks about their key.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Truncated => "they end too early",
            Self::Foreign => "they are no entry, or of a format that is unknown here",
            Self::Corrupt => "they contradict themselves, or do not match their checksum",
            Self::OtherType => "they are of another type, or of another version of it",
            Self::ByText => "they were stored under a text key, without the tags of the function",
            Self::UnknownCodec => "they were written by a codec that this process does not have",
            Self::UnknownCompression => "they are compressed in a way that this process does not have",
            Self::InflatesTooFar => "they say that they inflate to more than inflated_bytes_max",
            Self::Uninflatable => "they do not inflate",
            Self::UnknownKey => "they are sealed with a key that this process does not have",
            Self::Unopened => "they were not sealed with the key that they name, or not for this entry",
            Self::Unsealed => "they are not sealed, and this cache has a seal",
            Self::Undecodable => "the codec does not read them as a value of the type",
        }
    }
}

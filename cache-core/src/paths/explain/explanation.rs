//! An explanation, as plain data.

use serde::Serialize;

/// What is known of one key. Made by [`Cache::explain`](crate::Cache::explain).
///
/// `Display` writes it for people, `Serialize` for programs. It holds neither the value nor a
/// credential. All times are of the store's clock, and end in their unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The logical key: prefix and parts, with `:` between them.
    pub key: String,
    /// What stands before the first `:`.
    pub prefix: String,
    /// What stands after it, as the key spells it. [`unescape_part`](crate::unescape_part) reads
    /// one back. A part of a long key is a hash.
    pub parts: Vec<String>,
    /// The key as the server has it; `None`: there is no server.
    pub physical_key: Option<String>,
    /// The entry; `None`: there is none, or what is there is foreign.
    pub entry: Option<EntryExplanation>,
    /// Something is stored under the key that is no entry this version can read: a miss.
    pub is_foreign: bool,
    /// The key's own name, then the tags and dependencies of the entry, 256 at most. An entry does
    /// not say which of them its function has declared, and which it has inherited from the calls
    /// inside it.
    pub names: Vec<NameExplanation>,
    /// How many tags and dependencies the entry has.
    pub entry_names: u64,
    /// Fills are refused whose loads began before this point of the sequence, whatever their names:
    /// a pattern or everything was invalidated then, or older fences were forgotten.
    pub floor: u64,
    /// How long ago that was.
    pub floor_ago_ms: u64,
    /// How many entries depend on this one. Those that have expired count until they are reaped.
    pub dependents: u64,
    /// The first 50 of them.
    pub first_dependents: Vec<DependentExplanation>,
    /// How many other partitions of a cluster did not answer: what depends on the entry there is
    /// missing. 0 without a cluster.
    pub unanswered_partitions: u16,
    /// Who loads the key; `None`: nobody.
    pub lease: Option<LeaseExplanation>,
    /// A call of this process loads the key, with or without the lease.
    pub is_loading_here: bool,
    /// What its `adaptive_ttl` has learned.
    pub adaptive_ttl: Option<AdaptiveExplanation>,
    /// Why this process did not serve what was stored under the key; `None`: it did, or it has
    /// stored another value since, or that is forgotten: 1,024 keys are remembered.
    pub unreadable: Option<UnreadableExplanation>,
    /// Why the last value that this process has loaded or written was not stored; `None`: it was,
    /// or there was none, as after a load that failed, or that is forgotten: 1,024 keys are
    /// remembered.
    pub unstored: Option<UnstoredExplanation>,
}

/// A stored entry, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntryExplanation {
    /// Its size: header, names, value and checksum.
    pub bytes: u64,
    /// The size of its encoded value.
    pub payload_bytes: u64,
    /// The version of the format.
    pub format: u8,
    /// How its value is encoded.
    pub codec: String,
    /// How its value is compressed; `None`: it is not.
    pub compression: Option<String>,
    /// Its value is sealed, and the size of that is told.
    pub is_sealed: bool,
    /// The version of its type, in hex. Of another version, a call has an entry beside it.
    pub fingerprint: String,
    /// It says that there is no value (`negative_ttl`).
    pub is_negative: bool,
    /// It was stored under a text key, and no function serves it.
    pub is_by_text: bool,
    /// How long ago it was stored.
    pub age_ms: u64,
    /// How long it is fresh yet (soft TTL); 0: it is served only as stale, if its function allows.
    pub fresh_for_ms: u64,
    /// How long the store keeps it yet (hard TTL).
    pub kept_for_ms: u64,
    /// How long its load took.
    pub load_us: u32,
}

/// A name of an entry, and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NameExplanation {
    /// Whether it is a key or a tag.
    pub kind: NameKind,
    /// The key or the tag.
    pub text: String,
    /// The point of the sequence at which it was last invalidated; `None`: not within the
    /// `fence_retention`, or the floor has passed it since.
    pub fence: Option<u64>,
    /// How long ago that was.
    pub fence_ago_ms: Option<u64>,
    /// How many operations keep it [closed](crate::Cache::close): nothing with this name is stored.
    pub closed_by: u64,
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NameKind {
    /// An entry.
    Key,
    /// A group of entries.
    Tag,
}

/// An entry that depends on the one that is explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DependentExplanation {
    /// Its logical key.
    pub key: String,
    /// Whether it is there.
    pub is_stored: bool,
}

/// The right to load a key, which some call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeaseExplanation {
    /// When it ends, unless its holder renews it.
    pub remaining_ms: u64,
    /// How long ago it was taken, or taken over.
    pub held_ms: u64,
    /// How often it was taken over from a load that took too long.
    pub takeovers: u64,
    /// The key was invalidated or closed meanwhile: it keeps nobody from loading.
    pub is_overtaken: bool,
}

/// What an `adaptive_ttl` goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AdaptiveExplanation {
    /// The TTL of the last value that was stored, before jitter.
    pub ttl_ms: u64,
    /// How long ago its load began.
    pub loaded_ago_ms: u64,
}

/// Why a value was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnstoredExplanation {
    /// The reason, in words.
    pub reason: String,
    /// What to do about it; `None`: it is no mistake.
    pub way_out: Option<String>,
    /// How long ago that was, by this process's clock.
    pub ago_ms: u64,
}

/// Why stored bytes were not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadableExplanation {
    /// The reason, in words.
    pub reason: String,
    /// How long ago that was, by this process's clock.
    pub ago_ms: u64,
}

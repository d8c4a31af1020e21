//! What a store knows of one key, for an explanation.

use bytes::Bytes;

use crate::config::EXPLAIN_DEPENDENTS_MAX;
use crate::name::Name;

/// Everything that lies under one key and beside it, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    /// The key as the server has it; `None`: there is no server.
    pub(crate) physical_key: Option<String>,
    /// The store's wall time.
    pub(crate) now_ms: u64,
    /// The beginning of what is stored, header and names at least.
    pub(crate) head: Option<Bytes>,
    /// How long the store keeps it yet.
    pub(crate) kept_ms: u64,
    /// Every load that began before this point of the sequence is refused, whatever its names.
    pub(crate) floor: u64,
    /// The key's own name, then those of the entry, `EXPLAIN_NAMES_MAX` at most.
    pub(crate) names: Vec<NameFacts>,
    /// How many names the entry has.
    pub(crate) entry_names: u64,
    /// How many entries depend on the key, expired ones that were not reaped included.
    pub(crate) dependents: u64,
    /// `EXPLAIN_DEPENDENTS_MAX` of these, and whether each is stored.
    pub(crate) first_dependents: Vec<(Box<str>, bool)>,
    /// How many partitions did not say what depends on the key there.
    pub(crate) unanswered_partitions: u16,
    pub(crate) lease: Option<LeaseFacts>,
    /// What earlier fills taught about the key.
    pub(crate) learned: Option<Bytes>,
}

impl KeyFacts {
    /// Adds what depends on the key in another partition than its own.
    pub(crate) fn add_dependents(&mut self, elsewhere: Self) {
        self.dependents += elsewhere.dependents;
        self.first_dependents.extend(elsewhere.first_dependents);
        self.first_dependents.truncate(EXPLAIN_DEPENDENTS_MAX);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameFacts {
    pub(crate) name: Name,
    /// The point of the sequence at which it was last invalidated, if that is still known.
    pub(crate) fence: Option<u64>,
    /// How many operations have closed it.
    pub(crate) marks: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseFacts {
    pub(crate) remaining_ms: u64,
    /// How long ago it was taken, or taken over.
    pub(crate) held_ms: u64,
    pub(crate) takeovers: u64,
    /// The fill of its holder will be refused, so it keeps nobody from loading.
    pub(crate) is_overtaken: bool,
}

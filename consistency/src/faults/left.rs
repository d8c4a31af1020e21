//! What is left in the server when everything was cleared.

use std::time::Duration;

/// The most that is left for good when everything is cleared: the clock, without fences but for a
/// few dozen until the next invalidation.
const LEFT_KEYS_MAX: u64 = 1;
const LEFT_BYTES_MAX: u64 = 4_096;

/// What was found in the server when everything was cleared.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) partitions: u16,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    /// The first of those that are not to stay.
    pub(crate) examples: Vec<String>,
    /// How long the rest took to go.
    pub(crate) after: Duration,
}

impl Default for Left {
    fn default() -> Self {
        Self { partitions: 1, keys: 0, bytes: 0, examples: Vec::new(), after: Duration::ZERO }
    }
}

impl Left {
    /// What another node has.
    pub(crate) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.after = other.after;
    }

    /// What it is, if it is not to stay.
    pub(super) fn complaint(&self) -> String {
        if self.holds() { String::new() } else { format!(": {}", self.examples.join(", ")) }
    }

    /// Whether nothing is left but what is to stay. Of several partitions it is told, and no more:
    /// see `cache-core/docs/cluster.md`.
    pub(crate) fn holds(&self) -> bool {
        self.partitions > 1 || self.keys <= LEFT_KEYS_MAX && self.bytes <= LEFT_BYTES_MAX
    }
}

//! The progress and the outcome of a run.

use std::fmt;

use crate::config::WARM_ERRORS_MAX;

/// The progress of a run. A registered warmer counts as one; a warmer that lists keys counts as the
/// keys that it listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmProgress {
    /// The warmers and keys of the run, as far as they are known: the number grows when a warmer
    /// lists keys.
    pub total: u64,
    /// Those whose load returned `Ok`.
    pub done: u64,
    /// Those that ended with an error or a panic, or could not begin.
    pub failed: u64,
}

/// The outcome of a run: `done + failed == total`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Warmed {
    /// The warmers and keys of the run.
    pub total: u64,
    /// Those whose load returned `Ok`. Only the statistics of the cache tell whether the value was
    /// stored.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    errors: Vec<WarmError>,
}

/// Why a warmer or a key failed.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmError {
    /// The name of the warmer, or the key. Of a failed batch, its first key.
    pub name: String,
    /// How many failures this counts for: 1, or the number of keys in the batch.
    pub failed: u64,
    /// What was wrong.
    pub message: String,
}

impl Warmed {
    /// Whether nothing failed.
    pub fn is_complete(&self) -> bool {
        self.failed == 0
    }

    /// The first 100 errors, in the order in which they came. The log has a line a second at WARN
    /// for each prefix and warmer, with how many failed and the last error, and no key.
    pub fn errors(&self) -> &[WarmError] {
        &self.errors
    }

    pub(super) fn progress(&self) -> WarmProgress {
        WarmProgress { total: self.total, done: self.done, failed: self.failed }
    }

    /// Counts a failure, and keeps its message as long as there is room.
    pub(super) fn failed(&mut self, name: String, failed: u64, message: String) {
        self.failed += failed;
        if self.errors.len() < WARM_ERRORS_MAX {
            self.errors.push(WarmError { name, failed, message });
        }
    }
}

impl fmt::Display for WarmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, failed, message } = self;
        match failed {
            0 | 1 => write!(f, "{name}: {message}"),
            _ => write!(f, "{name} and {} more: {message}", failed - 1),
        }
    }
}

impl std::error::Error for WarmError {}

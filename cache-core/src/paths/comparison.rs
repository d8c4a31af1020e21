//! What a load that verifies a hit does with its value.

use std::sync::{Arc, OnceLock};

use crate::entry::Entry;
use crate::error::Error;

/// What the value of a load is compared with, and where the result goes.
pub(crate) struct Comparison {
    entry: Entry,
    /// Whether the entry holds what was loaded; empty: no value came that can be compared.
    is_held: Arc<OnceLock<bool>>,
}

impl Comparison {
    pub(super) fn with(entry: Entry, is_held: Arc<OnceLock<bool>>) -> Self {
        Self { entry, is_held }
    }

    /// The load has returned a value; `is_held` says whether an entry holds that. An error: they
    /// cannot be compared.
    pub(super) fn end(self, is_held: impl FnOnce(&Entry) -> Result<bool, Error>) {
        if let Ok(is_held) = is_held(&self.entry) {
            _ = self.is_held.set(is_held);
        }
    }
}

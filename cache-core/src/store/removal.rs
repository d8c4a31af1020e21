//! What an invalidation has removed.

use crate::config::REMOVED_PREFIXES_MAX;
use crate::name::prefix_of;

/// What one step of an invalidation did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Removal {
    /// Live entries removed.
    pub(crate) removed: u64,
    /// How many of them had keys of each prefix, for [`REMOVED_PREFIXES_MAX`] prefixes at most.
    pub(crate) by_prefix: Vec<(Box<str>, u64)>,
    /// How much is left to do. Zero: all is done.
    pub(crate) pending: u64,
    /// The mark of a [loss](super::StoreLoss::Members) that is not made good, or 0. Until it is, no
    /// invalidation reaches all that it names.
    pub(crate) lost: u64,
}

impl Removal {
    /// Adds what a later script has removed. What is left to do is as it says.
    pub(crate) fn add(&mut self, later: Self) {
        self.removed += later.removed;
        for (prefix, removed) in later.by_prefix {
            if let Some((_, sum)) = self.by_prefix.iter_mut().find(|(counted, _)| *counted == prefix) {
                *sum += removed;
            } else if self.by_prefix.len() < REMOVED_PREFIXES_MAX {
                self.by_prefix.push((prefix, removed));
            }
        }
        self.pending = later.pending;
        self.lost = self.lost.max(later.lost);
    }

    /// Counts one live entry that was removed.
    pub(crate) fn count(&mut self, key: &str) {
        self.removed += 1;
        let prefix = prefix_of(key);
        if let Some((_, removed)) = self.by_prefix.iter_mut().find(|(counted, _)| **counted == *prefix) {
            *removed += 1;
        } else if self.by_prefix.len() < REMOVED_PREFIXES_MAX {
            self.by_prefix.push((prefix.into(), 1));
        }
    }
}

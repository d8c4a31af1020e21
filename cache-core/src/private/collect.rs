//! Where `after = tx` puts what it has gathered.

use crate::invalidation::{CollectInvalidations, Invalidation};

/// Adds what a function makes untrue to its transaction.
pub fn collect<C: CollectInvalidations + ?Sized>(collector: &mut C, invalidation: Invalidation) {
    collector.invalidates(invalidation);
}

//! What gathers invalidations until a change takes effect.

use super::Invalidation;

/// What collects invalidations and makes them when a change takes effect: a transaction. The option
/// `after = tx` of [`#[invalidates]`](macro@crate::invalidates) adds to it, in place of
/// invalidating at once. The crate `cache-sqlx` has one for sqlx; implement this for another
/// driver's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` collects no invalidations: it does not implement `CollectInvalidations`",
    label = "not a transaction that carries its invalidations",
    note = "with sqlx take `tx: &mut cache_sqlx::Transaction<'_, Postgres>`, or implement `cache_core::CollectInvalidations` for a transaction of your own"
)]
pub trait CollectInvalidations {
    /// Adds what is to be invalidated when the change takes effect, and forgotten if it does not.
    fn invalidates(&mut self, invalidation: Invalidation);
}

impl CollectInvalidations for Invalidation {
    fn invalidates(&mut self, invalidation: Invalidation) {
        *self = std::mem::take(self).and(invalidation);
    }
}

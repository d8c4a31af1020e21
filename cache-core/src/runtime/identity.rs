//! What tells the caches of one process apart.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Store;

/// The id of the caches on this store. Stores that reach the same entries have one id.
pub(crate) fn new_id(store: Option<&dyn Store>) -> u128 {
    static LAST_ID: AtomicU64 = AtomicU64::new(0);
    let identity = store.and_then(|store| store.identity());
    identity.unwrap_or_else(|| LAST_ID.fetch_add(1, Ordering::Relaxed).into())
}

//! What the conformance tests need to do to a store, and to know of it, behind its back.

use super::MemoryStore;
use crate::name::Name;

impl MemoryStore {
    /// As if the entry had expired: its memberships stay.
    pub(in crate::store) fn lose_entry(&self, key: &str) {
        let key = Name::key(key).unwrap();
        self.write_state().entries.remove(&key).expect("there is an entry to lose");
    }

    /// Indexes and pending names that exist.
    pub(in crate::store) fn bookkeeping(&self) -> usize {
        let state = self.write_state();
        state.indexes.len() + state.pending.len() as usize
    }
}

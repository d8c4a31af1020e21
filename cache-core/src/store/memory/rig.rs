//! What the conformance tests do to a store, and learn about it, behind its back.

use super::MemoryStore;
use crate::name::Name;
use crate::store::Remains;

impl MemoryStore {
    /// Removes the value as if it had expired: its memberships stay.
    pub(in crate::store) fn lose_entry(&self, key: &str) {
        let key = Name::key(key).unwrap();
        self.write_state(&mut Remains::default()).entries.remove(&key).expect("there is an entry to lose");
    }

    /// The number of indexes and pending names.
    pub(in crate::store) fn bookkeeping(&self) -> usize {
        let mut remains = Remains::default();
        let state = self.write_state(&mut remains);
        state.indexes.len() + state.pending.len() as usize
    }
}

//! What the conformance tests do to a store, and learn about it, behind its back.

use super::site::Site;
use super::{MemoryStore, State};
use crate::name::Name;
use crate::store::{Partitions, Remains};

impl MemoryStore {
    pub(in crate::store) fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// Removes the value as if it had expired: its memberships stay.
    pub(in crate::store) fn lose_entry(&self, key: &str) {
        let key = Name::key(key).unwrap();
        self.write_state(self.partitions.home(&key), &mut Remains::default())
            .entries
            .remove(&key)
            .expect("there is an entry to lose");
    }

    /// Everything in one partition is lost, with its clock.
    pub(in crate::store) fn lose_partition(&self, number: u16) {
        let mut state = self.write_state(number, &mut Remains::default());
        let site = Site::new(number, self.partitions);
        *state = State::at(site, state.settings.clone(), state.rules, fastrand::u128(..), self.now());
    }

    /// The number of indexes.
    pub(in crate::store) fn bookkeeping(&self) -> usize {
        let mut remains = Remains::default();
        (0..self.partitions.count()).map(|number| self.write_state(number, &mut remains).indexes.len()).sum()
    }
}

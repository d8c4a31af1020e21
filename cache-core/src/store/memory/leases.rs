//! The leases: who may load which key, and until when.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::size::{ordered, slot, text};
use crate::name::Name;
use crate::store::Token;

/// Accounted for one lease beside its text: places in two tables.
const LEASE_BYTES: usize = slot::<(Name, LeaseRecord)>() + ordered::<(Instant, Name)>();

#[derive(Clone, Copy)]
pub(super) struct LeaseRecord {
    pub(super) token: Token,
    /// The clock when it was granted: a later invalidation of the key makes it worthless.
    pub(super) seq: u64,
    pub(super) ends: Instant,
    /// Taken, or taken over, then.
    pub(super) since: Instant,
    /// How often it was taken over since it was free.
    pub(super) takeovers: u32,
}

#[derive(Clone, Default)]
pub(super) struct Leases {
    by_key: HashMap<Name, LeaseRecord>,
    by_end: BTreeSet<(Instant, Name)>,
    bytes: usize,
}

impl Leases {
    pub(super) fn get(&self, key: &Name) -> Option<LeaseRecord> {
        self.by_key.get(key).copied()
    }

    pub(super) fn grant(&mut self, key: &Name, lease: LeaseRecord) {
        self.remove(key);
        self.bytes += LEASE_BYTES + text(key);
        self.by_key.insert(key.clone(), lease);
        self.by_end.insert((lease.ends, key.clone()));
    }

    /// A lease is given back only by its own fill, or a late fill would end its successor's lease.
    pub(super) fn release(&mut self, key: &Name, token: Token) {
        if self.get(key).is_some_and(|lease| lease.token == token) {
            self.remove(key);
        }
    }

    pub(super) fn drop_ended(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            let Some((ends, key)) = self.by_end.first() else { return };
            if *ends > now {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Name) {
        if let Some(lease) = self.by_key.remove(key) {
            self.by_end.remove(&(lease.ends, key.clone()));
            self.bytes -= LEASE_BYTES + text(key);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
impl Leases {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &LeaseRecord)> {
        self.by_end.iter().map(|(_, key)| (key, &self.by_key[key]))
    }

    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_key.len(), self.by_end.len());
        self.by_key.len()
    }
}

//! Copies by place. Looked up by every call, changed when copies come and go.
//!
//! In parts, each under a lock of its own that readers share: without `unsafe`, a table without
//! locks would be another crate. A part is aligned so that no two locks share a cache line.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError};

use super::AnyCopy;
use crate::config::NEAR_SHARDS;
use crate::key::hash_of;
use crate::sync::RwLock;

pub(super) struct Table(Box<[Shard; NEAR_SHARDS]>);

#[repr(align(128))]
#[derive(Default)]
struct Shard(RwLock<Copies>);

type Copies = HashSet<ByPlace, BuildHasherDefault<HashInFront>>;

/// A copy, found by the place in it.
struct ByPlace(Arc<AnyCopy>);

impl Borrow<[u8]> for ByPlace {
    fn borrow(&self) -> &[u8] {
        &self.0.place
    }
}

impl Hash for ByPlace {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.place.hash(hasher);
    }
}

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.0.place == other.0.place
    }
}

impl Eq for ByPlace {}

/// A place begins with its hash.
#[derive(Default)]
struct HashInFront(u64);

impl Hasher for HashInFront {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_of(bytes);
    }

    // The length of the place.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| Shard::default())))
    }

    /// What `find` makes of the copy at this place. It runs under a lock, so it is no user's code.
    pub(super) fn get<R>(&self, place: &[u8], find: impl FnOnce(&Arc<AnyCopy>) -> R) -> Option<R> {
        let shard = self.shard(place).0.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(place).map(|ByPlace(copy)| find(copy))
    }

    /// Returns the copy that it replaces.
    pub(super) fn insert(&self, copy: &Arc<AnyCopy>) -> Option<Arc<AnyCopy>> {
        let mut shard = self.shard(&copy.place).0.write().unwrap_or_else(PoisonError::into_inner);
        shard.replace(ByPlace(copy.clone())).map(|ByPlace(replaced)| replaced)
    }

    /// Another copy at the same place stays.
    pub(super) fn remove(&self, copy: &AnyCopy) {
        let mut shard = self.shard(&copy.place).0.write().unwrap_or_else(PoisonError::into_inner);
        if shard.get(&*copy.place).is_some_and(|ByPlace(there)| there.number == copy.number) {
            shard.remove(&*copy.place);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.0.read().unwrap().len()).sum()
    }

    fn shard(&self, place: &[u8]) -> &Shard {
        // The table within a part goes by the low bits and by the highest ones.
        &self.0[(hash_of(place) >> 32) as usize % NEAR_SHARDS]
    }
}

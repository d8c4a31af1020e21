//! The stored values: found by key, walked by position, evicted by SIEVE, collected by expiry.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::size::{ALLOCATION, list, ordered, shared, slot, text};
use crate::name::Name;

/// Accounted for one entry beside key, value and names: places in three tables.
const ENTRY_BYTES: usize = slot::<(Logical, Box<StoredEntry>)>()
    + size_of::<StoredEntry>()
    + ALLOCATION
    + ordered::<(u64, Name)>()
    + ordered::<(Instant, Name)>();

pub(super) struct StoredEntry {
    pub(super) value: Bytes,
    /// Sorted; shared with the indexes.
    pub(super) names: Box<[Name]>,
    pub(super) expires: Instant,
    position: u64,
    /// Whether it was read since the hand last passed. Atomic, so that a hit needs the read lock
    /// only.
    visited: AtomicBool,
}

impl StoredEntry {
    pub(super) fn is_live(&self, now: Instant) -> bool {
        now < self.expires
    }

    /// Whether it may be removed through the index of `name`: a membership of an earlier version
    /// says nothing about this one.
    pub(super) fn depends_on(&self, name: &Name) -> bool {
        self.names.binary_search(name).is_ok()
    }

    pub(super) fn bytes(&self, key: &Name) -> usize {
        ENTRY_BYTES + text(key) + shared(self.value.len()) + list(&self.names)
    }
}

impl Clone for StoredEntry {
    fn clone(&self) -> Self {
        let visited = AtomicBool::new(self.visited.load(Ordering::Relaxed));
        Self { value: self.value.clone(), names: self.names.clone(), visited, ..*self }
    }
}

/// A key's name, looked up by the logical key, so that a hit allocates nothing.
#[derive(Clone)]
struct Logical(Name);

/// A tag names no entry, and neither does the empty text.
fn logical(name: &Name) -> &str {
    name.as_key().unwrap_or_default()
}

impl Borrow<str> for Logical {
    fn borrow(&self) -> &str {
        logical(&self.0)
    }
}

impl PartialEq for Logical {
    fn eq(&self, other: &Self) -> bool {
        logical(&self.0) == logical(&other.0)
    }
}

impl Eq for Logical {}

impl Hash for Logical {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        logical(&self.0).hash(hasher);
    }
}

/// # Eviction
/// SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024): entries
/// stay in order of insertion, a hit sets a bit, a hand walks from the oldest to the newest, clears
/// set bits and evicts the first entry whose bit was clear. A hit moves nothing, which is what lets
/// it run under a read lock. Deviations: a replaced value keeps its place and bit, and eviction
/// follows the insertion, so that among entries that are all in use the new one is the one to go.
#[derive(Clone, Default)]
pub(super) struct Entries {
    /// Boxed, because a table has several slots for each entry.
    by_key: HashMap<Logical, Box<StoredEntry>>,
    /// Positions in order of insertion; pattern walks follow them too.
    by_position: BTreeMap<u64, Name>,
    by_expiry: BTreeSet<(Instant, Name)>,
    last_position: u64,
    hand: u64,
    bytes: usize,
    /// The keys whose entries have changed since they were [taken](Self::take_changed).
    changed: Vec<Name>,
}

impl Entries {
    /// The value, if it is alive.
    pub(super) fn read(&self, key: &str, now: Instant) -> Option<Bytes> {
        let entry = self.by_key.get(key).filter(|entry| entry.is_live(now))?;
        // Reading first keeps the cache line of a hot entry shared between cores.
        if !entry.visited.load(Ordering::Relaxed) {
            entry.visited.store(true, Ordering::Relaxed);
        }
        Some(entry.value.clone())
    }

    /// Alive or not.
    pub(super) fn get(&self, key: &Name) -> Option<&StoredEntry> {
        self.by_key.get(logical(key)).map(Box::as_ref)
    }

    /// The key as the entry that is stored spells it, to be shared.
    pub(super) fn spelled(&self, key: &Name) -> Name {
        self.by_key.get_key_value(logical(key)).map_or_else(|| key.clone(), |(key, _)| key.0.clone())
    }

    /// Replaces what was stored and keeps its position: a walk that has not come to the key yet
    /// must still meet it.
    pub(super) fn insert(&mut self, key: &Name, value: Bytes, names: Box<[Name]>, expires: Instant) {
        let replaced = self.remove(key);
        let position = replaced.as_ref().map_or(self.last_position + 1, |entry| entry.position);
        self.last_position = self.last_position.max(position);
        let visited = replaced.map_or_else(|| AtomicBool::new(false), |entry| entry.visited);
        let entry = StoredEntry { value, names, expires, position, visited };
        self.bytes += entry.bytes(key);
        self.by_position.insert(position, key.clone());
        self.by_expiry.insert((expires, key.clone()));
        self.by_key.insert(Logical(key.clone()), Box::new(entry));
        self.changed.push(key.clone());
    }

    pub(super) fn remove(&mut self, key: &Name) -> Option<StoredEntry> {
        let entry = self.by_key.remove(logical(key))?;
        self.bytes -= entry.bytes(key);
        self.by_position.remove(&entry.position);
        self.by_expiry.remove(&(entry.expires, key.clone()));
        self.changed.push(key.clone());
        Some(*entry)
    }

    /// The keys whose entries were stored or removed, for those who keep copies. To be taken after
    /// each operation.
    pub(super) fn take_changed(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn first_expired(&self, now: Instant) -> Option<Name> {
        let (expires, key) = self.by_expiry.first()?;
        (*expires <= now).then(|| key.clone())
    }

    /// The key that SIEVE evicts next.
    pub(super) fn next_victim(&mut self) -> Option<Name> {
        loop {
            let oldest = || self.by_position.first_key_value();
            let (position, key) = self.by_position.range(self.hand..).next().or_else(oldest)?;
            self.hand = position + 1;
            let entry = self.by_key.get_mut(logical(key))?;
            if !std::mem::take(entry.visited.get_mut()) {
                return Some(key.clone());
            }
        }
    }

    /// At most `count` keys positioned before `cursor` (0: all), newest first. Keys inserted
    /// meanwhile lie behind the walk, so it always ends. Keys that were there all the time lie
    /// ahead of it until visited.
    pub(super) fn page(&self, cursor: u64, count: usize) -> Vec<(u64, Name)> {
        page(&self.by_position, cursor, count)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

pub(super) fn page(by_position: &BTreeMap<u64, Name>, cursor: u64, count: usize) -> Vec<(u64, Name)> {
    let before = if cursor == 0 { u64::MAX } else { cursor };
    by_position.range(..before).rev().take(count).map(|(position, name)| (*position, name.clone())).collect()
}

#[cfg(test)]
impl Entries {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &StoredEntry)> {
        self.by_position.values().map(|key| (key, &*self.by_key[logical(key)]))
    }

    pub(super) fn check(&self) {
        assert_eq!(self.by_key.len(), self.by_position.len());
        assert_eq!(self.by_key.len(), self.by_expiry.len());
        assert_eq!(self.bytes, self.iter().map(|(key, entry)| entry.bytes(key)).sum::<usize>());
    }
}

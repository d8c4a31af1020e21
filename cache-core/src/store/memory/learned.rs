//! What adaptive TTLs have learned, by key. Nothing rests on it, so any of it may be dropped at any
//! time.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use tokio::time::Instant;

use super::size::{ordered, shared, slot, text};
use crate::name::Name;

/// Accounted for one key beside its text and what was learned: places in two tables.
const LEARNED_BYTES: usize = slot::<(Name, Bytes, Instant)>() + ordered::<(Instant, Name)>();

#[derive(Clone, Default)]
pub(super) struct LearnedTable {
    by_key: HashMap<Name, (Bytes, Instant)>,
    by_end: BTreeSet<(Instant, Name)>,
    bytes: usize,
}

impl LearnedTable {
    pub(super) fn get(&self, key: &Name, now: Instant) -> Option<Bytes> {
        self.by_key.get(key).filter(|(_, ends)| now < *ends).map(|(learned, _)| learned.clone())
    }

    pub(super) fn set(&mut self, key: &Name, learned: Bytes, ends: Instant, bytes_max: usize) {
        self.remove(key);
        self.bytes += accounted(key, &learned);
        self.by_key.insert(key.clone(), (learned, ends));
        self.by_end.insert((ends, key.clone()));
        while self.bytes > bytes_max && self.drop_first(None) {}
    }

    pub(super) fn drop_ended(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            if !self.drop_first(Some(now)) {
                return;
            }
        }
    }

    /// The key whose record ends first, if it has ended by then.
    fn drop_first(&mut self, ended_by: Option<Instant>) -> bool {
        let Some((ends, key)) = self.by_end.first() else { return false };
        if ended_by.is_some_and(|now| *ends > now) {
            return false;
        }
        let key = key.clone();
        self.remove(&key);
        true
    }

    fn remove(&mut self, key: &Name) {
        if let Some((learned, ends)) = self.by_key.remove(key) {
            self.by_end.remove(&(ends, key.clone()));
            self.bytes -= accounted(key, &learned);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn accounted(key: &Name, learned: &Bytes) -> usize {
    LEARNED_BYTES + text(key) + shared(learned.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(n: usize) -> Name {
        Name::key(&format!("k:{n}")).unwrap()
    }

    #[test]
    fn it_ends_and_is_dropped_then() {
        let (mut learned, now) = (LearnedTable::default(), Instant::now());
        let second = Duration::from_secs(1);
        learned.set(&key(1), Bytes::from_static(b"a"), now + second, 10_000);
        learned.set(&key(2), Bytes::from_static(b"b"), now + 2 * second, 10_000);
        assert_eq!(learned.get(&key(1), now).as_deref(), Some(b"a".as_slice()));
        assert_eq!(learned.get(&key(1), now + second), None);
        learned.drop_ended(now + second, 10);
        assert_eq!((learned.by_key.len(), learned.by_end.len()), (1, 1));
        learned.drop_ended(now + 2 * second, 10);
        assert_eq!((learned.by_key.len(), learned.by_end.len(), learned.bytes()), (0, 0, 0));
    }

    #[test]
    fn beyond_its_share_what_ends_first_goes_first() {
        let (mut learned, now) = (LearnedTable::default(), Instant::now());
        for n in 0..100 {
            learned.set(&key(n), Bytes::from_static(b"x"), now + Duration::from_secs(n as u64 + 1), 2_000);
            assert!(learned.bytes() <= 2_000);
        }
        assert!(learned.get(&key(0), now).is_none() && learned.get(&key(99), now).is_some());
    }
}

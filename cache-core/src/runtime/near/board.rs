//! What is kept and what is expected, by logical key, and which copies give way.
//!
//! Eviction is SIEVE, as in the embedded store: copies stay in the order in which they were made, a
//! hit sets a bit and moves nothing, and a hand walks from the oldest copy to the newest, clears
//! set bits, and evicts the first copy whose bit was clear.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::AnyCopy;
use crate::ablation::{ProcessRule, keeps};
use crate::clock::Instant;
use crate::config::{NEAR_COPY_BYTES, NEAR_READS_MAX};
use crate::sync::atomic::Ordering;

/// Copies that are on the board no more.
#[derive(Default)]
pub(super) struct Unlinked(pub(super) Vec<Arc<AnyCopy>>);

impl Drop for Unlinked {
    /// A value's `Drop` is the user's code, and runs wherever a copy goes: in whoever changes its
    /// entry, or in the task that reads a connection. So a panic in there ends here, and the panic
    /// hook has told of it. One at a time: a second panic while the first unwinds would end the
    /// process.
    fn drop(&mut self) {
        for copy in self.0.drain(..) {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(copy)));
        }
    }
}

/// Copies that have expired and are looked for when another one is made: twice as many as come.
const EXPIRED_LOOKED_AT: usize = 2;

pub(super) struct Board {
    by_key: HashMap<Arc<str>, Notes>,
    in_order: BTreeMap<u64, Arc<AnyCopy>>,
    last: u64,
    hand: u64,
    reads: usize,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
}

/// What is known of one key. A few of each: functions rarely share a key.
#[derive(Default)]
struct Notes {
    copies: Vec<Arc<AnyCopy>>,
    /// The numbers of the reads under way.
    expected: Vec<u64>,
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.expected.is_empty()
    }
}

fn weight(copy: &AnyCopy) -> usize {
    copy.bytes + copy.place.len() + NEAR_COPY_BYTES
}

impl Board {
    pub(super) fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            in_order: BTreeMap::new(),
            last: 0,
            hand: 0,
            reads: 0,
            bytes: 0,
            entries_max,
            bytes_max,
        }
    }

    pub(super) fn expect(&mut self, key: &Arc<str>) -> Option<u64> {
        if self.reads >= NEAR_READS_MAX {
            return None;
        }
        self.last += 1;
        self.reads += 1;
        self.by_key.entry(key.clone()).or_default().expected.push(self.last);
        Some(self.last)
    }

    pub(super) fn is_expected(&self, key: &str, number: u64) -> bool {
        self.by_key.get(key).is_some_and(|notes| notes.expected.contains(&number))
    }

    pub(super) fn give_up(&mut self, key: &str, number: u64) {
        let Some(notes) = self.by_key.get_mut(key) else { return };
        let before = notes.expected.len();
        notes.expected.retain(|expected| *expected != number);
        self.reads -= before - notes.expected.len();
        if notes.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// Whether there would be room for this copy if it were the only one.
    pub(super) fn could_hold(&self, copy: &AnyCopy) -> bool {
        weight(copy) <= self.bytes_max
    }

    pub(super) fn add(&mut self, copy: &Arc<AnyCopy>) {
        self.bytes += weight(copy);
        self.in_order.insert(copy.number, copy.clone());
        self.by_key.entry(copy.key.clone()).or_default().copies.push(copy.clone());
    }

    pub(super) fn forget(&mut self, copy: &AnyCopy) {
        if self.in_order.remove(&copy.number).is_some() {
            self.bytes -= weight(copy);
        }
        if let Some(notes) = self.by_key.get_mut(&copy.key) {
            notes.copies.retain(|there| there.number != copy.number);
            if notes.is_empty() {
                self.by_key.remove(&copy.key);
            }
        }
    }

    /// Takes the copies and the placeholders of a key.
    pub(super) fn take(&mut self, key: &str) -> Unlinked {
        let Some(mut notes) = self.by_key.remove(key) else { return Unlinked::default() };
        let expected = std::mem::take(&mut notes.expected);
        if keeps(ProcessRule::PushDropsPlaceholders) || expected.is_empty() {
            self.reads -= expected.len();
        } else {
            self.by_key.insert(key.into(), Notes { expected, ..Notes::default() });
        }
        for copy in &notes.copies {
            if self.in_order.remove(&copy.number).is_some() {
                self.bytes -= weight(copy);
            }
        }
        Unlinked(notes.copies)
    }

    pub(super) fn take_all(&mut self) -> Unlinked {
        self.by_key.clear();
        (self.reads, self.bytes) = (0, 0);
        Unlinked(std::mem::take(&mut self.in_order).into_values().collect())
    }

    /// Forgets some that have expired, and as many as are too many.
    pub(super) fn evicted(&mut self, now: Instant) -> Unlinked {
        let mut evicted = Unlinked::default();
        for _ in 0..EXPIRED_LOOKED_AT {
            let oldest = self.in_order.first_key_value().map(|(_, copy)| copy.clone());
            let Some(expired) = oldest.filter(|copy| copy.expires <= now) else { break };
            self.forget(&expired);
            evicted.0.push(expired);
        }
        while self.in_order.len() > self.entries_max || self.bytes > self.bytes_max {
            let Some(victim) = self.next_victim() else { break };
            self.forget(&victim);
            evicted.0.push(victim);
        }
        evicted
    }

    fn next_victim(&mut self) -> Option<Arc<AnyCopy>> {
        loop {
            let oldest = || self.in_order.first_key_value();
            let (number, copy) = self.in_order.range(self.hand..).next().or_else(oldest)?;
            self.hand = number + 1;
            if !copy.visited.swap(false, Ordering::Relaxed) {
                return Some(copy.clone());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let copies: usize = self.by_key.values().map(|notes| notes.copies.len()).sum();
        let expected: usize = self.by_key.values().map(|notes| notes.expected.len()).sum();
        assert_eq!((copies, expected), (self.in_order.len(), self.reads));
        assert_eq!(self.bytes, self.in_order.values().map(|copy| weight(copy)).sum::<usize>());
        assert!(self.by_key.values().all(|notes| !notes.is_empty()));
        assert!(self.in_order.len() <= self.entries_max && self.bytes <= self.bytes_max);
    }

    #[cfg(test)]
    pub(super) fn expects_nothing(&self) -> bool {
        self.check();
        self.reads == 0
    }

    #[cfg(all(test, cache_loom))]
    pub(super) fn copies(&self) -> usize {
        self.in_order.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.in_order.is_empty()
    }
}

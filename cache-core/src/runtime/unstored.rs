//! Why the last value of a key was not stored.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{self, Instant};
use crate::config::UNSTORED_KEYS_MAX;
use crate::observe::NotStored;

/// The keys whose last value was not stored: not more than [`UNSTORED_KEYS_MAX`], the oldest go
/// first. Nothing of it is touched by a hit, nor by a fill while it is empty.
#[derive(Default)]
pub(crate) struct UnstoredKeys {
    is_used: AtomicBool,
    table: Mutex<UnstoredTable>,
}

#[derive(Default)]
struct UnstoredTable {
    by_key: HashMap<Arc<str>, (NotStored, Instant)>,
    /// The keys, each once, in the order in which they came.
    order: VecDeque<Arc<str>>,
}

impl UnstoredKeys {
    pub(crate) fn note(&self, key: &Arc<str>, reason: NotStored) {
        self.is_used.store(true, Ordering::Relaxed);
        let mut table = self.lock();
        if let Some(known) = table.by_key.get_mut(key) {
            *known = (reason, clock::now());
            return;
        }
        if table.order.len() >= UNSTORED_KEYS_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.by_key.remove(&oldest);
        }
        table.order.push_back(key.clone());
        table.by_key.insert(key.clone(), (reason, clock::now()));
    }

    pub(crate) fn stored(&self, key: &str) {
        if self.is_used.load(Ordering::Relaxed) {
            let mut table = self.lock();
            if table.by_key.remove(key).is_some() {
                table.order.retain(|known| **known != *key);
            }
        }
    }

    /// Why, and when.
    pub(crate) fn of(&self, key: &str) -> Option<(NotStored, Instant)> {
        self.lock().by_key.get(key).copied()
    }

    fn lock(&self) -> MutexGuard<'_, UnstoredTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_counts_and_the_oldest_key_goes_first() {
        let (unstored, key) = (UnstoredKeys::default(), |at: usize| Arc::<str>::from(format!("k:{at}")));
        let why = |at| unstored.of(&key(at)).map(|(reason, _)| reason);
        for at in 0..UNSTORED_KEYS_MAX {
            unstored.note(&key(at), NotStored::TooLarge);
        }
        unstored.note(&key(1), NotStored::Closed);
        assert_eq!((why(0), why(1)), (Some(NotStored::TooLarge), Some(NotStored::Closed)));
        unstored.note(&key(UNSTORED_KEYS_MAX), NotStored::TooOld);
        assert_eq!((why(0), why(1), why(UNSTORED_KEYS_MAX)), (None, Some(NotStored::Closed), Some(NotStored::TooOld)));
        unstored.stored(&key(2));
        unstored.note(&key(0), NotStored::TooOld);
        assert_eq!((why(1), why(2), why(0)), (Some(NotStored::Closed), None, Some(NotStored::TooOld)));
        let table = unstored.lock();
        assert_eq!((table.by_key.len(), table.order.len()), (UNSTORED_KEYS_MAX, UNSTORED_KEYS_MAX));
    }
}

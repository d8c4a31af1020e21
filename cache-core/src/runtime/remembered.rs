//! Why something was not done with the last value of a key: stored, or served.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{self, Instant};
use crate::config::REASONS_REMEMBERED_MAX;

/// The keys with the reasons `R`: not more than [`REASONS_REMEMBERED_MAX`], the oldest go first.
/// Nothing of it is touched by a hit, nor by a fill while it is empty.
pub(crate) struct ReasonsByKey<R> {
    is_used: AtomicBool,
    table: Mutex<ReasonTable<R>>,
}

impl<R> Default for ReasonsByKey<R> {
    fn default() -> Self {
        let table = ReasonTable { by_key: HashMap::new(), order: VecDeque::new() };
        Self { is_used: AtomicBool::new(false), table: Mutex::new(table) }
    }
}

struct ReasonTable<R> {
    by_key: HashMap<Arc<str>, (R, Instant)>,
    /// The keys, each once, in the order in which they came.
    order: VecDeque<Arc<str>>,
}

impl<R: Copy> ReasonsByKey<R> {
    pub(crate) fn note(&self, key: &Arc<str>, reason: R) {
        self.is_used.store(true, Ordering::Relaxed);
        let mut table = self.lock();
        if let Some(known) = table.by_key.get_mut(key) {
            *known = (reason, clock::now());
            return;
        }
        if table.order.len() >= REASONS_REMEMBERED_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.by_key.remove(&oldest);
        }
        table.order.push_back(key.clone());
        table.by_key.insert(key.clone(), (reason, clock::now()));
    }

    /// The reason counts no longer.
    pub(crate) fn forget(&self, key: &str) {
        if self.is_used.load(Ordering::Relaxed) {
            let mut table = self.lock();
            if table.by_key.remove(key).is_some() {
                table.order.retain(|known| **known != *key);
            }
        }
    }

    /// Why, and when.
    pub(crate) fn of(&self, key: &str) -> Option<(R, Instant)> {
        self.lock().by_key.get(key).copied()
    }

    fn lock(&self) -> MutexGuard<'_, ReasonTable<R>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::NotStored;

    #[test]
    fn the_last_reason_counts_and_the_oldest_key_goes_first() {
        let (unstored, key) = (ReasonsByKey::default(), |at: usize| Arc::<str>::from(format!("k:{at}")));
        let why = |at| unstored.of(&key(at)).map(|(reason, _)| reason);
        for at in 0..REASONS_REMEMBERED_MAX {
            unstored.note(&key(at), NotStored::TooLarge);
        }
        unstored.note(&key(1), NotStored::Closed);
        assert_eq!((why(0), why(1)), (Some(NotStored::TooLarge), Some(NotStored::Closed)));
        unstored.note(&key(REASONS_REMEMBERED_MAX), NotStored::TooOld);
        assert_eq!(
            (why(0), why(1), why(REASONS_REMEMBERED_MAX)),
            (None, Some(NotStored::Closed), Some(NotStored::TooOld))
        );
        unstored.forget(&key(2));
        unstored.note(&key(0), NotStored::TooOld);
        assert_eq!((why(1), why(2), why(0)), (Some(NotStored::Closed), None, Some(NotStored::TooOld)));
        let table = unstored.lock();
        assert_eq!((table.by_key.len(), table.order.len()), (REASONS_REMEMBERED_MAX, REASONS_REMEMBERED_MAX));
    }
}

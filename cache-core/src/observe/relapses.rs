//! Tells a load that invalidated its own value once from one that does so each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{self, Instant};
use crate::config::RELAPSES_MAX;

/// Keys whose last value was refused because of an invalidation inside its own load, and when.
#[derive(Default)]
pub(crate) struct Relapses {
    keys: Mutex<HashMap<Box<str>, Instant>>,
    /// Whether there is one: all that a fill looks at on a good day.
    any: AtomicBool,
}

impl Relapses {
    /// A value was refused because of an invalidation inside its own load, which began then.
    /// `true`: the value before it was, too, and this load began after that. Once is no fault: a
    /// load may create the row that it did not find, and invalidate what said that there was none.
    pub(crate) fn again(&self, key: &str, began: Instant) -> bool {
        let mut keys = self.lock();
        if let Some(refused) = keys.get(key) {
            return began >= *refused;
        }
        if keys.len() < RELAPSES_MAX {
            keys.insert(key.into(), clock::now());
            self.any.store(true, Ordering::Relaxed);
        }
        false
    }

    /// A value was stored.
    pub(crate) fn stored(&self, key: &str) {
        if self.any.load(Ordering::Relaxed) {
            let mut keys = self.lock();
            keys.remove(key);
            self.any.store(!keys.is_empty(), Ordering::Relaxed);
        }
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_remembered_and_each_until_its_value_is_stored() {
        let relapses = Relapses::default();
        let keys: Vec<String> = (0..=RELAPSES_MAX).map(|key| key.to_string()).collect();
        for key in &keys {
            assert!(!relapses.again(key, clock::now()));
        }
        assert!(relapses.again(&keys[0], clock::now()));
        assert!(!relapses.again(&keys[RELAPSES_MAX], clock::now()), "there was no room");
        relapses.stored(&keys[0]);
        assert!(!relapses.again(&keys[0], clock::now()));
    }
}

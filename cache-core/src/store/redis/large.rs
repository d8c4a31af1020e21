//! Which prefixes have large values. Their calls use a connection of their own, because replies
//! come in order: a small one would wait behind a large one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::clock::{self, Instant};
use crate::config::{LARGE_PREFIXES_MAX, LARGE_VALUE_BYTES_MIN, LARGE_VALUE_REMEMBERED};
use crate::name::prefix_of;

/// The prefixes under which a large value was read or stored of late.
#[derive(Default)]
pub(super) struct LargePrefixes {
    /// Whether there are any. Without them a call looks at this alone.
    any: AtomicBool,
    /// When the last large value was met.
    met: RwLock<HashMap<Box<str>, Instant>>,
}

impl LargePrefixes {
    /// Notes the length of a value under a key.
    pub(super) fn note(&self, key: &str, bytes: usize) {
        if bytes < LARGE_VALUE_BYTES_MIN {
            return;
        }
        let (now, prefix) = (clock::now(), prefix_of(key));
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = met.get_mut(prefix) {
            *at = now;
            return;
        }
        met.retain(|_, at| is_recent(*at, now));
        if met.len() < LARGE_PREFIXES_MAX {
            met.insert(prefix.into(), now);
            self.any.store(true, Ordering::Release);
        }
    }

    /// Whether the values under a key's prefix may be large.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.any.load(Ordering::Acquire)
            && self.read().get(prefix_of(key)).is_some_and(|at| is_recent(*at, clock::now()))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Instant>> {
        self.met.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < LARGE_VALUE_REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_prefix_counts_as_large_for_a_while_after_its_last_large_value() {
        let large = LargePrefixes::default();
        large.note("page:1", LARGE_VALUE_BYTES_MIN - 1);
        assert!(!large.holds("page:1"));
        large.note("page:1", LARGE_VALUE_BYTES_MIN);
        assert!(large.holds("page:2") && !large.holds("user:1"));
        tokio::time::advance(LARGE_VALUE_REMEMBERED / 2).await;
        large.note("page:3", LARGE_VALUE_BYTES_MIN);
        large.note("page:3", 1);
        tokio::time::advance(LARGE_VALUE_REMEMBERED / 2).await;
        assert!(large.holds("page:1"));
        tokio::time::advance(LARGE_VALUE_REMEMBERED).await;
        assert!(!large.holds("page:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_large_prefixes_is_bounded_and_old_ones_make_room() {
        let large = LargePrefixes::default();
        for prefix in 0..=LARGE_PREFIXES_MAX {
            large.note(&format!("p{prefix}:1"), LARGE_VALUE_BYTES_MIN);
        }
        assert!(large.holds("p0:1") && !large.holds(&format!("p{LARGE_PREFIXES_MAX}:1")));
        tokio::time::advance(LARGE_VALUE_REMEMBERED).await;
        large.note("new:1", LARGE_VALUE_BYTES_MIN);
        assert!(large.holds("new:1"));
        assert_eq!(large.read().len(), 1);
    }
}

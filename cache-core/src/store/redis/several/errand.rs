//! What one task of this process does in the background at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};

/// Something to be done now and then, by one task at a time.
pub(super) struct Errand {
    /// The least time from the beginning of one to that of the next.
    pause: Duration,
    /// Who takes longer stands still with its runtime, and another one may begin.
    lasts_max: Duration,
    turns: Mutex<ErrandTurns>,
}

#[derive(Default)]
struct ErrandTurns {
    /// The number of the last one.
    number: u64,
    begun_at: Option<Instant>,
    is_under_way: bool,
}

impl Errand {
    pub(super) fn new(pause: Duration, lasts_max: Duration) -> Arc<Self> {
        Arc::new(Self { pause, lasts_max, turns: Mutex::default() })
    }

    /// Until it is dropped nobody else has the turn. `None`: somebody has it, or had it just now.
    pub(super) fn take_turn(self: &Arc<Self>) -> Option<ErrandTurn> {
        let now = clock::now();
        let mut turns = self.lock();
        let wait = if turns.is_under_way { self.lasts_max } else { self.pause };
        if turns.begun_at.is_some_and(|at| now < at + wait) {
            return None;
        }
        turns.number += 1;
        (turns.begun_at, turns.is_under_way) = (Some(now), true);
        Some(ErrandTurn { errand: self.clone(), number: turns.number })
    }

    fn lock(&self) -> MutexGuard<'_, ErrandTurns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to do it.
pub(super) struct ErrandTurn {
    errand: Arc<Errand>,
    number: u64,
}

impl Drop for ErrandTurn {
    fn drop(&mut self) {
        let mut turns = self.errand.lock();
        if turns.number == self.number {
            turns.is_under_way = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_has_the_turn_at_a_time_and_not_too_often() {
        let errand = Errand::new(PAUSE, 10 * PAUSE);
        let turn = errand.take_turn().unwrap();
        tokio::time::advance(2 * PAUSE).await;
        assert!(errand.take_turn().is_none(), "it is under way");
        drop(turn);
        let turn = errand.take_turn().unwrap();
        drop(turn);
        assert!(errand.take_turn().is_none(), "it was done just now");
        tokio::time::advance(PAUSE).await;
        assert!(errand.take_turn().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stands_still_is_replaced_and_may_then_take_nothing_away() {
        let errand = Errand::new(PAUSE, 10 * PAUSE);
        let still = errand.take_turn().unwrap();
        tokio::time::advance(10 * PAUSE).await;
        let _next = errand.take_turn().unwrap();
        drop(still);
        tokio::time::advance(2 * PAUSE).await;
        assert!(errand.take_turn().is_none());
    }
}

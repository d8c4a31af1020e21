//! Lines of the log that may come again and again: one in a while, with how many there were.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::config::{LOG_PAUSE, LOG_PLACES_MAX, VERIFY_REPORT_PAUSE};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Line {
    Refresh,
    AbandonedFailure,
    HiddenFailure,
    Invalidation,
    InvalidName,
    Closing,
    Warming,
    SlowStore,
    Inconsistency,
}

impl Line {
    fn pause(self) -> Duration {
        if self == Self::Inconsistency { VERIFY_REPORT_PAUSE } else { LOG_PAUSE }
    }
}

/// When there was a line of each kind about each function, and what has come since.
#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<(Line, Box<str>), Since>>);

#[derive(Default)]
struct Since {
    line: Option<Instant>,
    unsaid: u64,
}

impl Pace {
    /// How many are to be said in one line, of which `count` have just come; `None`: it is too
    /// early for a line. `place` tells functions apart.
    pub(super) fn due(&self, line: Line, place: &str, count: u64) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = lines.len() < LOG_PLACES_MAX || lines.contains_key(&(line, place.into()));
        let since = lines.entry((line, if is_known { place.into() } else { "".into() })).or_default();
        since.unsaid += count;
        if since.line.is_some_and(|at| clock::since(at) < line.pause()) {
            return None;
        }
        since.line = Some(clock::now());
        Some(std::mem::take(&mut since.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_comes_at_once_and_the_next_one_a_pause_later_with_all_that_came_meanwhile() {
        let pace = Pace::default();
        assert_eq!(pace.due(Line::Refresh, "a", 1), Some(1));
        assert_eq!(pace.due(Line::Refresh, "a", 1), None);
        assert_eq!(pace.due(Line::Refresh, "a", 5), None);
        tokio::time::advance(LOG_PAUSE - Duration::from_millis(1)).await;
        assert_eq!(pace.due(Line::Refresh, "a", 1), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pace.due(Line::Refresh, "a", 1), Some(8));
        assert_eq!(pace.due(Line::Refresh, "a", 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_and_functions_have_lines_of_their_own_up_to_a_limit() {
        let pace = Pace::default();
        assert_eq!(pace.due(Line::Refresh, "a", 1), Some(1));
        assert_eq!(pace.due(Line::Warming, "a", 1), Some(1));
        for place in 2..LOG_PLACES_MAX {
            assert_eq!(pace.due(Line::Refresh, &place.to_string(), 1), Some(1));
        }
        assert_eq!(pace.due(Line::Refresh, "one more", 1), Some(1));
        assert_eq!(pace.due(Line::Refresh, "and another", 1), None, "they share a line");
        assert_eq!(pace.due(Line::Refresh, "a", 1), None);
    }
}

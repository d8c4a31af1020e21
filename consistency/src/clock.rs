//! The one clock of a history.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the machine's monotonic clock: all processes of one machine read the same one,
/// and nobody can set it.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// By how many seconds the wall clock is ahead of the clock of the history.
pub(crate) fn wall_is_ahead() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    wall.as_secs().cast_signed() - (now() / SECOND).cast_signed()
}

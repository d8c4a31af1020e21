//! The one place where time is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long ago that was.
pub(crate) fn since(instant: Instant) -> Duration {
    instant.elapsed()
}

/// The same, for what this host's wall clock showed: zero before 1970, which costs nothing but odd-looking times.
pub(crate) fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// This host's wall time in ms. For what is stored a store has the say.
pub(crate) fn wall_ms() -> u64 {
    millis(wall_time())
}

/// Whole milliseconds, the unit of stored times and of the TTLs that a store is given.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a timer can be waited for: not outside a runtime.
pub(crate) fn can_wait() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

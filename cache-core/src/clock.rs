//! The one place where time is read, and where timers are asked for.

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Handle, Id};

use crate::config::{DURATION_MAX, TIMERLESS_RUNTIMES_MAX};
use crate::error::{Error, ErrorKind};

pub(crate) use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// So long from now. A time that a user gives may be too long for a clock: more than
/// [`DURATION_MAX`] counts as that.
pub(crate) fn after(time: Duration) -> Instant {
    now() + time.min(DURATION_MAX)
}

/// The time since `instant`.
pub(crate) fn since(instant: Instant) -> Duration {
    instant.elapsed()
}

/// This host's wall time since 1970. Zero before 1970, which costs nothing but odd-looking times.
pub(crate) fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// This host's wall time in ms since 1970. Whether a stored entry is still there is decided by the
/// store's clock.
pub(crate) fn wall_ms() -> u64 {
    millis(wall_time())
}

/// An instant as a number for atomics: the ns since an hour before this process first asked, and at
/// least 1.
pub(crate) fn stamp(at: Instant) -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    // An hour: the paused clock of a test may stand before the first question.
    let origin = || now().checked_sub(Duration::from_secs(3_600)).unwrap_or_else(now);
    let since = at.saturating_duration_since(*ORIGIN.get_or_init(origin));
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos())).saturating_add(1)
}

/// A duration in the unit of [`stamp`]s.
pub(crate) const fn stamps(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Whole milliseconds, the unit of stored times and of the TTLs that a store is given.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// From half to all of a pause, at random, so that callers who wait for the same thing do not ask
/// in step.
pub(crate) fn spread(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Whether a timer can be waited for.
pub(crate) fn can_wait() -> bool {
    timers().is_ok()
}

/// The runtime that polls the caller, if that runtime has timers. Without timers most of what tokio
/// does with time panics.
///
/// # Cost
/// That of a timer that nobody waits for. The first call on a runtime without timers costs a caught
/// panic of tokio's: there is no other way to ask.
pub(crate) fn timers() -> Result<Handle, Error> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(Error::new(ErrorKind::Unavailable, "not called from within a tokio runtime"));
    };
    if has_timers(runtime.id()) {
        return Ok(runtime);
    }
    Err(Error::new(ErrorKind::Config, "this tokio runtime has no timers: build it with `enable_all`"))
}

/// Logs each runtime without timers once, as long as there are few of them.
fn has_timers(runtime: Id) -> bool {
    static ANY_WITHOUT: AtomicBool = AtomicBool::new(false);
    static WITHOUT: Mutex<VecDeque<Id>> = Mutex::new(VecDeque::new());
    let without = || WITHOUT.lock().unwrap_or_else(PoisonError::into_inner);
    if ANY_WITHOUT.load(Ordering::Acquire) && without().contains(&runtime) {
        return false;
    }
    if catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok() {
        return true;
    }
    let mut without = without();
    if !without.contains(&runtime) {
        without.push_back(runtime);
        if without.len() > TIMERLESS_RUNTIMES_MAX {
            without.pop_front();
        }
        ANY_WITHOUT.store(true, Ordering::Release);
        tracing::warn!(
            "a tokio runtime has no timers: calls on it go past Redis, and nothing is renewed, refreshed or \
             retried there; build it with `enable_all`"
        );
    }
    false
}

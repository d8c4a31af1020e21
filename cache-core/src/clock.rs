//! The one place where time is read, and the deadline around every answer of a store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::DEADLINE_GRACE;
use crate::error::{Error, ErrorKind};
use crate::store::StoreFuture;

pub(crate) use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// This host's wall time in ms. For what is stored a store has the say: [`Store::wall_ms`](crate::store::Store::wall_ms).
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Whole milliseconds, the unit of stored times and of the TTLs that a store is given.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits for a store, `limit` at most.
///
/// A store that answers at once (the embedded one) never sees a timer, so it also works where no timer runs. The limit is
/// a backstop: a store has a deadline of its own, which comes first by [`DEADLINE_GRACE`] and is the one its breaker counts.
pub(crate) async fn within<T>(limit: Duration, mut operation: StoreFuture<'_, T>) -> Result<T, Error> {
    let at_once = poll_fn(|context| Poll::Ready(Pin::new(&mut operation).poll(context))).await;
    if let Poll::Ready(answer) = at_once {
        return answer;
    }
    match tokio::time::timeout(limit + DEADLINE_GRACE, operation).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(ErrorKind::Timeout, "the store did not answer within the operation deadline")),
    }
}

/// Whether a timer can be waited for: not outside a runtime.
pub(crate) fn can_wait() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_costs_the_limit_and_no_more() {
        let begun = Instant::now();
        let never: StoreFuture<'_, ()> = Box::pin(std::future::pending());
        let error = within(Duration::from_millis(250), never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let waited = begun.elapsed();
        assert!(waited <= Duration::from_millis(250) + DEADLINE_GRACE + Duration::from_millis(1), "{waited:?}");
    }

    #[test]
    fn a_store_that_answers_at_once_needs_no_timer() {
        let ready: StoreFuture<'_, u8> = Box::pin(std::future::ready(Ok(7)));
        let mut answer = std::pin::pin!(within(Duration::ZERO, ready));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(matches!(answer.as_mut().poll(&mut context), Poll::Ready(Ok(7))));
    }
}

//! The deadline around every answer of a store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::store::StoreFuture;
use crate::clock::timers;
use crate::config::DEADLINE_GRACE;
use crate::error::{Error, ErrorKind};

/// Waits for a store, `limit` at most.
///
/// A store that answers at once (the embedded one) never sees a timer, so it also works where no timer runs; one that does
/// not cannot be waited for there. The limit is a backstop: a store has a deadline of its own, which comes first by
/// [`DEADLINE_GRACE`] and is the one its breaker counts.
pub(crate) async fn within<T>(limit: Duration, mut operation: StoreFuture<'_, T>) -> Result<T, Error> {
    let at_once = poll_fn(|context| Poll::Ready(Pin::new(&mut operation).poll(context))).await;
    if let Poll::Ready(answer) = at_once {
        return answer;
    }
    timers()?;
    match tokio::time::timeout(limit + DEADLINE_GRACE, operation).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(ErrorKind::Timeout, "the store did not answer within the operation deadline")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_costs_the_limit_and_no_more() {
        let begun = clock::now();
        let never: StoreFuture<'_, ()> = Box::pin(std::future::pending());
        let error = within(Duration::from_millis(250), never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let waited = clock::since(begun);
        assert!(waited <= Duration::from_millis(250) + DEADLINE_GRACE + Duration::from_millis(1), "{waited:?}");
    }

    #[test]
    fn a_store_that_answers_at_once_needs_no_timer() {
        let ready: StoreFuture<'_, u8> = Box::pin(std::future::ready(Ok(7)));
        let mut answer = std::pin::pin!(within(Duration::ZERO, ready));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(matches!(answer.as_mut().poll(&mut context), Poll::Ready(Ok(7))));
    }

    #[test]
    fn without_timers_nothing_is_waited_for() {
        let timerless = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..2 {
            timerless.block_on(async {
                assert!(!clock::can_wait());
                let never: StoreFuture<'_, ()> = Box::pin(std::future::pending());
                assert_eq!(within(Duration::from_secs(1), never).await.unwrap_err().kind(), ErrorKind::Config);
            });
        }
        assert!(!clock::can_wait(), "and not outside a runtime");
        let timed = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(timed.block_on(async { clock::can_wait() }));
    }
}

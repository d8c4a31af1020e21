//! Panics of bodies, where nobody else is there to meet them.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::thread;

/// Runs `load`; an error is the payload of its panic. By then the load is dropped.
pub(crate) async fn unless_it_panics<T>(load: impl Future<Output = T>) -> thread::Result<T> {
    let mut load = pin!(load);
    let poll = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| load.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    poll.await
}

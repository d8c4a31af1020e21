//! How calls that wait for nothing share a thread with other tasks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop;

/// The beginning of a call. It waits when the task has had its turn, so that others have theirs.
///
/// A copy, a value of the embedded store, and what goes past the store are there at once. A loop of
/// such calls would keep its thread for itself: no timer would fire, no reply would be read. So
/// each call takes a unit of the budget that tokio gives a task for a turn, as every use of a
/// socket or a channel does. Outside of tokio there is no budget, and no wait.
///
/// A type of its own, and not an `async fn`: see
/// `Inside`.
#[must_use]
pub struct Turn;

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        coop::poll_proceed(context).map(|turn| turn.made_progress())
    }
}

//! The body of a function that invalidates.

use std::sync::Arc;

use crate::invalidation::Invalidation;
use crate::observe::Event;
use crate::paths::closing::{self, Closing};
use crate::paths::invalidate;
use crate::runtime::Runtime;

/// Whether the caller of an invalidating function waits for the invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller waits until the invalidation is done.
    Wait,
    /// The caller does not wait.
    Background,
}

/// Watches over the body of an invalidating function. It is made when the function's future is
/// first polled: a future that is never polled invalidates nothing.
///
/// If it is dropped before [`complete`](Self::complete) or [`disarm`](Self::disarm), the body was
/// cancelled or panicked, and nobody knows whether it wrote. Then the targets known so far are
/// invalidated.
#[must_use]
pub struct Invalidating {
    runtime: Arc<Runtime>,
    /// Whose body it is.
    function: &'static str,
    mode: Mode,
    /// `None`: nothing is left to do.
    known: Option<Invalidation>,
    /// What was known is closed while the body runs.
    closing: Option<Closing>,
}

impl Invalidating {
    /// Of a function that nothing is known of yet.
    pub(crate) fn of(runtime: Arc<Runtime>, function: &'static str, mode: Mode) -> Self {
        Self { runtime, function, mode, known: Some(Invalidation::new()), closing: None }
    }

    /// Adds the targets that need the parameters alone. Called before the body runs, because the
    /// body may move the parameters.
    pub fn known(&mut self, invalidation: Invalidation) {
        self.known = Some(self.known.take().unwrap_or_default().and(invalidation));
    }

    /// Closes the targets known so far, until the body has returned. If that fails, the body runs
    /// all the same, the targets are invalidated after it, and the failure is logged at ERROR.
    ///
    /// Dropped, the body has not begun: what is closed is opened.
    pub async fn close(&mut self) {
        let (targets, invalid) = self.known.take().unwrap_or_default().into_parts();
        if let Some(error) = &invalid {
            self.runtime.counted.unprefixed.note(Event::InvalidName { by: self.function, error });
        }
        match closing::close(&self.runtime, targets.clone(), self.function).await {
            Ok(closing) => self.closing = Some(closing),
            Err(error) => {
                self.runtime.counted.unprefixed.note(Event::NotClosed { by: self.function, error: &error });
                self.known = Some(Invalidation::of(targets));
            }
        }
    }

    /// The body returned: invalidates the targets known so far and those that the result adds. The
    /// invalidation begins on the first poll, and goes on if the caller is dropped. Failures are
    /// counted, logged at ERROR with the name of the function, and retried in the background.
    pub async fn complete(mut self, from_result: Invalidation) {
        let invalidation = self.known.take().unwrap_or_default().and(from_result);
        let opened = self.closing.take().map(Closing::open_and_report);
        let done = invalidate::begin_and_report(&self.runtime, self.function, invalidation);
        if self.mode == Mode::Wait {
            done.await;
            if let Some(opened) = opened {
                opened.await;
            }
        }
    }

    /// The function failed, and `when = ok`: nothing was written.
    pub fn disarm(mut self) {
        self.known = None;
        // What is closed is opened in the background.
    }
}

impl Drop for Invalidating {
    fn drop(&mut self) {
        if let Some(known) = self.known.take() {
            drop(invalidate::begin_and_report(&self.runtime, self.function, known));
        }
    }
}

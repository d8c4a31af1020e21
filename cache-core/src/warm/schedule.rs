//! Runs again and again, in a task that ends with its handle.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::run::Run;
use crate::config::WARM_PAUSE_MIN;
use crate::runtime::{Term, scoped};

/// A schedule, made by [`Warmer::schedule`](crate::Warmer::schedule). Dropping it stops the run
/// that is under way, and no further run begins; so does [`Cache::shutdown`].
///
/// [`Cache::shutdown`]: crate::Cache::shutdown
#[derive(Debug)]
#[must_use = "dropping a schedule stops it"]
pub struct WarmSchedule {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl WarmSchedule {
    pub(super) fn begin(pause: Duration, term: Term, run: impl Fn() -> Run + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let runs = repeat(run, pause.max(WARM_PAUSE_MIN), stopped, term);
        Self { stop, task: tokio::spawn(scoped::within(scoped::current(), runs)) }
    }

    /// Stops the schedule, and waits until everything that it began has stopped.
    pub async fn shutdown(self) {
        drop(self.stop);
        // The task neither panics nor is aborted, except by the end of its runtime, and then it has
        // stopped as well.
        let _ = self.task.await;
    }
}

/// Runs one after the other, in one task, so a run cannot overlap the run before it. Ends when the
/// sender of `stopped` is dropped, or the cache is shut down.
async fn repeat(begin: impl Fn() -> Run, pause: Duration, mut stopped: oneshot::Receiver<()>, mut term: Term) {
    loop {
        let jittered = pause - pause.mul_f64(fastrand::f64() / 10.0);
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            () = term.ends() => return,
            () = tokio::time::sleep(jittered) => {}
        }
        let mut run = begin();
        tokio::select! {
            _ = &mut stopped => return run.stop().await,
            () = term.ends() => return run.stop().await,
            () = run.drive() => {}
        }
    }
}

//! Runs again and again, in a task that ends with its handle.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::run::Run;
use crate::config::WARM_PAUSE_MIN;

/// A schedule, as long as this lives: [`Warmer::schedule`](crate::Warmer::schedule). Dropped, it
/// begins nothing more and stops what is under way.
#[derive(Debug)]
#[must_use = "dropping a schedule stops it"]
pub struct WarmSchedule {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl WarmSchedule {
    pub(super) fn begin(pause: Duration, run: impl Fn() -> Run + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(repeat(run, pause.max(WARM_PAUSE_MIN), stopped)) }
    }

    /// Stops it, and waits until everything that it began has stopped.
    pub async fn shutdown(self) {
        drop(self.stop);
        // It neither panics nor is aborted, except by the end of its runtime: then it has stopped
        // as well.
        let _ = self.task.await;
    }
}

/// One task, so a run cannot overlap the one before it. Ends when the other end of `stopped` is
/// dropped.
async fn repeat(begin: impl Fn() -> Run, pause: Duration, mut stopped: oneshot::Receiver<()>) {
    loop {
        let jittered = pause - pause.mul_f64(fastrand::f64() / 10.0);
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(jittered) => {}
        }
        let mut run = begin();
        tokio::select! {
            _ = &mut stopped => return run.stop().await,
            () = run.drive() => {}
        }
    }
}

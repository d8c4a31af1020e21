//! Loads in tasks of their own (`finish`): they go on, and fill, although their callers are gone.
//!
//! To the enclosing loads such a load is what it would be in the caller's task: it hands its names
//! to them, taints them, and counts against the same budget.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{Loading, Subject};
use crate::clock::{self, timers};
use crate::observe::Event;
use crate::runtime::provenance;

impl Loading {
    /// Runs `run` in a task of its own, and returns what it returns. In the caller's task if all
    /// places for such tasks are taken, or if there is no runtime with timers.
    ///
    /// # Panics
    /// If the load panics, or if the runtime is shut down before the load has ended.
    pub(crate) async fn finish<R, F>(mut self: Box<Self>, run: R) -> F::Output
    where
        R: FnOnce(Box<Self>) -> F,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let subject = self.subject.clone();
        let (Ok(runtime), Some(place)) = (timers(), subject.runtime.load_tasks.reserve()) else {
            return run(self).await;
        };
        let (mut sender, receiver) = oneshot::channel();
        // Dropped with the caller.
        let caller = Arc::new(());
        self.caller = Some(Arc::downgrade(&caller));
        let load = provenance::carried(run(self));
        let task = async move {
            let _place = place;
            tokio::select! {
                biased;
                output = load => drop(sender.send(output)),
                () = in_vain(&subject, &mut sender) => {}
            }
        };
        let task = runtime.spawn(task.in_current_span());
        match receiver.await {
            Ok(output) => output,
            Err(_) => lost(task).await,
        }
    }
}

/// Waits until nobody waits for the load, and it goes on in vain: it has taken longer than a load
/// that fills may take, or the last handle of the cache is gone.
async fn in_vain<O>(subject: &Subject, caller: &mut oneshot::Sender<O>) {
    let begun = clock::now();
    let runtime = &subject.runtime;
    caller.closed().await;
    tokio::select! {
        () = runtime.load_tasks.closed() => {}
        () = tokio::time::sleep_until(begun + runtime.config.fence_retention) => {
            subject.note(Event::AbandonedFailure { error: "it took longer than fence_retention" });
        }
    }
}

/// The task has ended without an output.
async fn lost<O>(task: JoinHandle<()>) -> O {
    match task.await {
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        _ => panic!("the tokio runtime was shut down while it ran the load of a cached function"),
    }
}

//! Loads in tasks of their own (`finish`, `load_timeout`): they go on, and fill, although their
//! callers are gone, or are served without them.
//!
//! To the enclosing loads such a load is what it would be in the caller's task: it hands its names
//! to them, taints them, and counts against the same budget.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Instrument;

use super::{IfFailed, Loading, Subject, stand_in_if_stored};
use crate::clock::{self, timers};
use crate::entry::Entry;
use crate::observe::{CallMark, Event, PANICKED, TOOK_TOO_LONG};
use crate::paths::panics::unless_it_panics;
use crate::runtime::provenance;

/// What the caller of such a load gets.
pub enum Finish<O, V> {
    /// What the load returned.
    Ended(O),
    /// The load takes longer than `load_timeout`, and goes on: a value that stands in for it.
    Late(V),
}

impl Loading {
    /// Runs `run` in a task of its own. In the caller's task if its value cannot be stored, if all
    /// places for such tasks are taken, or if there is no runtime with timers. `read` returns the
    /// value of an entry that is to stand in for a load which takes too long.
    ///
    /// # Panics
    /// If the load panics, or if the runtime is shut down before the load has ended.
    pub(crate) async fn finish<R, F, V>(
        mut self: Box<Self>,
        run: R,
        read: impl FnOnce(&Entry) -> Option<V>,
    ) -> Finish<F::Output, V>
    where
        R: FnOnce(Box<Self>) -> F,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let subject = self.subject.clone();
        let may_fill = self.rights.clock.is_some();
        let place = may_fill.then(|| subject.runtime.load_tasks.reserve()).flatten();
        let (Ok(runtime), Some(place)) = (timers(), place) else {
            return Finish::Ended(run(self).await);
        };
        let (late, mark) = (self.late.zip(self.kept()), self.mark.clone());
        let (mut sender, mut receiver) = oneshot::channel();
        // Dropped with the caller.
        let caller = Arc::new(());
        self.caller = Some(Arc::downgrade(&caller));
        let load = unless_it_panics(provenance::carried(run(self)));
        let owner = subject.clone();
        let task = async move {
            let _place = place;
            tokio::select! {
                biased;
                output = load => if let Err(Err(_)) = sender.send(output) {
                    owner.note(Event::AbandonedFailure { error: PANICKED });
                },
                () = in_vain(&owner, &mut sender) => {}
            }
        };
        drop(runtime.spawn(task.in_current_span()));
        let ended = match late {
            Some((late, kept)) => match tokio::time::timeout_at(late, &mut receiver).await {
                Ok(ended) => ended,
                Err(_) => {
                    let entry = stand_in_if_stored(&subject, &kept).await;
                    if let Some(value) = entry.and_then(|entry| read(&entry)) {
                        subject.note(Event::LateLoad);
                        mark.iter().for_each(CallMark::stands_in);
                        return Finish::Late(value);
                    }
                    receiver.await
                }
            },
            None => receiver.await,
        };
        match ended {
            Ok(Ok(output)) => Finish::Ended(output),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => panic!("the tokio runtime was shut down while it ran the load of a cached function"),
        }
    }

    /// The value that may be served in the place of its own.
    fn kept(&self) -> Option<Entry> {
        if let IfFailed::Serve(entry) = &self.if_failed { Some(entry.clone()) } else { None }
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
            subject.note(Event::AbandonedFailure { error: TOOK_TOO_LONG });
        }
    }
}

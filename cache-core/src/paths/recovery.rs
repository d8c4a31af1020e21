//! Invalidations that failed: retried until they succeed, and what they name bypassed meanwhile.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout;

use super::drive::drive;
use crate::clock::{self, timers};
use crate::config::{RECOVERY_PAUSE_MAX, RECOVERY_PAUSE_MIN};
use crate::invalidation::Targets;
use crate::name::Name;
use crate::observe::Event;
use crate::runtime::Runtime;

/// Takes over a failed invalidation.
pub(crate) fn owe(runtime: &Arc<Runtime>, targets: Targets) {
    runtime.debts.incur(targets);
    keep_worker_alive(runtime);
}

/// Whether an invalidation is owed that would remove an entry with one of these names: it must not
/// be served.
pub(crate) fn affects<'a>(runtime: &Arc<Runtime>, names: impl IntoIterator<Item = &'a Name>) -> bool {
    is_owing(runtime) && runtime.debts.affects(names)
}

/// Whether any is owed. Also the moment to see that somebody is still retrying: a tokio runtime may
/// have ended and taken the worker with it, or stand still.
pub(crate) fn is_owing(runtime: &Arc<Runtime>) -> bool {
    let is_owing = runtime.debts.is_owing();
    if is_owing {
        keep_worker_alive(runtime);
    }
    is_owing
}

fn keep_worker_alive(runtime: &Arc<Runtime>) {
    // Without timers here, the next call that has them starts the worker.
    runtime.debts.employ(|id| Some(timers().ok()?.spawn(retry(runtime.clone(), id))));
}

/// Tries until nothing is owed. Holds the cache: what is owed outlives its last user.
async fn retry(runtime: Arc<Runtime>, id: u64) {
    let mut pause = RECOVERY_PAUSE_MIN;
    loop {
        if !runtime.debts.sign_of_life(id, pause) {
            return;
        }
        // A fleet that lost its store together must not come back together.
        tokio::time::sleep(clock::spread(pause)).await;
        let (targets, until) = runtime.debts.owed();
        let mut attempt = pin!(drive(&runtime, &targets));
        let outcome = loop {
            if !runtime.debts.sign_of_life(id, RECOVERY_PAUSE_MAX) {
                return;
            }
            // However long it takes: a worker whose runtime stands still is to be told from one at
            // work.
            if let Ok(outcome) = timeout(RECOVERY_PAUSE_MAX, attempt.as_mut()).await {
                break outcome;
            }
        };
        match outcome {
            Ok(removed) => {
                runtime.debts.settle(until);
                runtime.counted.unprefixed.note(Event::InvalidationsMadeGood(removed));
                pause = RECOVERY_PAUSE_MIN;
            }
            Err(_) => pause = (pause * 2).min(RECOVERY_PAUSE_MAX),
        }
        if runtime.debts.dismiss(id) {
            return;
        }
    }
}

//! Invalidations that failed: retried until they succeed, and what they name bypassed meanwhile.

use std::sync::Arc;

use super::drive::drive;
use crate::clock::{self, timers};
use crate::config::{INVALIDATE_DEADLINE, RECOVERY_PAUSE_MAX, RECOVERY_PAUSE_MIN};
use crate::invalidation::Targets;
use crate::name::Name;
use crate::runtime::Runtime;

/// Takes over a failed invalidation.
pub(crate) fn owe(runtime: &Arc<Runtime>, targets: Targets) {
    runtime.debts.incur(targets);
    keep_worker_alive(runtime);
}

/// Whether an invalidation is owed that would remove an entry with one of these names: it must not be served.
///
/// Also the moment to see that somebody is still retrying: a tokio runtime may have ended and taken the worker with it.
pub(crate) fn affects<'a>(runtime: &Arc<Runtime>, names: impl IntoIterator<Item = &'a Name>) -> bool {
    if !runtime.debts.is_owing() {
        return false;
    }
    keep_worker_alive(runtime);
    runtime.debts.affects(names)
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
        if !runtime.debts.sign_of_life(id, INVALIDATE_DEADLINE) {
            return;
        }
        match drive(&runtime, &targets).await {
            Ok(removed) => {
                runtime.debts.settle(until);
                tracing::info!(removed, "failed invalidations were made good");
                pause = RECOVERY_PAUSE_MIN;
            }
            Err(_) => pause = (pause * 2).min(RECOVERY_PAUSE_MAX),
        }
        if runtime.debts.dismiss(id) {
            return;
        }
    }
}

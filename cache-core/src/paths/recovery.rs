//! Failed invalidations. They are retried until they succeed; until then, calls bypass the entries
//! that they name.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::drive::drive;
use crate::clock::{self, timers};
use crate::config::{LostWrites, RECOVERY_PAUSE_MAX, RECOVERY_PAUSE_MIN};
use crate::error::Error;
use crate::invalidation::Targets;
use crate::observe::Event;
use crate::runtime::Runtime;
use crate::runtime::debts::Hold;
use crate::store::ClosingId;

/// Takes over a failed invalidation, whose names `by` holds if they are to be held.
pub(crate) fn owe(runtime: &Arc<Runtime>, targets: Targets, by: ClosingId) {
    runtime.debts.incur(targets, by);
    keep_worker_alive(runtime);
}

/// Whether any invalidation is owed. If so, it also makes sure that a worker is retrying: the
/// worker's tokio runtime may have ended, or may stand still.
pub(crate) fn is_owing(runtime: &Arc<Runtime>) -> bool {
    let is_owing = runtime.debts.is_owing();
    if is_owing {
        keep_worker_alive(runtime);
    }
    is_owing
}

/// Listens for losses of writes: everything that the store has may be old. So it is cleared, and
/// until that is done this process serves nothing of it.
pub(crate) fn heed_losses(runtime: &Arc<Runtime>) {
    let Some(store) = &runtime.store else { return };
    let runtime = Arc::downgrade(runtime);
    store.on_loss(Box::new(move || {
        let Some(runtime) = runtime.upgrade() else { return false };
        let clears = runtime.config.lost_writes == LostWrites::Clear;
        runtime.counted.unprefixed.note(Event::WritesLost { clears });
        if clears {
            owe(&runtime, Targets { clear: true, ..Targets::default() }, ClosingId::new());
        }
        true
    }));
}

fn keep_worker_alive(runtime: &Arc<Runtime>) {
    // Without timers here, the next call with timers starts the worker.
    runtime.debts.employ(|id| Some(timers().ok()?.spawn(retry(runtime.clone(), id))));
}

/// Retries until nothing is owed. The task keeps the runtime of the cache alive, so debts outlive
/// the last handle.
async fn retry(runtime: Arc<Runtime>, id: u64) {
    let mut pause = RECOVERY_PAUSE_MIN;
    loop {
        if !runtime.debts.sign_of_life(id, pause) {
            return;
        }
        // Spread, so that processes that lost the store at the same time do not all come back at
        // the same time.
        tokio::time::sleep(clock::spread(pause)).await;
        let mut attempt = pin!(attempt(&runtime));
        let outcome = loop {
            if !runtime.debts.sign_of_life(id, RECOVERY_PAUSE_MAX) {
                return;
            }
            // The attempt may take as long as it needs. The signs of life tell a worker at work
            // from one whose tokio runtime stands still.
            if let Ok(outcome) = timeout(RECOVERY_PAUSE_MAX, attempt.as_mut()).await {
                break outcome;
            }
        };
        match outcome {
            Ok(()) => pause = RECOVERY_PAUSE_MIN,
            Err(_) => pause = (pause * 2).min(RECOVERY_PAUSE_MAX),
        }
        if runtime.debts.dismiss(id) {
            return;
        }
    }
}

/// One attempt at all that is owed now.
async fn attempt(runtime: &Runtime) -> Result<(), Error> {
    let (targets, to_hold, until) = runtime.debts.owed();
    if !targets.is_empty() {
        make_good(runtime, &targets, until).await?;
    }
    for (Hold { by, lasts }, names) in to_hold {
        let targets = Targets { names, hold: lasts, ..Targets::default() };
        drive(runtime, &targets, by).await?;
        runtime.debts.held(&targets.names, until);
    }
    Ok(())
}

async fn make_good(runtime: &Runtime, targets: &Targets, until: u64) -> Result<(), Error> {
    let loss = runtime.store.as_ref().filter(|_| targets.clear).and_then(|store| store.loss());
    let removed = drive(runtime, targets, ClosingId::new()).await?;
    if let (Some(store), Some(loss)) = (&runtime.store, loss) {
        // Without an answer other processes clear as well.
        let _ = store.make_good(&loss, clock::now() + runtime.config.operation_deadline).await;
    }
    runtime.debts.settle(until);
    runtime.counted.unprefixed.note(Event::InvalidationsMadeGood(removed));
    Ok(())
}

/// Sends what these caches owe, and waits for what is under way, until there is neither and nothing
/// runs in the background, for `limit` at most. They are settled at the same time: one that waits
/// for a refresh to end takes no time from the others. Dropped, it leaves what was not sent owed.
pub(crate) async fn settle_within(runtimes: impl Iterator<Item = Arc<Runtime>>, limit: Duration) {
    if timers().is_err() {
        for runtime in runtimes.filter(|runtime| runtime.debts.is_owing()) {
            let _ = attempt(&runtime).await;
        }
        return;
    }
    let settled = runtimes.map(|runtime| async move {
        tokio::join!(
            settle(&runtime),
            runtime.refreshes.none_under_way(),
            runtime.verifications.none_under_way(),
            runtime.schedules.none_under_way()
        )
    });
    let _ = timeout(limit, settled.collect::<JoinSet<_>>().join_all()).await;
}

async fn settle(runtime: &Runtime) {
    let mut pause = RECOVERY_PAUSE_MIN;
    loop {
        if !runtime.debts.is_owing() {
            runtime.debts.none_under_way().await;
            if !runtime.debts.is_owing() {
                return;
            }
        }
        // An open breaker lets nothing through until the store has answered.
        if let Some(store) = &runtime.store {
            let _ = store.ready(RECOVERY_PAUSE_MAX).await;
        }
        if attempt(runtime).await.is_err() {
            tokio::time::sleep(clock::spread(pause)).await;
            pause = (pause * 2).min(RECOVERY_PAUSE_MAX);
        }
    }
}

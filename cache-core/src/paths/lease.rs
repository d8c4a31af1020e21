//! The exclusive right to load a key. It is renewed while its owner loads, and given back whatever
//! becomes of the owner.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::task::AbortHandle;

use super::subject::Subject;
use super::window::{self, Boxed};
use crate::clock::timers;
use crate::config::BATCH_WINDOW;
use crate::error::Error;
use crate::observe::StoreOperation;
use crate::runtime::Runtime;
use crate::runtime::budget::{Budget, ask_aside};
use crate::runtime::single_flight::{FlightCloser, Leader};
use crate::store::{IfHeld, IfPresent, LeaseReply, LeaseRequest, Token};

/// Asks for the lease of a subject. The answer may be a value that was stored meanwhile.
pub(crate) async fn ask(
    subject: &Subject,
    budget: &mut Budget,
    lease: &Lease,
    if_present: IfPresent,
    if_held: IfHeld,
) -> Result<LeaseReply, Error> {
    let store = subject.runtime.store()?;
    let (lasts, recall) = (subject.runtime.config.lease, subject.recall());
    let request = LeaseRequest { token: lease.token, lasts, if_present, if_held, recall };
    budget.ask(&subject.counters, StoreOperation::TakeLease, |until| store.take_lease(&lease.key, request, until)).await
}

/// A lease that was asked for. If it is dropped, it is given back in the background, even if nobody
/// knows whether it was granted: the answer may be lost, and giving back a token that holds nothing
/// does nothing.
pub(crate) struct Lease {
    runtime: Arc<Runtime>,
    key: Arc<str>,
    pub(crate) token: Token,
    owed: bool,
}

impl Lease {
    pub(crate) fn new(runtime: &Arc<Runtime>, key: &Arc<str>) -> Self {
        Self { runtime: runtime.clone(), key: key.clone(), token: Token::new(), owed: true }
    }

    /// Nothing has to be given back: a fill gave the lease back, or somebody else has it.
    pub(crate) fn forget(&mut self) {
        self.owed = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.owed {
            release(self.runtime.clone(), self.key.clone(), self.token);
        }
    }
}

/// Renews the leases of one load until this is dropped.
#[derive(Default)]
pub(crate) struct Renewal(Option<AbortHandle>);

/// One lease to be renewed.
struct RenewedLease {
    key: Arc<str>,
    token: Token,
    flight: Option<FlightCloser>,
}

impl Renewal {
    /// Starts the task that renews `leases`, each time after a third of their duration, and for
    /// `fence_retention` at most: a load that takes longer cannot fill.
    ///
    /// If the store says that a lease is lost, an invalidation has overtaken its load. The lease is
    /// no longer renewed, and its flight is closed, so that new callers do not wait for that load.
    ///
    /// Without timers there is no such task, and the leases run out.
    pub(crate) fn of<'a>(
        runtime: &Arc<Runtime>,
        leases: impl Iterator<Item = (&'a Lease, Option<&'a Leader>)>,
    ) -> Self {
        let leases: Vec<RenewedLease> = leases
            .map(|(lease, leader)| RenewedLease {
                key: lease.key.clone(),
                token: lease.token,
                flight: leader.map(Leader::closing),
            })
            .collect();
        let handle = (!leases.is_empty()).then(timers).and_then(Result::ok);
        Self(handle.map(|handle| {
            let bounded = tokio::time::timeout(runtime.config.fence_retention, renew(runtime.clone(), leases));
            handle.spawn(async { _ = bounded.await }).abort_handle()
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn renew(runtime: Arc<Runtime>, mut leases: Vec<RenewedLease>) {
    let Ok(store) = runtime.store() else { return };
    while !leases.is_empty() {
        tokio::time::sleep(runtime.config.lease / 3).await;
        let mut lost = HashSet::new();
        let renewals = leases.iter().map(|RenewedLease { key, token, flight }| -> Boxed<'_, Option<u128>> {
            let lasts = runtime.config.lease;
            let renew = move |until| store.renew_lease(key, *token, lasts, until);
            let renewal = ask_aside(&runtime, StoreOperation::RenewLease, renew);
            Box::pin(async {
                // The lease is kept after a failed renewal: the next attempt comes before it runs
                // out.
                let is_lost = matches!(renewal.await, Ok(false));
                flight.iter().filter(|_| is_lost).for_each(FlightCloser::close);
                is_lost.then_some(token.0)
            })
        });
        window::run(renewals, BATCH_WINDOW, |ended| {
            lost.extend(ended);
            ControlFlow::Continue(())
        })
        .await;
        leases.retain(|lease| !lost.contains(&lease.token.0));
    }
}

fn release(runtime: Arc<Runtime>, key: Arc<str>, token: Token) {
    let mut release: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        if let Ok(store) = runtime.store() {
            let release = |until| store.release_lease(&key, token, until);
            // If this fails, the lease runs out by itself.
            _ = ask_aside(&runtime, StoreOperation::ReleaseLease, release).await;
        }
    });
    // The embedded store answers at the first poll, so the next call of this task does not meet the
    // lease.
    if release.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    if let Ok(handle) = timers() {
        handle.spawn(release);
    }
}

//! Refreshes in the background: one per key and process, a bounded number at once, each for a
//! bounded time, none after the last handle of the cache.
//!
//! The caller has already been served the old value, so a refresh waits for nobody: if another
//! process has the lease, or has stored a newer value, the refresh has nothing to do. It loads
//! after a reading of the clock and fills as every load does. If an invalidation overtakes it, the
//! store refuses its value.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::lease::{self, Lease};
use super::load::{IfFailed, Loading, Replaces, Rights};
use super::panics::unless_it_panics;
use super::subject::Subject;
use crate::config::REFRESH_RETRY_PAUSE;
use crate::entry::Version;
use crate::observe::{Event, PANICKED, TOOK_TOO_LONG, refresh_span};
use crate::runtime::budget::Budget;
use crate::runtime::{Reservation, scoped};
use crate::store::{IfHeld, IfPresent, LeaseReply};

/// A refresh that is due. If it is dropped, another call will find the refresh due.
pub(crate) struct Due {
    subject: Arc<Subject>,
    /// The version of the value to be replaced.
    version: Version,
    reservation: Reservation,
}

impl Due {
    /// `None`: this process refreshes the key already, `refreshes_max` refreshes are under way, or
    /// the last handle of the cache is gone.
    pub(crate) fn new(subject: &Arc<Subject>, version: Version) -> Option<Box<Self>> {
        let runtime = &subject.runtime;
        let reservation = runtime.refreshes.reserve(subject.key_text()?, runtime.config.refreshes_max)?;
        Some(Box::new(Self { subject: subject.clone(), version, reservation }))
    }

    /// Takes the lease and runs `reload`, in a task of its own. `reload` says whether the load
    /// succeeded.
    pub(crate) fn spawn<R, F>(self: Box<Self>, reload: R)
    where
        R: FnOnce(Box<Loading>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let Ok(handle) = Handle::try_current() else { return };
        let place = self.reservation.place();
        let work = async move {
            if let Some(loading) = self.lease().await
                && !self.run(reload(loading)).await
            {
                // After a failure the key's place stays taken for a pause. Otherwise every next
                // call would try again.
                tokio::time::sleep(REFRESH_RETRY_PAUSE).await;
            }
            drop(self.reservation);
        };
        let task = handle.spawn(scoped::within(scoped::current(), work));
        place.spawned(task.abort_handle());
    }

    /// Runs the load and says whether it succeeded. A load that takes longer than `fence_retention`
    /// cannot fill, so it is ended: it would go on holding a place, and the lease that keeps other
    /// processes from refreshing.
    async fn run(&self, reload: impl Future<Output = bool>) -> bool {
        let Subject { runtime, counters, .. } = &*self.subject;
        let limit = runtime.config.fence_retention;
        let span = refresh_span(&runtime.config.namespace, counters);
        let error = match tokio::time::timeout(limit, unless_it_panics(reload).instrument(span)).await {
            Ok(Ok(succeeded)) => return succeeded,
            // Counted and followed by a pause like any other failure: it must not end the task.
            Ok(Err(_)) => PANICKED,
            Err(_) => TOOK_TOO_LONG,
        };
        self.subject.note(Event::RefreshFailed { error });
        false
    }

    /// The right to load; `None` if another process has the lease, or has stored a newer value, or
    /// the store failed.
    async fn lease(&self) -> Option<Box<Loading>> {
        let subject = &self.subject;
        let mut budget = Budget::new(subject.runtime.config.operation_deadline);
        let mut lease = Lease::new(&subject.runtime, subject.key_text()?);
        let if_present = IfPresent::ReturnOther(self.version);
        match lease::ask(subject, &mut budget, &lease, if_present, IfHeld::Wait).await.ok()? {
            LeaseReply::Granted(clock) => {
                subject.note(Event::RefreshBegan);
                let rights = Rights { clock: Some(clock), lease: Some(lease), ..Rights::default() };
                Some(Loading::new(subject.clone(), rights, budget, IfFailed::Report, Replaces::This(self.version)))
            }
            LeaseReply::Hit(_) | LeaseReply::Held { .. } => {
                lease.forget();
                None
            }
        }
    }
}

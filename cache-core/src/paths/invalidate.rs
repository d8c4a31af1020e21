//! Invalidations, and what becomes of them if the caller goes away or the store fails. Each runs to
//! its end. A failed one is owed: the recovery retries it. If no caller can be told of the failure,
//! it is logged.

use std::sync::Arc;

use std::time::Duration;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::drive::{Marking, drive, drive_marking};
use super::recovery;
use crate::error::{Error, ErrorKind};
use crate::invalidation::{Invalidated, Invalidation, Targets};
use crate::observe::Event;
use crate::runtime::{Runtime, provenance};
use crate::store::ClosingId;

/// An invalidation that is to be done. Dropped before its targets were reached, it is owed to the
/// recovery. That includes an invalidation whose tokio runtime ends while it runs.
pub(crate) struct Obligation {
    runtime: Arc<Runtime>,
    targets: Arc<Targets>,
    /// Its number among those under way.
    number: u64,
    /// Who closes or holds its names, also when it is retried.
    by: ClosingId,
    is_fulfilled: bool,
}

impl Obligation {
    pub(crate) fn new(runtime: &Arc<Runtime>, targets: Targets) -> Self {
        provenance::invalidates(runtime.id, &targets.names, targets.clear || !targets.patterns.is_empty());
        let targets = Arc::new(targets);
        let number = runtime.debts.begin(targets.clone());
        Self { runtime: runtime.clone(), targets, number, by: ClosingId::new(), is_fulfilled: false }
    }

    /// Removes the targets. If that fails, they are owed.
    pub(crate) async fn drive(self) -> Result<Invalidated, Error> {
        let entries = drive(&self.runtime, &self.targets, self.by).await?;
        self.fulfilled();
        Ok(Invalidated { entries })
    }

    /// Removes the targets and closes their names.
    pub(crate) async fn close(&self, lasts: Duration) -> Result<(), Error> {
        drive_marking(&self.runtime, &self.targets, Marking::Close { by: self.by, lasts }).await.map(drop)
    }

    /// Removes the targets and opens their names, now or when they have been held for long enough.
    /// If that fails, they are owed.
    pub(crate) async fn open(self) -> Result<Invalidated, Error> {
        let by = self.by;
        let marking = match self.targets.hold {
            Duration::ZERO => Marking::Open { by },
            lasts => Marking::Hold { by, lasts },
        };
        let entries = drive_marking(&self.runtime, &self.targets, marking).await?;
        self.fulfilled();
        Ok(Invalidated { entries })
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    pub(crate) fn by(&self) -> ClosingId {
        self.by
    }

    pub(crate) fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// The targets were reached: nothing is owed.
    pub(crate) fn fulfilled(mut self) {
        self.is_fulfilled = true;
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if !self.is_fulfilled {
            self.runtime.counted.unprefixed.note(Event::InvalidationOwed);
            recovery::owe(&self.runtime, Targets::clone(&self.targets), self.by);
        }
        // In this order: it is in one of the two lists at any time.
        self.runtime.debts.end(self.number);
    }
}

/// Invalidates, and goes on to the end if the caller is dropped meanwhile.
pub(crate) async fn invalidate(runtime: &Arc<Runtime>, targets: Targets) -> Result<Invalidated, Error> {
    if targets.is_empty() || runtime.store.is_none() {
        return Ok(Invalidated::default());
    }
    to_the_end(Obligation::new(runtime, targets).drive()).await
}

/// Begins an invalidation whose caller has no way to learn of a failure: failures are logged at
/// ERROR, as those of the function `by`. As [`to_the_end`].
pub(crate) fn begin_and_report(
    runtime: &Arc<Runtime>,
    by: &'static str,
    invalidation: Invalidation,
) -> impl Future<Output = ()> + Send + use<> {
    let (targets, invalid) = invalidation.into_parts();
    if let Some(error) = &invalid {
        runtime.counted.unprefixed.note(Event::InvalidName { by, error });
    }
    let wanted = !targets.is_empty() && runtime.store.is_some();
    let done = wanted.then(|| {
        let obligation = Obligation::new(runtime, targets);
        let runtime = runtime.clone();
        let say = move |error: &Error| runtime.counted.unprefixed.note(Event::InvalidationFailed { by, error });
        report(obligation.drive(), say)
    });
    async move {
        if let Some(done) = done {
            done.await;
        }
    }
}

/// Begins work that owes an invalidation if it fails, and has `say` say so. As [`to_the_end`].
pub(crate) fn report<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
    say: impl FnOnce(&Error) + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let work = to_the_end(async move { work.await.inspect_err(say) });
    // A failure is owed and said by now.
    async move { _ = work.await }
}

/// Begins work that goes on even if the future that waits for it is dropped. With a tokio runtime,
/// the work runs in a task of its own that is spawned before this returns; the future waits for its
/// end. Without one, the work runs inside the future.
pub(crate) fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    let task = match Handle::try_current() {
        Ok(handle) => Ok(handle.spawn(work.in_current_span())),
        // Boxed for the rare case: else the future of every caller had room for the work.
        Err(_) => Err(Box::pin(work)),
    };
    async move {
        match task {
            Ok(task) => task.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the tokio runtime ended before the invalidation did"))
            }),
            Err(work) => work.await,
        }
    }
}

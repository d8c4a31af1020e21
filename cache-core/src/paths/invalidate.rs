//! Invalidation: by key, by tag, by pattern, of everything; driven until nothing is pending.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::recovery;
use crate::clock::{Instant, within};
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::invalidation::{Invalidated, Invalidation, Targets};
use crate::name::Name;
use crate::runtime::Runtime;
use crate::store::{Drained, SweepScope};

/// Owes the targets to the recovery, unless they are settled first: so does an invalidation whose runtime ends under it.
pub(crate) struct Unsettled {
    runtime: Arc<Runtime>,
    targets: Option<Targets>,
}

impl Unsettled {
    pub(crate) fn new(runtime: &Arc<Runtime>, targets: Targets) -> Self {
        Self { runtime: runtime.clone(), targets: Some(targets) }
    }

    /// Drives the targets to the end; what fails is owed.
    pub(crate) async fn drive(self) -> Result<Invalidated, Error> {
        let Some(targets) = &self.targets else { return Ok(Invalidated::default()) };
        let entries = drive(&self.runtime, targets).await?;
        match targets.prefix() {
            Some(prefix) => self.runtime.counted.prefix(prefix).invalidated(entries),
            None => self.runtime.counted.unprefixed.invalidated(entries),
        }
        self.settled();
        Ok(Invalidated { entries })
    }

    /// Nothing is owed.
    pub(crate) fn settled(mut self) {
        self.targets = None;
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(targets) = self.targets.take() {
            self.runtime.counted.unprefixed.failed_invalidations(1);
            recovery::owe(&self.runtime, targets);
        }
    }
}

/// Invalidates in a task of its own, so that a caller who is dropped while waiting does not stop it.
pub(crate) async fn invalidate(runtime: &Arc<Runtime>, targets: Targets) -> Result<Invalidated, Error> {
    if targets.is_empty() || runtime.store.is_none() {
        return Ok(Invalidated::default());
    }
    let work = Unsettled::new(runtime, targets).drive();
    match Handle::try_current() {
        Ok(handle) => handle.spawn(work).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the runtime ended before the invalidation did"))
        }),
        Err(_) => work.await,
    }
}

/// Sends everything and goes on until nothing is pending. Returns the number of live entries removed.
pub(crate) async fn drive(runtime: &Runtime, targets: &Targets) -> Result<u64, Error> {
    // Before: a call that comes now may not join a load that began before. After: nor one that began while it ran.
    runtime.flights.close_epoch();
    let result = Drive::new(runtime).all(targets).await;
    runtime.flights.close_epoch();
    result
}

/// Goes on with what is pending until nothing is. Returns the number of live entries removed.
pub(crate) async fn drain(runtime: &Runtime) -> Result<u64, Error> {
    let mut drive = Drive::new(runtime);
    drive.drain().await?;
    Ok(drive.removed)
}

/// Begins an invalidation whose caller has no way to learn of a failure, and says failures at ERROR. It is under way when
/// this returns, as far as there is a runtime; the future waits for its end.
pub(crate) fn begin_and_report(
    runtime: &Arc<Runtime>,
    invalidation: Invalidation,
) -> impl Future<Output = ()> + Send + use<> {
    let (targets, invalid) = invalidation.into_parts();
    if let Some(error) = invalid {
        runtime.counted.unprefixed.failed_invalidations(1);
        tracing::error!(%error, "a function invalidates something that can never name an entry");
    }
    let wanted = !targets.is_empty() && runtime.store.is_some();
    let done = wanted.then(|| begin(Unsettled::new(runtime, targets).drive()));
    async move {
        if let Some(done) = done {
            done.await;
        }
    }
}

/// Begins work that owes an invalidation if it fails, and says so at ERROR; as [`begin_and_report`].
pub(crate) fn begin<T: 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let work = async move {
        if let Err(error) = work.await {
            tracing::error!(%error, "an invalidation failed; it is retried in the background");
        }
    };
    let task = match Handle::try_current() {
        Ok(handle) => Ok(handle.spawn(work)),
        Err(_) => Err(work),
    };
    async move {
        match task {
            // Its end is all that matters: if its runtime ended first, the recovery owes it.
            Ok(task) => _ = task.await,
            Err(work) => work.await,
        }
    }
}

struct Drive<'a> {
    runtime: &'a Runtime,
    until: Instant,
    removed: u64,
}

impl<'a> Drive<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self { runtime, until: Instant::now() + INVALIDATE_DEADLINE, removed: 0 }
    }

    async fn all(mut self, targets: &Targets) -> Result<u64, Error> {
        let mut pending = false;
        for chunk in targets.names.chunks(INVALIDATE_NAMES_PER_CHUNK) {
            let drained = self.chunk(chunk).await?;
            pending = self.count(drained);
        }
        if pending {
            self.drain().await?;
        }
        if targets.clear {
            self.sweep("*", SweepScope::Values).await?;
            self.sweep("*", SweepScope::AllIndexes).await?;
        } else {
            for pattern in &targets.patterns {
                // In this order: an index gains a stale dependent only while its entry is there for the first walk to meet.
                self.sweep(pattern, SweepScope::Values).await?;
                self.sweep(pattern, SweepScope::Dependents).await?;
            }
        }
        Ok(self.removed)
    }

    async fn sweep(&mut self, pattern: &str, scope: SweepScope) -> Result<(), Error> {
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            self.check_time()?;
            let page =
                within(self.runtime.config.operation_deadline, self.runtime.store()?.sweep(pattern, scope, at)).await?;
            if self.count(page.drained) {
                self.drain().await?;
            }
            cursor = page.next;
            // The embedded store never waits: let others run between two pages.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Error> {
        loop {
            let drained = self.chunk(&[]).await?;
            if !self.count(drained) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn chunk(&self, names: &[Name]) -> Result<Drained, Error> {
        self.check_time()?;
        within(self.runtime.config.operation_deadline, self.runtime.store()?.invalidate(names)).await
    }

    /// Whether something is still pending.
    fn count(&mut self, drained: Drained) -> bool {
        self.removed += drained.removed;
        drained.pending > 0
    }

    fn check_time(&self) -> Result<(), Error> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "the invalidation took too long; it goes on in the background"))
    }
}

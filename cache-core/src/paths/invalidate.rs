//! Invalidation: by key, by tag, by pattern, of everything; driven until nothing is pending.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::recovery;
use crate::clock::{self, Instant};
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::invalidation::{Invalidated, Invalidation, Targets};
use crate::name::Name;
use crate::observe::Event;
use crate::runtime::Runtime;
use crate::store::{Drained, SweepScope, within};

/// Targets that are owed to the recovery unless they are reached: an invalidation whose tokio runtime ends under it is
/// owed as well.
pub(crate) struct Obligation {
    runtime: Arc<Runtime>,
    targets: Option<Targets>,
}

impl Obligation {
    pub(crate) fn new(runtime: &Arc<Runtime>, targets: Targets) -> Self {
        Self { runtime: runtime.clone(), targets: Some(targets) }
    }

    /// Drives the targets to the end; what fails is owed.
    pub(crate) async fn drive(self) -> Result<Invalidated, Error> {
        let Some(targets) = &self.targets else { return Ok(Invalidated::default()) };
        let entries = drive(&self.runtime, targets).await?;
        match targets.prefix() {
            Some(prefix) => self.runtime.counted.prefix(prefix).note(Event::Removed(entries)),
            None => self.runtime.counted.unprefixed.note(Event::Removed(entries)),
        }
        self.fulfilled();
        Ok(Invalidated { entries })
    }

    /// Nothing is owed.
    pub(crate) fn fulfilled(mut self) {
        self.targets = None;
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if let Some(targets) = self.targets.take() {
            self.runtime.counted.unprefixed.note(Event::InvalidationOwed);
            recovery::owe(&self.runtime, targets);
        }
    }
}

/// Invalidates to the end, also if the caller is dropped while waiting.
pub(crate) async fn invalidate(runtime: &Arc<Runtime>, targets: Targets) -> Result<Invalidated, Error> {
    if targets.is_empty() || runtime.store.is_none() {
        return Ok(Invalidated::default());
    }
    to_the_end(Obligation::new(runtime, targets).drive()).await
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

/// Begins an invalidation whose caller has no way to learn of a failure: failures are said at ERROR. As [`to_the_end`].
pub(crate) fn begin_and_report(
    runtime: &Arc<Runtime>,
    invalidation: Invalidation,
) -> impl Future<Output = ()> + Send + use<> {
    let (targets, invalid) = invalidation.into_parts();
    if let Some(error) = &invalid {
        runtime.counted.unprefixed.note(Event::InvalidName { error });
    }
    let wanted = !targets.is_empty() && runtime.store.is_some();
    let done = wanted.then(|| report(runtime.clone(), Obligation::new(runtime, targets).drive()));
    async move {
        if let Some(done) = done {
            done.await;
        }
    }
}

/// Begins work that owes an invalidation if it fails, and says so at ERROR. As [`to_the_end`].
pub(crate) fn report<T: Send + 'static>(
    runtime: Arc<Runtime>,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let work = to_the_end(async move {
        work.await.inspect_err(|error| runtime.counted.unprefixed.note(Event::InvalidationFailed { error }))
    });
    // A failure is owed and said by now.
    async move { _ = work.await }
}

/// Begins work that goes on although whoever waits for it is dropped. It is under way when this returns, as far as there is a
/// tokio runtime, and in a task of its own; the future waits for its end.
pub(crate) fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    let task = match Handle::try_current() {
        Ok(handle) => Ok(handle.spawn(work)),
        Err(_) => Err(work),
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

struct Drive<'a> {
    runtime: &'a Runtime,
    until: Instant,
    removed: u64,
}

impl<'a> Drive<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self { runtime, until: clock::now() + INVALIDATE_DEADLINE, removed: 0 }
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
        if clock::now() < self.until {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "the invalidation took too long; it goes on in the background"))
    }
}

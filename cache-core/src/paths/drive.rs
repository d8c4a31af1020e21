//! An invalidation on its way: chunk by chunk and page by page, until nothing is pending.

use crate::clock::{self, Instant};
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::invalidation::Targets;
use crate::name::Name;
use crate::observe::Event;
use crate::runtime::Runtime;
use crate::store::{Removal, SweepScope};

/// Sends all targets and goes on until nothing is pending. Returns the number of live entries
/// removed.
pub(crate) async fn drive(runtime: &Runtime, targets: &Targets) -> Result<u64, Error> {
    // Close the flights twice. Before: a call that comes now must not join a load that began
    // earlier. After: a later call must not join a load that began while the invalidation ran.
    runtime.flights.close_epoch();
    let result = Drive::new(runtime).all(targets).await;
    runtime.flights.close_epoch();
    result
}

/// Counts what one chunk removed, each entry for the prefix of its key.
pub(crate) fn note_removed(runtime: &Runtime, drained: &Removal) {
    let mut others = drained.removed;
    for (prefix, removed) in &drained.by_prefix {
        runtime.counted.prefix(prefix).note(Event::Removed(*removed));
        others = others.saturating_sub(*removed);
    }
    runtime.counted.unprefixed.note(Event::Removed(others));
}

/// Goes on until nothing is pending. Returns the number of live entries removed.
pub(crate) async fn drain(runtime: &Runtime) -> Result<u64, Error> {
    let mut drive = Drive::new(runtime);
    drive.drain().await?;
    Ok(drive.removed)
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
            pending = self.count(&drained);
        }
        if pending {
            self.drain().await?;
        }
        if targets.clear {
            self.sweep("*", SweepScope::Values).await?;
            self.sweep("*", SweepScope::AllIndexes).await?;
        } else {
            for pattern in &targets.patterns {
                // In this order: an index gains a stale dependent only while the stale entry is
                // still there, and then the first walk meets that entry.
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
            let page = self.runtime.store()?.sweep(pattern, scope, at, self.operation_ends()).await?;
            if self.count(&page.drained) {
                self.drain().await?;
            }
            cursor = page.next;
            // The embedded store never yields: let other tasks run between two pages.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Error> {
        loop {
            let drained = self.chunk(&[]).await?;
            if !self.count(&drained) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn chunk(&self, names: &[Name]) -> Result<Removal, Error> {
        self.check_time()?;
        self.runtime.store()?.invalidate(names, self.operation_ends()).await
    }

    fn operation_ends(&self) -> Instant {
        clock::now() + self.runtime.config.operation_deadline
    }

    /// Whether something is still pending.
    fn count(&mut self, drained: &Removal) -> bool {
        note_removed(self.runtime, drained);
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

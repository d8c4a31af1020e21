//! An invalidation on its way: chunk by chunk and page by page, until nothing is pending.

use crate::clock::{self, Instant};
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::invalidation::Targets;
use crate::name::Name;
use crate::observe::Event;
use crate::runtime::Runtime;
use crate::store::{Removal, StoreLoss, SweepScope};

/// Sends all targets and goes on until nothing is pending. Returns the number of live entries
/// removed.
pub(crate) async fn drive(runtime: &Runtime, targets: &Targets) -> Result<u64, Error> {
    let _under_way = runtime.change();
    Drive::new(runtime).all(targets).await
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

/// Goes on from a removal until nothing is pending. Returns the number of live entries removed.
pub(crate) async fn finish(runtime: &Runtime, removal: Removal) -> Result<u64, Error> {
    let mut drive = Drive::new(runtime);
    if drive.count(&removal) {
        drive.drain().await?;
    }
    drive.recover().await?;
    Ok(drive.removed)
}

struct Drive<'a> {
    runtime: &'a Runtime,
    until: Instant,
    removed: u64,
    /// The highest mark of lost members that a reply told of.
    lost: u64,
}

impl<'a> Drive<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self { runtime, until: clock::now() + INVALIDATE_DEADLINE, removed: 0, lost: 0 }
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
            self.clear().await?;
        } else {
            for pattern in &targets.patterns {
                // In this order: an index gains a stale dependent only while the stale entry is
                // still there, and then the first walk meets that entry.
                self.sweep(pattern, SweepScope::Values).await?;
                self.sweep(pattern, SweepScope::Dependents).await?;
            }
        }
        self.recover().await?;
        Ok(self.removed)
    }

    async fn clear(&mut self) -> Result<(), Error> {
        self.sweep("*", SweepScope::Values).await?;
        self.sweep("*", SweepScope::AllIndexes).await
    }

    /// Members that were lost cannot be reached any more, and may be what is to be invalidated. So
    /// everything is removed.
    async fn recover(&mut self) -> Result<(), Error> {
        let mut made_good = 0;
        while self.lost > made_good {
            let found = self.lost;
            self.clear().await?;
            self.runtime.store()?.make_good(&StoreLoss::Members(found), self.operation_ends()).await?;
            made_good = found;
        }
        Ok(())
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
        self.lost = self.lost.max(drained.lost);
        drained.pending > 0
    }

    fn check_time(&self) -> Result<(), Error> {
        if clock::now() < self.until {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "the invalidation took too long; it goes on in the background"))
    }
}

//! An invalidation on its way: step by step and page by page, until nothing is pending.

use std::time::Duration;

use tracing::Instrument;

use super::ending::{Ending, RemovalTally};
use crate::clock::{self, Instant};
use crate::config::INVALIDATE_DEADLINE;
use crate::error::{Error, ErrorKind};
use crate::invalidation::Targets;
use crate::name::Name;
use crate::observe::{InvalidationKind, StoreOperation, invalidation_span};
use crate::runtime::Runtime;
use crate::runtime::budget::ask_aside;
use crate::store::{ClosingId, Intent, Operation, Removal, StoreLoss, SweepScope};

/// What becomes of the given names beside their invalidation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Marking {
    /// Nothing.
    Keep,
    /// They are closed, or nothing is done.
    Close { by: ClosingId, lasts: Duration },
    /// They are invalidated, and closed if there is room for all of them.
    Hold { by: ClosingId, lasts: Duration },
    /// They are opened.
    Open { by: ClosingId },
}

impl Marking {
    fn intent(self) -> (StoreOperation, Intent) {
        match self {
            Self::Keep => (StoreOperation::Invalidate, Intent::Invalidate),
            Self::Close { by, lasts } | Self::Hold { by, lasts } => {
                (StoreOperation::Close, Intent::Close { by, lasts })
            }
            Self::Open { by } => (StoreOperation::Open, Intent::Open { by }),
        }
    }
}

/// Sends all targets and goes on until nothing is pending. Returns the number of live entries
/// removed. `by` is who holds them, if they are to be held: with the same one again, a retry needs
/// no room beside what it has closed before.
pub(crate) async fn drive(runtime: &Runtime, targets: &Targets, by: ClosingId) -> Result<u64, Error> {
    let marking = match targets.hold {
        Duration::ZERO => Marking::Keep,
        lasts => Marking::Hold { by, lasts },
    };
    drive_marking(runtime, targets, marking).await
}

/// As [`drive`], and marks the names.
pub(crate) async fn drive_marking(runtime: &Runtime, targets: &Targets, marking: Marking) -> Result<u64, Error> {
    let _under_way = runtime.change();
    let begun = clock::now();
    let kind = kind_of(targets, marking);
    let span = invalidation_span(&runtime.config.namespace, kind, targets.names.len() + targets.patterns.len());
    let mut drive = Drive::new(runtime);
    let driven = drive.all(targets, marking).instrument(span.clone()).await;
    let removed = drive.removed;
    let driven = driven.map(|()| removed.entries);
    span.record("entries", driven.as_ref().ok().copied());
    Ending { kind, begun, targets, removed, error: driven.as_ref().err() }.note(runtime);
    driven
}

fn kind_of(targets: &Targets, marking: Marking) -> InvalidationKind {
    match marking {
        Marking::Close { .. } => InvalidationKind::Close,
        Marking::Open { .. } => InvalidationKind::Open,
        Marking::Hold { .. } => InvalidationKind::Hold,
        Marking::Keep if targets.clear => InvalidationKind::Clear,
        Marking::Keep if !targets.patterns.is_empty() => InvalidationKind::Pattern,
        Marking::Keep => InvalidationKind::Names,
    }
}

/// Counts what a write has removed, and goes on until nothing of it is left to remove.
pub(super) async fn finish(
    runtime: &Runtime,
    (removal, rest): (Removal, Operation<'static>),
    removed: &mut RemovalTally,
) -> Result<(), Error> {
    let mut drive = Drive::new(runtime);
    let finished = async {
        drive.count(&removal);
        drive.finish(StoreOperation::Cascade, rest).await?;
        drive.recover().await
    };
    let finished = finished.await;
    *removed = drive.removed;
    finished
}

struct Drive<'a> {
    runtime: &'a Runtime,
    until: Instant,
    removed: RemovalTally,
    /// The highest mark of lost members that a reply told of.
    lost: u64,
    /// Why names were not closed that were to be held.
    not_held: Option<Error>,
}

impl<'a> Drive<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            until: clock::now() + INVALIDATE_DEADLINE,
            removed: RemovalTally::default(),
            lost: 0,
            not_held: None,
        }
    }

    async fn all(&mut self, targets: &Targets, marking: Marking) -> Result<(), Error> {
        match (self.names(&targets.names, marking).await, marking) {
            (Err(error), Marking::Hold { by, .. }) if error.kind() == ErrorKind::Limit => {
                self.not_held = Some(error);
                // What is held already would take the room from others, and from the next attempt.
                self.names(&targets.names, Marking::Open { by }).await?;
            }
            (done, _) => done?,
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
        self.not_held.take().map_or(Ok(()), Err)
    }

    async fn names(&mut self, names: &[Name], marking: Marking) -> Result<(), Error> {
        let (kind, intent) = marking.intent();
        let operation = self.runtime.store()?.begin(names, intent);
        self.finish(kind, operation).await
    }

    /// Takes the steps of an operation until it is done: the first one as what it is, those that go
    /// on with it as a cascade.
    async fn finish(&mut self, mut kind: StoreOperation, mut operation: Operation<'_>) -> Result<(), Error> {
        while !operation.is_done() {
            self.check_time()?;
            let store = self.runtime.store()?;
            let step = ask_aside(self.runtime, kind, |until| store.step(&mut operation, until)).await;
            self.count(&operation.take_uncounted());
            let removal = step?;
            kind = StoreOperation::Cascade;
            self.count(&removal);
            if removal.pending > 0 {
                // The embedded store never yields: let other tasks run between two steps.
                tokio::task::yield_now().await;
            }
        }
        self.runtime.store()?.settle(operation);
        Ok(())
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

    /// A cursor is a place in the table of one server, as long as that server runs. Once another
    /// one has answered, the walk begins again: it may have passed over what lies elsewhere there.
    async fn sweep(&mut self, pattern: &str, scope: SweepScope) -> Result<(), Error> {
        let (mut cursor, mut walked) = (Some(0), None);
        while let Some(at) = cursor {
            self.check_time()?;
            let store = self.runtime.store()?;
            let page =
                ask_aside(self.runtime, StoreOperation::Sweep, |until| store.sweep(pattern, scope, at, until)).await?;
            self.count(&page.drained);
            self.finish(StoreOperation::Cascade, page.rest).await?;
            let is_same =
                walked.is_none_or(|(began, incarnation)| began != page.began || incarnation == page.incarnation);
            cursor = if is_same { page.next } else { Some(page.began) };
            walked = Some((page.began, page.incarnation));
            // As between two steps.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn operation_ends(&self) -> Instant {
        clock::now() + self.runtime.config.operation_deadline
    }

    fn count(&mut self, removal: &Removal) {
        self.removed.count(self.runtime, removal);
        self.lost = self.lost.max(removal.lost);
    }

    fn check_time(&self) -> Result<(), Error> {
        if clock::now() < self.until {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "the invalidation took too long; it goes on in the background"))
    }
}

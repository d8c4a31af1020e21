//! A writer's value replaces the entry, unless somebody else may know better.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::drive::drain;
use super::invalidate::{self, Obligation};
use super::stamp::{Origin, Prepared};
use super::subject::Subject;
use crate::entry::codec::Encoded;
use crate::error::Error;
use crate::invalidation::Targets;
use crate::name::Names;
use crate::observe::{Event, NotStored};
use crate::runtime::budget::Budget;
use crate::runtime::provenance::{Collected, Inside, Scope};
use crate::store::{ClockReading, FillReply, Token};

/// What a [`put`](crate::Cache::put) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// Whether the value is in the cache now. If not: something that it belongs to was invalidated
    /// meanwhile, by another writer for example, or it is `None` without a negative lifetime, or
    /// the server has no memory left.
    pub stored: bool,
    /// Live entries removed, dependents and the old value included.
    pub entries: u64,
}

/// A reading of the clock for a write that begins after it. From here on an invalidation makes the
/// writer's value an old one.
pub(crate) async fn read_clock(subject: &Subject) -> Result<ClockReading, Error> {
    let key = subject.key_text().map_or("", |key| key);
    let (store, mut budget) = (subject.runtime.store()?, Budget::new(subject.runtime.config.operation_deadline));
    budget.ask(&subject.counters, |until| store.read_clock(key, subject.recall(), until)).await
}

/// A value that is written at this reading, ready for the store.
pub(crate) fn prepare(
    subject: &Subject,
    declared: Names,
    inherited: Collected,
    clock: ClockReading,
    encode: impl FnOnce(&Subject) -> Result<Encoded, NotStored>,
) -> Result<Prepared, NotStored> {
    // A write says nothing of what was there before it: the payload alone tells whether the data
    // changed.
    let origin = Origin { clock, replaces: true, cost: Duration::ZERO };
    Prepared::new(subject, declared, inherited, origin, encode)
}

/// Replaces the entry, and removes what depends on it. What fails is owed, also if this is never
/// polled.
pub(crate) fn write(
    subject: Arc<Subject>,
    prepared: Prepared,
) -> impl Future<Output = Result<Put, Error>> + Send + use<> {
    let obligation = removal(&subject);
    async move {
        let (Some((key, store)), runtime) = (subject.place(), &subject.runtime) else { return Ok(Put::default()) };
        let mut budget = Budget::new(runtime.config.operation_deadline);
        runtime.flights.close_epoch();
        let fill = prepared.fill(&key.text, Token::new());
        let written = budget.ask(&subject.counters, |until| store.write(fill, until)).await;
        runtime.flights.close_epoch();
        let written = written?;
        let mut entries = written.drained.removed;
        if written.drained.pending > 0 {
            entries += drain(runtime).await?;
        }
        subject.note(Event::Removed(entries));
        subject.note(match written.fill {
            FillReply::Stored => Event::Stored,
            FillReply::Refused(refusal) => Event::NotStored(refusal.into()),
        });
        obligation.fulfilled();
        Ok(Put { stored: written.fill == FillReply::Stored, entries })
    }
}

/// The old entry must not stay, whatever becomes of the write.
pub(crate) fn removal(subject: &Subject) -> Obligation {
    let targets = subject.name().cloned().map_or_else(Targets::default, Targets::of);
    Obligation::new(&subject.runtime, targets)
}

/// What follows the body. Boxed: its type would hold that of the value.
pub(crate) type Settlement = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A function that writes through, from before its body to the end of its write.
///
/// Dropped before [`finish`](Self::finish) or [`disarm`](Self::disarm), its body was cancelled or
/// panicked, and nobody knows whether it wrote: the entry is removed.
pub(crate) struct Writer {
    /// `None`: there is nothing to do, or no longer.
    subject: Option<Arc<Subject>>,
    /// `None`: the store did not say, so the value cannot be proved current.
    clock: Option<ClockReading>,
    scope: Arc<Scope>,
}

impl Writer {
    /// Reads the clock. Dropped meanwhile, the body has not begun, and nothing was written.
    pub(crate) async fn begin(subject: Arc<Subject>) -> Self {
        let runtime = subject.runtime.clone();
        // Not as the load of the key: calls of the target inside the body are calls like any other.
        let scope = Scope::new(runtime.id, None, runtime.config.names_max);
        if subject.place().is_none() {
            return Self { subject: None, clock: None, scope };
        }
        let clock = read_clock(&subject).await.ok();
        Self { subject: Some(subject), clock, scope }
    }

    /// The body: the entry will belong to what the cached calls inside it belong to.
    pub(crate) fn body<F: Future>(&self, body: F) -> Inside<F> {
        self.scope.clone().around(body)
    }

    /// The body returned; `value` says its names and its bytes, or why it is not to be stored. What
    /// happens then is under way when this returns, as far as there is a tokio runtime; the future
    /// waits for its end.
    pub(crate) fn finish(
        mut self,
        value: Result<(Names, impl FnOnce(&Subject) -> Result<Encoded, NotStored>), NotStored>,
    ) -> Settlement {
        let Some(subject) = self.subject.take() else { return Box::pin(std::future::ready(())) };
        let prepared = value.and_then(|(declared, encode)| self.prepare(&subject, declared, encode));
        settle(subject, prepared)
    }

    fn prepare(
        &mut self,
        subject: &Subject,
        declared: Names,
        encode: impl FnOnce(&Subject) -> Result<Encoded, NotStored>,
    ) -> Result<Prepared, NotStored> {
        // Without a reading nothing proves the value current.
        let clock = self.clock.take().ok_or(NotStored::NoReading)?;
        let inherited = self.scope.take();
        // Made from the entry that it replaces, or from something made from it: a read after the
        // write may have been answered with the old value, and nothing tells it from a read before.
        if subject.name().is_some_and(|name| inherited.names.contains(name)) {
            return Err(NotStored::MadeFromItself);
        }
        prepare(subject, declared, inherited, clock, encode)
    }

    /// The function failed: nothing was written.
    pub(crate) fn disarm(mut self) {
        self.subject = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(subject) = self.subject.take() {
            drop(settle(subject, Err(NotStored::NotWanted)));
        }
    }
}

/// Writes what is ready, or removes the entry.
fn settle(subject: Arc<Subject>, prepared: Result<Prepared, NotStored>) -> Settlement {
    let target = subject.clone();
    let say = move |error: &Error| target.note(Event::InvalidationFailed { by: &target.policy.prefix, error });
    match prepared {
        Ok(prepared) => Box::pin(invalidate::report(write(subject, prepared), say)),
        Err(reason) => {
            subject.note(Event::NotStored(reason));
            Box::pin(invalidate::report(removal(&subject).drive(), say))
        }
    }
}

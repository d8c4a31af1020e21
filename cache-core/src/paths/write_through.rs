//! Write-through: a writer's value replaces the entry, unless another writer's value may be newer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::closing::{self, Closing};
use super::drive::finish;
use super::ending::{Ending, RemovalTally};
use super::invalidate::{self, Obligation};
use super::quota;
use super::stamp::{Origin, Prepared};
use super::subject::Subject;
use crate::ablation::{ProcessRule, keeps};
use crate::clock;
use crate::entry::codec::Encoding;
use crate::error::Error;
use crate::invalidation::Targets;
use crate::name::Names;
use crate::observe::{Event, InvalidationKind, NotStored, StoreOperation};
use crate::runtime::budget::Budget;
use crate::runtime::provenance::{Inside, Lineage, Scope};
use crate::store::{ClockReading, FillReply, Token};

/// What a [`put`](crate::Cache::put) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// Whether the value is in the cache now. If not, one of these holds:
    /// - Something that it belongs to was invalidated meanwhile, by another writer for example, or
    ///   is [closed](crate::Cache::close).
    /// - It is `None` without a negative lifetime, its TTL is zero, or `when` refused it.
    /// - The tenant's quota is reached, or the server has no memory left.
    /// - The store lost data meanwhile, or a node of a cluster that has to be told of the value did
    ///   not answer.
    /// - The cache is disabled.
    pub stored: bool,
    /// Number of live entries removed, dependents and the old value included.
    pub entries: u64,
}

/// Reads the clock for a write that begins afterwards. An invalidation from here on makes the
/// writer's value an old one.
pub(crate) async fn read_clock(subject: &Subject) -> Result<ClockReading, Error> {
    let key = subject.key_text().map_or("", |key| key);
    let (store, mut budget) = (subject.runtime.store()?, Budget::new(subject.runtime.config.operation_deadline));
    budget
        .ask(&subject.counters, StoreOperation::ReadClock, |until| store.read_clock(key, subject.recall(), until))
        .await
}

/// Makes ready a value whose write began after the reading `clock`.
pub(crate) fn prepare(
    subject: &Subject,
    declared: Names,
    inherited: Lineage,
    clock: ClockReading,
    encode: impl FnOnce(&Subject) -> Result<Encoding, NotStored>,
) -> Result<Prepared, NotStored> {
    // `replaces` is true, because a write does not know what was stored before. Only the payload
    // tells whether the data changed.
    let origin = Origin { clock, replaces: true, cost: Duration::ZERO };
    Prepared::new(subject, declared, inherited, origin, encode)
}

/// Replaces the entry, and removes what depends on it. If the write fails, or the future is
/// dropped, even unpolled, the removal of the entry is owed. What is closed is opened.
pub(crate) fn write(
    subject: Arc<Subject>,
    mut prepared: Prepared,
    closing: Option<Closing>,
) -> impl Future<Output = Result<Put, Error>> + Send + use<> {
    let (obligation, opens, renewal) = match closing.and_then(Closing::into_write) {
        Some((obligation, renewal)) => {
            let by = obligation.by();
            (obligation, Some(by), renewal)
        }
        None => (removal(&subject), None, None),
    };
    async move {
        let (Some((key, store)), runtime) = (subject.place(), &subject.runtime) else { return Ok(Put::default()) };
        closing::end_of(renewal, runtime).await;
        if !keeps(ProcessRule::WritesReadFirst) {
            read_clock(&subject).await.into_iter().for_each(|clock| prepared.read_later(clock));
        }
        let mut budget = Budget::new(runtime.config.operation_deadline);
        let admission = quota::admit(&subject, &mut budget).await;
        if admission.is_err() {
            prepared.outdate();
        }
        let (_under_way, begun) = (runtime.change(), clock::now());
        let fill = prepared.fill(&key.text, Token::new());
        let mut removed = RemovalTally::default();
        let written = async {
            let written =
                budget.ask(&subject.counters, StoreOperation::Write, |until| store.write(fill, opens, until)).await?;
            // If members were lost, everything is removed after it.
            let is_kept = written.drained.lost == 0;
            finish(runtime, (written.drained, written.rest), &mut removed).await?;
            Ok((written.fill, is_kept))
        };
        let written: Result<_, Error> = written.await;
        let (kind, entries) = (InvalidationKind::Write, removed.entries);
        Ending { kind, begun, targets: obligation.targets(), removed, error: written.as_ref().err() }.note(runtime);
        let (reply, is_kept) = written?;
        subject.note_fill(match admission {
            Ok(_) => prepared.outcome(&subject, reply),
            Err(()) => Event::NotStored(NotStored::QuotaReached),
        });
        obligation.fulfilled();
        Ok(Put { stored: reply == FillReply::Stored && is_kept, entries })
    }
}

/// The obligation to remove the old entry: it must not stay, whatever becomes of the write.
pub(crate) fn removal(subject: &Subject) -> Obligation {
    let targets = subject.name().map_or_else(Targets::default, Targets::of);
    Obligation::new(&subject.runtime, targets)
}

/// The work after the body. Boxed, because its type would contain the type of the value.
pub(crate) type Settlement = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A function that writes through, from before its body to the end of its write.
///
/// Dropped before [`finish`](Self::finish) or [`disarm`](Self::disarm), its body was cancelled or
/// panicked, and nobody knows whether it wrote: the entry is removed.
pub(crate) struct Writer {
    /// `None`: nothing is to be done, or everything is done.
    subject: Option<Arc<Subject>>,
    /// `None`: the store did not answer, so nothing can prove the value current.
    clock: Option<ClockReading>,
    /// The entry is closed while the body runs.
    closing: Option<Closing>,
    scope: Arc<Scope>,
}

impl Writer {
    /// Closes the entry, if it is to be closed around the body, and reads the clock. If this future
    /// is dropped, the body has not begun, and nothing was written.
    pub(crate) async fn begin(subject: Arc<Subject>, around: bool) -> Self {
        let runtime = subject.runtime.clone();
        // The scope is not that of a load of the key: inside the body, calls of the target function
        // are calls like any other.
        let scope = Scope::new(runtime.id, None, runtime.config.names_max);
        if subject.place().is_none() {
            return Self { subject: None, clock: None, closing: None, scope };
        }
        let closing = if around { close(&subject).await } else { None };
        // After the closing, which is this writer's own.
        let clock = read_clock(&subject).await.ok();
        Self { subject: Some(subject), clock, closing, scope }
    }

    /// The body. The entry inherits the names of the cached calls inside it.
    pub(crate) fn body<F: Future>(&self, body: F) -> Inside<F> {
        self.scope.clone().around(body)
    }

    /// The body returned. `value` holds its names and its encoding, or the reason not to store it.
    /// The write, or the removal, is under way when this returns, if there is a tokio runtime; the
    /// future waits for its end.
    pub(crate) fn finish(
        mut self,
        value: Result<(Names, impl FnOnce(&Subject) -> Result<Encoding, NotStored>), NotStored>,
    ) -> Settlement {
        let Some(subject) = self.subject.take() else { return Box::pin(std::future::ready(())) };
        let prepared = value.and_then(|(declared, encode)| self.prepare(&subject, declared, encode));
        settle(subject, prepared, self.closing.take())
    }

    fn prepare(
        &mut self,
        subject: &Subject,
        declared: Names,
        encode: impl FnOnce(&Subject) -> Result<Encoding, NotStored>,
    ) -> Result<Prepared, NotStored> {
        // Without a reading nothing proves the value current.
        let clock = self.clock.take().ok_or(NotStored::NoReading)?;
        let inherited = self.scope.take();
        // The value was made from the entry that it replaces, or from something made from that
        // entry. A read after the write may have been answered with the old value, and nothing
        // tells such a read from one before the write.
        if subject.name().is_some_and(|name| inherited.names.contains(&name)) {
            return Err(NotStored::MadeFromItself);
        }
        prepare(subject, declared, inherited, clock, encode)
    }

    /// The function failed: nothing was written. What is closed is opened in the background.
    pub(crate) fn disarm(mut self) {
        self.subject = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(subject) = self.subject.take() {
            drop(settle(subject, Err(NotStored::NotWanted), self.closing.take()));
        }
    }
}

/// Without an answer the body runs all the same.
async fn close(subject: &Arc<Subject>) -> Option<Closing> {
    let (name, by) = (subject.name()?, &subject.policy.prefix);
    let closed = closing::close(&subject.runtime, Targets::of(name), by.clone()).await;
    closed.inspect_err(|error| subject.note(Event::NotClosed { by, error })).ok()
}

/// Writes the prepared value, or removes the entry.
fn settle(subject: Arc<Subject>, prepared: Result<Prepared, NotStored>, closing: Option<Closing>) -> Settlement {
    let target = subject.clone();
    let say = move |error: &Error| target.note(Event::InvalidationFailed { by: &target.policy.prefix, error });
    match prepared {
        Ok(prepared) => Box::pin(invalidate::report(write(subject, prepared, closing), say)),
        Err(reason) => {
            subject.note_fill(Event::NotStored(reason));
            match closing {
                Some(closing) => Box::pin(closing.open_and_report()),
                None => Box::pin(invalidate::report(removal(&subject).drive(), say)),
            }
        }
    }
}

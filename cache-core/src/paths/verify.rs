//! Hits that are loaded again in the background and compared (`verify`): what was changed and not
//! invalidated shows.
//!
//! That a new load returns something else says nothing yet: between a COMMIT and its invalidation
//! each cache does that. Whether an invalidation explains the difference is decided by what decides
//! whether a fill is stored, only that the question is asked of the entry that was served. A
//! reading of the clock is taken before the load, as for any load. After it the store is asked what
//! would become of a fill that has that reading and the entry's names:
//!
//! * Other bytes lie under the key, or none: an invalidation has ended, a load or a write has
//!   replaced the entry, or its TTL has ended.
//! * A name of the entry has a later fence than the reading, or is closed: an invalidation has
//!   begun and may not have come to this entry yet. It fences before it removes anything, so
//!   nothing slips through between the two.
//! * The floor has passed the reading: a pattern, or everything, is being invalidated; or fences
//!   were forgotten, and nobody can say.
//! * The clock was lost.
//!
//! In each of these cases the hit is [overtaken](VerificationEnd::Overtaken), and no more is said
//! of it. Fences are compared with the reading of the first look, so none that came after the hit
//! is missed, also between two looks; the floor is compared with that of the same look, for fences
//! that are forgotten raise it all the time.
//!
//! It is the entry's names that count, and not those of the new load. A value that would belong to
//! other tags by now is reached by its old ones alone, and not to name these is a fault that this
//! is to find.
//!
//! What is left is an entry that differs from its source while nothing has invalidated it yet. A
//! program that works is between its COMMIT and its invalidation then, or retries one that failed.
//! So the entry is looked at again after each of [`VERIFY_LOOKS`], each time with a load and a
//! reading of its own. If it still differs at the last look, it is
//! [inconsistent](VerificationEnd::Inconsistent).
//!
//! Nothing is stored or removed, and no lease is taken: the value that is there must be seen to
//! stay there, and nobody may wait for a load that stores nothing.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::comparison::Comparison;
use super::explain::explain;
use super::load::Loading;
use super::panics::unless_it_panics;
use super::subject::Subject;
use crate::clock::{self, timers};
use crate::config::VERIFY_LOOKS;
use crate::entry::Entry;
use crate::error::Error;
use crate::observe::{Event, StoreOperation, VerificationEnd, verification_span};
use crate::runtime::budget::{Budget, ask_aside};
use crate::runtime::debts::Outset;
use crate::runtime::provenance;
use crate::runtime::{Reservation, scoped};
use crate::store::{ClockReading, KeyFacts, NameFacts, Recall};

/// A hit that is to be verified. If it is dropped, it is not.
pub(crate) struct Verification {
    subject: Arc<Subject>,
    /// What was served.
    entry: Entry,
    /// Which invalidations this process owed when it was served.
    outset: Outset,
    reservation: Reservation,
    load: OwnedSemaphorePermit,
}

impl Verification {
    /// `None`: there is no place for it, or no load may be spent on it.
    pub(crate) fn new(subject: &Arc<Subject>, entry: Entry) -> Option<Box<Self>> {
        let runtime = &subject.runtime;
        let key = subject.key_text()?;
        let outset = runtime.debts.outset();
        let places = runtime.verifications.reserve(key);
        let Some((reservation, load)) = places.filter(|_| subject.counters.may_verify()) else {
            subject.note(Event::VerificationEnded(VerificationEnd::Dropped));
            return None;
        };
        Some(Box::new(Self { subject: subject.clone(), entry, outset, reservation, load }))
    }

    /// Verifies in a task of its own. `reload` runs the body, and compares its value.
    pub(crate) fn spawn<R, F>(self: Box<Self>, reload: R)
    where
        R: Fn(Box<Loading>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let Ok(handle) = timers() else { return };
        let place = self.reservation.place();
        let task = handle.spawn(scoped::within(scoped::current(), async move {
            let Self { subject, entry, outset, reservation, load } = *self;
            let hit = ServedHit { subject, entry, outset };
            let end = hit.verify(load, reload).await;
            hit.subject.note(Event::VerificationEnded(end));
            if end == VerificationEnd::Inconsistent {
                hit.report().await;
            }
            drop(reservation);
        }));
        place.spawned(task.abort_handle());
    }
}

/// What was served, and when.
struct ServedHit {
    subject: Arc<Subject>,
    entry: Entry,
    outset: Outset,
}

impl ServedHit {
    async fn verify<R, F>(&self, load: OwnedSemaphorePermit, reload: R) -> VerificationEnd
    where
        R: Fn(Box<Loading>) -> F + Send,
        F: Future<Output = bool> + Send,
    {
        let begun = clock::now();
        let mut first = None;
        if let ControlFlow::Break(end) = self.look(self.load(&reload), &mut first, VerificationEnd::Same).await {
            return end;
        }
        drop(load);
        for after in VERIFY_LOOKS {
            tokio::time::sleep_until(begun + after).await;
            let Some(_load) = self.subject.runtime.verifications.load().await else {
                return VerificationEnd::Dropped;
            };
            let look = self.look(self.load(&reload), &mut first, VerificationEnd::SameLater);
            if let ControlFlow::Break(end) = look.await {
                return end;
            }
        }
        VerificationEnd::Inconsistent
    }

    /// Loads, and compares. `first` is the reading of the first look.
    async fn look(
        &self,
        load: impl Future<Output = Option<bool>> + Send,
        first: &mut Option<ClockReading>,
        same: VerificationEnd,
    ) -> ControlFlow<VerificationEnd> {
        // Before the load begins: it does when it is polled.
        let Ok(reading) = self.reading().await else { return ControlFlow::Break(VerificationEnd::Unanswered) };
        let first = first.get_or_insert_with(|| reading.clone());
        match load.await {
            Some(true) => return ControlFlow::Break(same),
            Some(false) => {}
            None => return ControlFlow::Break(VerificationEnd::LoadFailed),
        }
        match self.still_stored().await {
            Ok(Some(facts)) => self.judge(first, &reading, &facts),
            Ok(None) => ControlFlow::Break(VerificationEnd::Overtaken),
            Err(_) => ControlFlow::Break(VerificationEnd::Unanswered),
        }
    }

    fn key(&self) -> &str {
        self.subject.key_text().map_or("", |key| key)
    }

    async fn reading(&self) -> Result<ClockReading, Error> {
        let Subject { runtime, counters, .. } = &*self.subject;
        let (key, store) = (self.key(), runtime.store()?);
        let read = |until| store.read_clock(key, Recall::Nothing, until);
        Budget::new(runtime.config.operation_deadline).ask(counters, StoreOperation::ReadClock, read).await
    }

    /// Runs the body, for `fence_retention` at most, as any load that counts for something. Whether
    /// the entry holds what it returned; `None`: no value came that can be compared.
    fn load<R, F>(&self, reload: &R) -> impl Future<Output = Option<bool>> + Send + use<R, F>
    where
        R: Fn(Box<Loading>) -> F,
        F: Future<Output = bool> + Send,
    {
        let Subject { runtime, counters, .. } = &*self.subject;
        let is_held = Arc::<OnceLock<bool>>::default();
        let comparison = Comparison::with(self.entry.clone(), is_held.clone());
        let load = reload(Loading::to_compare(&self.subject, comparison));
        let load = unless_it_panics(load).instrument(verification_span(&runtime.config.namespace, counters));
        let (limit, counters) = (runtime.config.fence_retention, counters.clone());
        async move {
            counters.note(Event::VerificationBegan);
            // Whether it ended by itself is seen by what it has left there.
            _ = tokio::time::timeout(limit, load).await;
            is_held.get().copied()
        }
    }

    /// What is known of the entry that was served, if that is what is stored. Its bytes are
    /// compared, for a load may have stored another value within the same millisecond.
    async fn still_stored(&self) -> Result<Option<KeyFacts>, Error> {
        let Subject { runtime, counters, .. } = &*self.subject;
        let (key, store) = (self.key(), runtime.store()?);
        let get = |until| store.get(key, until);
        let stored = Budget::new(runtime.config.operation_deadline).ask(counters, StoreOperation::Get, get).await?;
        if !stored.is_some_and(|stored| self.entry.is(&stored)) {
            return Ok(None);
        }
        ask_aside(runtime, StoreOperation::Explain, |until| store.facts(key, until)).await.map(Some)
    }

    /// Whether something explains that the load returned another value than what is still stored.
    fn judge(&self, first: &ClockReading, reading: &ClockReading, facts: &KeyFacts) -> ControlFlow<VerificationEnd> {
        let Ok(names) = self.entry.names() else { return ControlFlow::Break(VerificationEnd::Undecided) };
        let is_stale = self.entry.header().soft_expires_at_ms <= facts.now_ms;
        if is_stale || is_overtaken(first, reading, facts) || self.subject.is_owed(self.outset, &names) {
            return ControlFlow::Break(VerificationEnd::Overtaken);
        }
        // The first name that is told is the key's own.
        if facts.entry_names >= facts.names.len() as u64 {
            return ControlFlow::Break(VerificationEnd::Undecided);
        }
        ControlFlow::Continue(())
    }

    async fn report(&self) {
        let Subject { runtime, .. } = &*self.subject;
        let age = Duration::from_millis(runtime.wall_ms().saturating_sub(self.entry.header().stored_at_ms));
        match explain(runtime, self.key()).await {
            Ok(known) => self.subject.note(Event::Inconsistent { age, known: &known.to_string() }),
            Err(error) => self.subject.note(Event::Inconsistent { age, known: &error.to_string() }),
        }
    }
}

/// Whether the store would refuse to store the entry once more, for a load that began at the
/// reading of this look: something was invalidated since the first one.
fn is_overtaken(first: &ClockReading, reading: &ClockReading, facts: &KeyFacts) -> bool {
    let is_reached = |name: &NameFacts| name.marks > 0 || name.fence.is_some_and(|fence| fence > first.seq);
    first.incarnation != reading.incarnation || facts.floor > reading.seq || facts.names.iter().any(is_reached)
}

/// Whether a hit of this task may be verified. Not inside a load: the loads that verify would be
/// verified as well.
pub(crate) fn may_verify() -> bool {
    !provenance::in_load() && timers().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Tag;

    fn reading(incarnation: &str, seq: u64) -> ClockReading {
        ClockReading {
            incarnation: incarnation.into(),
            seq,
            read_at_ms: 0,
            read_at: clock::now(),
            learned: None,
            homes: None,
        }
    }

    fn facts(floor: u64, fence: Option<u64>, marks: u64) -> KeyFacts {
        let name = Tag::new("t").unwrap().name().unwrap().clone();
        KeyFacts { floor, names: vec![NameFacts { name, fence, marks }], ..KeyFacts::default() }
    }

    #[test]
    fn a_hit_is_overtaken_by_what_would_have_a_fill_refused() {
        let (first, third) = (reading("a", 10), reading("a", 30));
        for (case, facts, overtaken) in [
            ("nothing was invalidated", facts(0, None, 0), false),
            ("before the hit", facts(10, Some(10), 0), false),
            ("since the hit", facts(0, Some(11), 0), true),
            ("between two looks", facts(0, Some(20), 0), true),
            ("fences were forgotten", facts(29, None, 0), false),
            ("a pattern since this look", facts(31, None, 0), true),
            ("closed", facts(0, None, 1), true),
        ] {
            assert_eq!(is_overtaken(&first, &third, &facts), overtaken, "{case}");
        }
        assert!(is_overtaken(&first, &reading("b", 30), &facts(0, None, 0)), "the clock was lost");
    }
}

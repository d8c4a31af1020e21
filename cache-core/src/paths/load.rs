//! A load: the body of a cached function while it runs, and what becomes of its value.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::comparison::Comparison;
use super::lease::{Lease, Renewal};
use super::quota;
use super::stamp::{Origin, Prepared};
use super::subject::Subject;
use super::write_through::read_clock;
use crate::ablation::{ProcessRule, keeps};
use crate::clock;
use crate::entry::codec::Encoding;
use crate::entry::{Entry, Version};
use crate::error::Error;
use crate::name::Names;
use crate::observe::{CallMark, Event, LoadSpan, NotStored, SharedCounters, StoreOperation};
use crate::runtime::budget::Budget;
use crate::runtime::provenance::{self, Inside, Scope};
use crate::runtime::single_flight::{Beside, End, Leader};
use crate::store::{ClockReading, FillReply, IfPresent, Refusal, Token};

pub(crate) mod batch;
pub(crate) mod finish;
pub(crate) mod uncached;

/// A load. If it is dropped before it ends, the lease goes back in the background, and a follower
/// takes over.
pub(crate) struct Loading {
    subject: Arc<Subject>,
    rights: Rights,
    budget: Budget,
    scope: Arc<Scope>,
    declared: Names,
    cost: Duration,
    if_failed: IfFailed,
    /// Of a load in a task of its own: gone when the call that began it is.
    caller: Option<Weak<()>>,
    /// When the caller is served what may stand in for this load, if it is in a task of its own.
    late: Option<clock::Instant>,
    /// What was stored under the key when the call decided to load.
    replaces: Replaces,
    /// The call, if somebody observes it.
    mark: Option<CallMark>,
    /// Of a load that verifies a hit: its value is compared, and not stored.
    comparison: Option<Comparison>,
}

/// Makes the bytes of a value.
pub(crate) type Encode<'a> = dyn Fn(&Subject) -> Result<Encoding, NotStored> + 'a;

/// The outcome of a load, on its way to the store.
pub(crate) type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a load is to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaces {
    Nothing,
    This(Version),
    /// Whatever is stored: the call did not look at it, or could not read it.
    Whatever,
}

impl From<IfPresent> for Replaces {
    /// [`IfPresent::Return`] takes any value, so a call that still asks with it has found none.
    fn from(if_present: IfPresent) -> Self {
        match if_present {
            IfPresent::Return => Self::Nothing,
            IfPresent::ReturnOther(version) => Self::This(version),
            IfPresent::Ignore => Self::Whatever,
        }
    }
}

/// The rights of a load. The lease, the leadership and the place beside a leader are given back
/// when it ends.
#[derive(Default)]
pub(crate) struct Rights {
    /// Read before the load. Without a reading there is no fill, because the value might be older
    /// than an invalidation.
    pub(crate) clock: Option<ClockReading>,
    pub(crate) lease: Option<Lease>,
    pub(crate) leader: Option<Leader>,
    /// Held while this call loads beside a leader.
    pub(crate) _beside: Option<Beside>,
}

/// A load whose body runs and whose leases are renewed. Dropped, it was cancelled.
#[must_use]
pub struct LoadRun {
    /// `None`: it is not timed.
    begun: Option<clock::Instant>,
    /// Of a load that has not ended: its counters.
    counters: Option<SharedCounters>,
    /// What the store had cost the calls inside this load before the body began.
    lost: Duration,
    _renewal: Renewal,
}

impl LoadRun {
    fn begin(counters: &SharedCounters, lost: Duration, renewal: Renewal) -> Self {
        counters.load_began();
        Self { begun: Some(clock::now()), counters: Some(counters.clone()), lost, _renewal: renewal }
    }

    /// Of a load without a lease.
    fn unrenewed(counters: &SharedCounters, is_timed: bool) -> Self {
        counters.load_began();
        let (begun, counters) = (is_timed.then(clock::now), Some(counters.clone()));
        Self { begun, counters, lost: Duration::ZERO, _renewal: Renewal::default() }
    }

    /// The body has run; for how long, if it was timed.
    fn ended(mut self) -> Duration {
        let took = self.begun.map(clock::since);
        if let Some(counters) = self.counters.take() {
            counters.load_ended(took);
        }
        took.unwrap_or_default()
    }
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        self.counters.iter().for_each(|counters| counters.note(Event::LoadCancelled));
    }
}

/// What happens to an error of the body.
pub(crate) enum IfFailed {
    /// The caller gets it.
    Return,
    /// It is counted and logged: the load is a refresh, and nobody waits for it.
    Report,
    /// The caller is served the value that this very call read before, if its window of
    /// `stale_if_error` is still open.
    Serve(Entry),
}

impl Loading {
    pub(crate) fn new(
        subject: Arc<Subject>,
        rights: Rights,
        budget: Budget,
        if_failed: IfFailed,
        replaces: Replaces,
    ) -> Box<Self> {
        let scope = Scope::new(subject.runtime.id, subject.called().cloned(), subject.runtime.config.names_max)
            .after(budget.lost());
        let (declared, cost) = (Names::new(), Duration::ZERO);
        let replaces = match rights.clock {
            Some(_) => replaces,
            // Another process may not know of the other function yet, and have stored for it.
            None if subject.is_contested() => Replaces::Whatever,
            // The store failed, or an invalidation is owed: nothing of the load reaches the store.
            None => Replaces::Nothing,
        };
        let (caller, late, mark, comparison) = (None, None, None, None);
        Box::new(Self {
            subject,
            rights,
            budget,
            scope,
            declared,
            cost,
            if_failed,
            caller,
            late,
            replaces,
            mark,
            comparison,
        })
    }

    /// The caller is served what may stand in for this load at this time.
    pub(crate) fn late_at(mut self: Box<Self>, late: Option<clock::Instant>) -> Box<Self> {
        self.late = late;
        self
    }

    /// The call that it loads for, if somebody observes that.
    pub(crate) fn marked(mut self: Box<Self>, mark: Option<CallMark>) -> Box<Self> {
        self.mark = mark;
        self
    }

    /// A load that verifies a hit. It has no rights, and its value is not stored.
    pub(crate) fn to_compare(subject: &Arc<Subject>, comparison: Comparison) -> Box<Self> {
        let budget = Budget::new(subject.runtime.config.operation_deadline);
        let (rights, replaces) = (Rights::default(), Replaces::Nothing);
        let mut loading = Self::new(subject.clone(), rights, budget, IfFailed::Return, replaces);
        loading.comparison = Some(comparison);
        loading
    }

    /// Whether its value is to be compared, and not to be stored.
    pub(crate) fn is_compared(&self) -> bool {
        self.comparison.is_some()
    }

    /// Ends a load that verifies a hit and has succeeded. `is_held` says whether an entry holds its
    /// value.
    pub(crate) fn compare(self, is_held: impl FnOnce(&Entry) -> Result<bool, Error>) {
        // A value that may not be stored, such as one made from a stale one, is no answer.
        if let (Some(comparison), None) = (self.comparison, self.scope.take().untraceable) {
            comparison.end(is_held);
        }
    }

    /// Adds names that the entry is declared to belong to. The enclosing loads inherit them
    /// whatever becomes of the value.
    pub(crate) fn declare(&mut self, names: Names) {
        if names.is_poisoned() {
            self.scope.taint_outwards(NotStored::NameUnspelled);
        }
        self.scope.hand_outwards(names.iter());
        self.declared.extend(names);
    }

    /// The body is about to run.
    pub(crate) fn begin(&mut self) -> LoadRun {
        // Before the body runs: a follower that joins from here on may take the value only if it is
        // stored.
        self.rights.leader.iter().for_each(Leader::load_begins);
        let renewal = Renewal::of(&self.subject.runtime, self.lease_and_leader().into_iter());
        LoadRun::begin(&self.subject.counters, self.scope.lost(), renewal)
    }

    /// The body, to be run between [`begin`](Self::begin) and [`end`](Self::end).
    pub(crate) fn body<F: Future>(&self, body: F) -> Inside<F> {
        let Subject { runtime, counters, .. } = &*self.subject;
        self.scope.clone().around(body).spanned(LoadSpan::new(&runtime.config.namespace, counters, 1))
    }

    /// The body has run.
    pub(crate) fn end(&mut self, running: LoadRun) {
        self.cost = running.ended();
        self.mark.iter().for_each(|mark| mark.loaded(self.cost));
        self.budget.has_lost(self.scope.lost());
    }

    fn lease_and_leader(&self) -> Option<(&Lease, Option<&Leader>)> {
        Some((self.rights.lease.as_ref()?, self.rights.leader.as_ref()))
    }

    /// Ends a load whose value is not to be stored. All followers load for themselves at once. The
    /// value is still the latest news, so the entry that it was to replace must no longer be
    /// served: the [`Filling`] removes that entry. `None`: there is none to remove.
    ///
    /// The old entry is removed as the end of its TTL would remove it, not invalidated, for two
    /// reasons. Entries made from it stay until their own TTLs end, as they do when a new value is
    /// stored. And a fence would refuse the fills of the enclosing loads, which were made from the
    /// news.
    pub(crate) fn unkept(mut self, reason: NotStored) -> Option<Filling> {
        self.subject.note_fill(Event::NotStored(reason));
        if let Some(leader) = self.rights.leader.take() {
            leader.end(End::Nothing);
        }
        (self.replaces != Replaces::Nothing).then_some(Filling { loading: self, prepared: None })
    }

    /// The body failed.
    pub(crate) fn end_failed(self) {
        self.subject.note(Event::LoadFailed);
        self.give_up();
    }

    /// Ends a load that has no value. Followers load a few at a time.
    fn give_up(mut self) {
        // Give the lease back first: the next leader must not meet it.
        self.rights.lease = None;
        if let Some(leader) = self.rights.leader.take() {
            leader.fail();
        }
    }

    /// The body failed. Returns the value that the caller is served instead, if `stale_if_error`
    /// allows one. An error that the caller does not see is logged.
    pub(crate) fn end_failed_or_stand_in(mut self, error: &str) -> Option<Entry> {
        let if_failed = std::mem::replace(&mut self.if_failed, IfFailed::Return);
        let is_abandoned = self.caller.take().is_some_and(|caller| caller.strong_count() == 0);
        let (subject, mark) = (self.subject.clone(), self.mark.take());
        self.end_failed();
        match if_failed {
            _ if is_abandoned => {
                subject.note(Event::AbandonedFailure { error });
                None
            }
            IfFailed::Return => None,
            IfFailed::Report => {
                subject.note(Event::RefreshFailed { error });
                None
            }
            IfFailed::Serve(entry) => {
                let entry = stand_in(&subject, entry)?;
                subject.note(Event::FailureHidden { error });
                mark.iter().for_each(CallMark::stands_in);
                Some(entry)
            }
        }
    }

    /// Ends a load that has succeeded, of a value with these names. `encode` makes its bytes;
    /// `None`: it is not to be stored. What is then to be sent is boxed, for it is large.
    pub(crate) fn filled(mut self: Box<Self>, declared: Names, encode: Option<&Encode<'_>>) -> Option<Sending> {
        self.declare(declared);
        let filling = match encode {
            Some(encode) => self.fill_with(encode),
            None => self.unkept(NotStored::NotWanted),
        };
        filling.map(|filling| -> Sending { Box::pin(async { _ = filling.send().await }) })
    }

    /// Makes the value ready to be sent. `None`: there is nothing to send; the reason was counted.
    pub(crate) fn fill_with(mut self, encode: impl FnOnce(&Subject) -> Result<Encoding, NotStored>) -> Option<Filling> {
        if self.subject.key.is_none() {
            return self.unkept(NotStored::KeyUnspelled);
        }
        let Some(clock) = self.rights.clock.take() else { return self.unkept(NotStored::NoReading) };
        let origin = Origin { clock, replaces: self.replaces != Replaces::Nothing, cost: self.cost };
        let declared = std::mem::take(&mut self.declared);
        match Prepared::new(&self.subject, declared, self.scope.take(), origin, encode) {
            Ok(prepared) => Some(Filling { loading: self, prepared: Some(prepared) }),
            Err(reason) => self.unkept(reason),
        }
    }
}

/// The entry, if it may still stand in for a load that failed. Only the call that read the entry
/// may be served it: an invalidation that ended before that call began would have removed the
/// entry.
pub(crate) fn stand_in(subject: &Subject, entry: Entry) -> Option<Entry> {
    if !subject.policy.freshness.may_stand_in(&entry.header().times(), subject.runtime.wall_ms()) {
        return None;
    }
    // What enclosing loads make of this value must not be stored, for it would count as fresh.
    provenance::taint(NotStored::MadeFromStale);
    Some(entry)
}

/// As [`stand_in`], in place of a load that takes too long: if the entry is still stored, so that
/// no invalidation has overtaken it. One round trip.
pub(crate) async fn stand_in_if_stored(subject: &Subject, entry: &Entry) -> Option<Entry> {
    let (key, store) = subject.place()?;
    let (outset, mut budget) = (subject.runtime.debts.outset(), Budget::new(subject.runtime.config.operation_deadline));
    let stored =
        budget.ask(&subject.counters, StoreOperation::Get, |until| store.get(&key.text, until)).await.ok()??;
    let is_stored = Version::of(&stored) == Some(entry.version());
    let names = entry.names().ok()?;
    if is_stored && !subject.is_owed(outset, &names) { stand_in(subject, entry.clone()) } else { None }
}

/// The outcome of a load on its way to the store.
pub(crate) struct Filling {
    loading: Loading,
    /// `None`: the value is not to be stored, and the entry that it was to replace is to be
    /// removed.
    prepared: Option<Prepared>,
}

impl Filling {
    /// As [`send`](Self::send), but within `limit`.
    pub(crate) async fn send_within(mut self, limit: Duration) -> bool {
        self.loading.budget.limit(limit);
        self.send().await
    }

    pub(crate) fn bytes(&self) -> usize {
        self.prepared.as_ref().map_or(0, |prepared| prepared.value.len())
    }

    /// One round trip. `false`: the store did not answer.
    pub(crate) async fn send(self) -> bool {
        let Self { loading, mut prepared } = self;
        let Loading { subject, mut rights, mut budget, replaces, .. } = loading;
        let Some((key, store)) = subject.place() else { return false };
        // Close the flight before sending: a stored fill proves the value current only for
        // followers that have joined by now.
        rights.leader.iter().for_each(Leader::close);
        // A load without a lease sends a token that holds no lease.
        let token = rights.lease.as_ref().map_or_else(Token::new, |lease| lease.token);
        let (mut admission, mut unkept) = (None, None);
        if prepared.is_some() {
            match quota::admit(&subject, &mut budget).await {
                Ok(admitted) => admission = admitted,
                Err(()) => {
                    subject.note_fill(Event::NotStored(NotStored::QuotaReached));
                    unkept = prepared.take();
                }
            }
        }
        let Some(mut prepared) = prepared else {
            let version = if let Replaces::This(version) = replaces { Some(version) } else { None };
            let discarded = budget
                .ask(&subject.counters, StoreOperation::Discard, |until| {
                    store.discard(&key.text, token, version, until)
                })
                .await;
            rights.settle_lease(discarded.is_ok());
            subject.drop_copies();
            if let (Some(leader), Some(unkept)) = (rights.leader.take(), unkept) {
                leader.end(End::NotStored(unkept.value));
            }
            return discarded.is_ok();
        };
        if !keeps(ProcessRule::ReadingsComeFirst) {
            read_clock(&subject).await.into_iter().for_each(|clock| prepared.read_later(clock));
        }
        let fill = prepared.fill(&key.text, token);
        let reply = budget.ask(&subject.counters, StoreOperation::Fill, |until| store.fill(fill, until)).await;
        drop(admission);
        let is_answered = reply.is_ok();
        rights.settle_lease(is_answered);
        // Whoever is told of this load is not served the value before it. The push may come later.
        match reply {
            Ok(FillReply::Refused(Refusal::ForeignIncarnation)) => subject.runtime.near.forget_all(),
            _ => subject.drop_copies(),
        }
        if let Ok(FillReply::Stored) = reply {
            subject.lasts(|| prepared.fresh_for);
        }
        subject.note_fill(match reply {
            Ok(reply) => prepared.outcome(&subject, reply),
            Err(_) => Event::NotStored(NotStored::Unanswered),
        });
        let end = match reply {
            Ok(FillReply::Stored) => End::Stored(prepared.value),
            Ok(FillReply::Refused(_)) => End::Refused(prepared.value),
            Err(_) => End::NotStored(prepared.value),
        };
        if let Some(leader) = rights.leader.take() {
            leader.end(end);
        }
        is_answered
    }
}

impl Rights {
    /// A store that answered has given the lease back. After a failure nobody knows whether it did,
    /// so dropping the lease gives it back.
    fn settle_lease(&mut self, is_answered: bool) {
        if is_answered {
            self.lease.iter_mut().for_each(Lease::forget);
        }
    }
}

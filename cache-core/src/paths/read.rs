//! The read path of one call: look in the store; then share another call's load, or take the lease;
//! then load. Nothing in it is generic, so it is compiled once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::load::{self, Loading};
use super::refresh::Due;
use super::subject::Subject;
use crate::clock::{self, Instant, can_wait};
use crate::entry::{self, Entry};
use crate::error::Error;
use crate::freshness::{Decision, Reason};
use crate::observe::{CallResult, Counters, Event, StoreOperation, Unreadable, WaitEnd};
use crate::runtime::budget::Budget;
use crate::runtime::debts::Outset;
use crate::runtime::provenance;
use crate::runtime::single_flight::{Advice, Beside, Follower, Leader, Role, Streak};
use crate::store::IfPresent;

pub(crate) mod batch;
mod claim;
mod copy;

pub(crate) use copy::CopyRight;

/// One call, from its first look until it has a value or has to load.
pub(crate) struct Read {
    subject: Arc<Subject>,
    terms: Terms,
    way: Way,
    seen: Evidence,
    /// Which invalidations this process owed when the call began.
    outset: Outset,
    budget: Budget,
    /// When this call stops waiting for other loads. The first wait sets it.
    patience: Option<Instant>,
    /// When this call is served what it has seen, if that may stand in for a load. The first miss
    /// sets it.
    late: Option<Instant>,
    /// What it has seen might not stand in for a load that took too long.
    is_late_in_vain: bool,
}

/// What the caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// The call loads, whatever is stored.
    pub(crate) refresh: bool,
    /// The caller can run a load in a task of its own.
    pub(crate) background: bool,
    /// Bytes with another fingerprint may be an answer: the caller's key was given as text, and a
    /// text key does not know the function's version.
    pub(crate) any_type: bool,
    /// The caller keeps a copy of what it is served.
    pub(crate) copy: bool,
}

/// How the call goes on if it misses.
enum Way {
    /// Join the flight of the key, or lead one.
    Share,
    /// Without a flight, but wait for the holder of the lease.
    WaitForLease,
    /// Load now, without a flight: with a clock reading, and with the lease only if it is free.
    Alone,
    /// Load now, beside a leader, because the load before failed: with a clock reading, and without
    /// the lease, which is the leader's.
    Beside(Beside),
    /// The store failed this call: load, and store nothing.
    FailOpen,
    /// Leave the cache alone: load, and store nothing.
    Bypass,
}

/// What this call has seen under its key.
struct Evidence {
    /// Which stored bytes are an answer. A value that was too old does not count a second time;
    /// after corrupt or foreign bytes, nothing stored counts.
    if_present: IfPresent,
    /// A value that is too old to be served, unless the load fails.
    kept: Option<Entry>,
}

/// A stored value that the caller may be served.
pub(crate) struct Hit {
    pub(crate) entry: Entry,
    kind: HitKind,
    // Boxed: rare, and large.
    due: Option<Box<Due>>,
    /// What a copy of it needs, if the caller may keep one.
    copy: Option<Box<CopyRight>>,
}

/// In which role a stored value is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HitKind {
    Fresh,
    /// Within `stale_while_revalidate`.
    Stale,
    /// Another call of this process loaded it.
    Shared,
    /// It stands in for another call's load, which failed or takes long: within `stale_if_error`.
    StandIn,
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Store,
    Flight,
}

/// What bytes are to this call.
enum Verdict {
    Usable(Hit),
    TooOld(Entry),
    /// Of no use to this call.
    Bad(Unreadable),
    /// A failed invalidation would remove them: one that is being retried, or that may have been
    /// made good after the bytes were read.
    Owed,
}

/// The outcome of a miss: a stored value, or a load to run.
pub(crate) enum Miss {
    Found(Hit),
    Load(Box<Loading>),
}

/// The outcome of joining a flight.
enum Sharing {
    Found(Hit),
    Lead(Leader),
    Alone,
}

impl Hit {
    /// A value that is stale, or due for a refresh, is read again by each call.
    fn with(self, copy: Option<Box<CopyRight>>) -> Self {
        let copy = copy.filter(|_| self.kind == HitKind::Fresh && self.due.is_none());
        Self { copy, ..self }
    }

    /// The entry, if it was served within its TTL, from the store.
    pub(crate) fn entry_if_fresh(&self) -> Option<&Entry> {
        (self.kind == HitKind::Fresh).then_some(&self.entry)
    }

    /// The right to keep a copy of the value.
    pub(crate) fn take_copy(&mut self) -> Option<Box<CopyRight>> {
        self.copy.take()
    }
}

impl Read {
    pub(crate) fn begin(subject: Arc<Subject>, terms: Terms) -> Self {
        // First of all: the enclosing load depends on this key whatever this call finds, and even
        // if it is dropped right away.
        subject.hand_over();
        let budget = Budget::new(subject.runtime.config.operation_deadline);
        let outset = subject.runtime.debts.outset();
        let way = match Way::of(&subject, terms, outset) {
            Way::Bypass => Way::Bypass,
            // The outer call has already spent all the time that the store may cost it.
            _ if budget.left().is_zero() => Way::FailOpen,
            way => way,
        };
        if matches!(way, Way::Bypass) && subject.runtime.store.is_some() {
            subject.note(Event::Bypass);
        }
        let if_present = if terms.refresh { IfPresent::Ignore } else { IfPresent::Return };
        let seen = Evidence { if_present, kept: None };
        Self { subject, terms, way, seen, outset, budget, patience: None, late: None, is_late_in_vain: false }
    }

    /// Whether stored bytes can be an answer to this call.
    fn looks(&self) -> bool {
        !matches!(self.way, Way::Bypass | Way::FailOpen) && self.seen.if_present != IfPresent::Ignore
    }

    /// Looks in the store: the stored value, if this call may use it. One round trip. Calls do not
    /// share this look: a shared answer could be older than the caller.
    pub(crate) async fn stored(&mut self) -> Option<Hit> {
        match self.look().await {
            Ok(found) => found,
            Err(_) => {
                self.way = Way::FailOpen;
                None
            }
        }
    }

    /// As [`stored`](Self::stored), but an error of the store goes to the caller.
    pub(crate) async fn look(&mut self) -> Result<Option<Hit>, Error> {
        loop {
            let Some((key, store)) = self.subject.place().filter(|_| self.looks()) else { return Ok(None) };
            // Before the read is sent: a change from here on takes the placeholder away.
            let near = &self.subject.runtime.near;
            let placeholder = if self.terms.copy { near.expect(&key.text) } else { None };
            let counters = &self.subject.counters;
            let (bytes, copy) = match placeholder {
                None => {
                    (self.budget.ask(counters, StoreOperation::Get, |until| store.get(&key.text, until)).await?, None)
                }
                Some(placeholder) => {
                    let ask =
                        self.budget.ask(counters, StoreOperation::Get, |until| store.get_to_copy(&key.text, until));
                    let (bytes, voucher) = ask.await?;
                    (bytes, voucher.map(|voucher| Box::new(CopyRight::new(placeholder, voucher))))
                }
            };
            let Some(bytes) = bytes else { return Ok(None) };
            if !self.goes_beside(&bytes) {
                let found = self.usable(bytes, Source::Store);
                return Ok(found.map(|found| found.with(copy)));
            }
        }
    }

    /// Whether the bytes are a good entry of another type, so that this call goes on with the entry
    /// of its own type [beside](Subject::beside) that one.
    fn goes_beside(&mut self, bytes: &Bytes) -> bool {
        let is_function = !self.terms.any_type && !self.subject.policy.by_text;
        if entry::is_of(bytes, &self.subject.fingerprint) || !is_function {
            return false;
        }
        if !Entry::decode(bytes.clone()).is_ok_and(|entry| !entry.header().by_text) {
            return false;
        }
        let Some(beside) = self.subject.beside() else { return false };
        self.subject.note(Event::BadEntry(Unreadable::OtherType));
        self.subject = beside;
        true
    }

    /// Counts a value that was decoded and goes to the caller. Returns the refresh that is due, if
    /// any.
    pub(crate) fn served(&self, found: Hit) -> Option<Box<Due>> {
        let (event, result) = match found.kind {
            HitKind::Fresh => (Event::Hit, CallResult::Hit),
            HitKind::Stale => (Event::StaleHit, CallResult::Stale),
            HitKind::Shared => (Event::SharedMiss, CallResult::Shared),
            HitKind::StandIn => (Event::StandInMiss, CallResult::StandIn),
        };
        self.subject.note(event);
        self.subject.record(result);
        let fresh_until_ms = found.entry.header().soft_expires_at_ms;
        let left_ms = || fresh_until_ms.saturating_sub(self.subject.runtime.wall_ms());
        self.subject.lasts(|| Duration::from_millis(left_ms()));
        found.due
    }

    /// The payload is not what the type expects.
    pub(crate) fn undecodable(&mut self, found: &Hit) {
        self.bad(Unreadable::Undecodable);
        match found.kind {
            HitKind::Shared => self.way = Way::Alone,
            // It is read no better the next time.
            HitKind::StandIn => self.seen.kept = None,
            HitKind::Fresh | HitKind::Stale => {}
        }
    }

    pub(crate) fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.subject.counters
    }

    /// Takes the value of another call's load, or comes back with a load to run. After
    /// `load_timeout`, takes the value that this call has seen, if that is still stored.
    pub(crate) async fn miss(&mut self) -> Miss {
        if self.late.is_none() {
            let timeout = self.subject.policy.load_timeout.filter(|_| self.terms.background && can_wait());
            self.late = timeout.map(clock::after);
        }
        // Only the wait for others is cut short. A call that is to load does so, or nobody would.
        let sharing = match self.late() {
            None => self.share().await,
            Some(late) => match tokio::time::timeout_at(late, self.share()).await {
                Ok(sharing) => sharing,
                Err(_) => match self.stand_in_late().await {
                    Some(found) => Sharing::Found(found),
                    None => self.share().await,
                },
            },
        };
        match sharing {
            Sharing::Found(found) => Miss::Found(found),
            Sharing::Lead(leader) => self.lease(Some(leader)).await,
            Sharing::Alone => self.lease(None).await,
        }
    }

    /// The value that this call has seen, in place of a load of others that takes too long. Asked
    /// once: a value that may not be served now may not be served later either.
    async fn stand_in_late(&mut self) -> Option<Hit> {
        self.is_late_in_vain = true;
        let entry = load::stand_in_if_stored(&self.subject, self.seen.kept.as_ref()?).await?;
        Some(Hit { entry, kind: HitKind::StandIn, due: None, copy: None })
    }

    /// When this call is served what it has seen instead of waiting for others.
    fn late(&self) -> Option<Instant> {
        self.late.filter(|_| self.seen.kept.is_some() && !self.is_late_in_vain)
    }

    async fn share(&mut self) -> Sharing {
        let Some(key) = self.subject.key_text().cloned() else { return Sharing::Alone };
        let (mut joined_again, mut looked_again) = (false, false);
        let (mut streak, mut overdue) = (Streak::default(), None);
        while matches!(self.way, Way::Share) {
            let follower = match self.subject.runtime.flights.join(&key, &streak, overdue.as_ref()) {
                Role::Lead(leader) => return Sharing::Lead(leader),
                Role::Follow(follower) => follower,
                Role::Crowded => {
                    self.way = Way::WaitForLease;
                    break;
                }
            };
            match self.follow(follower, &streak).await {
                Advice::Take(bytes) => match self.usable(bytes, Source::Flight) {
                    Some(found) => return Sharing::Found(found),
                    None if matches!(self.way, Way::Share) => self.way = Way::Alone,
                    None => {}
                },
                // The second look. Each follower looks for itself, because a shared answer could be
                // older than the follower. If the value is gone again, the followers wait for the
                // lease together.
                Advice::Look if !looked_again && self.looks() => {
                    looked_again = true;
                    if let Some(found) = self.stored().await {
                        return Sharing::Found(found);
                    }
                }
                Advice::Look => self.way = Way::WaitForLease,
                Advice::TakeTurns(failed) => match self.stand_in() {
                    Some(found) => return Sharing::Found(found),
                    None => streak = failed,
                },
                Advice::LoadBeside(beside) => match self.stand_in() {
                    Some(found) => return Sharing::Found(found),
                    None => self.way = Way::Beside(beside),
                },
                Advice::TakeOver => {}
                Advice::StandBy(flight) => overdue = Some(flight),
                // Once: a value that is refused over and over must not make callers queue up.
                Advice::JoinAgain if !joined_again => joined_again = true,
                // All followers load now, without waiting for each other: the next leader's value
                // may be impossible to share as well, and so on.
                Advice::JoinAgain | Advice::Load => self.way = Way::Alone,
            }
        }
        Sharing::Alone
    }

    /// What the end of a flight means to this call, or that it does not come in time.
    async fn follow(&mut self, mut follower: Follower, failed: &Streak) -> Advice {
        if !can_wait() {
            return Advice::Load;
        }
        let waited = tokio::time::timeout_at(self.patience(), follower.advice()).await;
        self.subject.note(Event::WaitEnded(match &waited {
            Ok(advice) => advice.wait_end(),
            Err(_) => WaitEnd::Patience,
        }));
        match waited {
            Ok(advice) => advice,
            // The loads before this one failed, a few at a time, for all the time that this call
            // waits: it needs an error, too.
            Err(_) if failed.is_one() => Advice::Load,
            Err(_) => follower.advice_without_patience().await,
        }
    }

    /// The bytes as a value that this call may use. If it may not, the reason is noted in `seen` or
    /// `way`, for the next question to the store.
    fn usable(&mut self, bytes: Bytes, source: Source) -> Option<Hit> {
        match self.judge(bytes, source) {
            Verdict::Usable(found) => return Some(found),
            // If another call stores a newer value meanwhile, this call takes that one and need not
            // load.
            Verdict::TooOld(entry) => {
                self.seen.if_present = IfPresent::ReturnOther(entry.version());
                self.seen.kept = (!self.subject.policy.freshness.stale_if_error.is_zero()).then_some(entry);
            }
            Verdict::Bad(reason) => self.bad(reason),
            Verdict::Owed => {
                self.subject.note(Event::Bypass);
                self.way = Way::Bypass;
            }
        }
        None
    }

    /// Decides what the bytes are to this call. The names of a usable entry go to the enclosing
    /// load.
    fn judge(&self, bytes: Bytes, source: Source) -> Verdict {
        let Subject { runtime, policy, fingerprint, .. } = &*self.subject;
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::Bad(reason.into()),
        };
        let header = *entry.header();
        if !self.terms.any_type && header.fingerprint != *fingerprint {
            return Verdict::Bad(Unreadable::OtherType);
        }
        if header.by_text && !policy.by_text {
            return Verdict::Bad(Unreadable::ByText);
        }
        let entry = match self.subject.opened(entry) {
            Ok(entry) => entry,
            Err(reason) => return Verdict::Bad(reason),
        };
        let in_load = provenance::in_load();
        let names = if in_load || runtime.debts.is_owing() { entry.names().ok() } else { Some(Vec::new()) };
        let Some(names) = names else { return Verdict::Bad(Unreadable::Corrupt) };
        if self.subject.is_owed(self.outset, &names) {
            return Verdict::Owed;
        }
        let decision = match source {
            // The value was loaded for the callers that waited, so they are served, however short
            // its TTL.
            Source::Flight => Decision::Serve,
            Source::Store => policy.freshness.step(&header.times(), runtime.wall_ms(), 1.0 - fastrand::f64()),
        };
        // Asked only of a value that is due: whether there are timers costs as much as a timer.
        let background = || self.terms.background && runtime.config.refreshes_max > 0 && can_wait();
        // An enclosing load is never made from a stale value, for its own entry would count as
        // fresh.
        let due = match decision {
            Decision::Serve => None,
            Decision::ServeAndRefresh(reason @ Reason::Stale) if !in_load && background() => Some(reason),
            Decision::ServeAndRefresh(reason @ Reason::Early) if background() => Some(reason),
            Decision::ServeAndRefresh(Reason::Early) => None,
            Decision::ServeAndRefresh(Reason::Stale) | Decision::LoadOrServe | Decision::Expired => {
                return Verdict::TooOld(entry);
            }
        };
        provenance::hand_over(runtime.id, &names);
        let kind = match (source, due) {
            (Source::Flight, _) => HitKind::Shared,
            (Source::Store, Some(Reason::Stale)) => HitKind::Stale,
            (Source::Store, _) => HitKind::Fresh,
        };
        let due = due.and_then(|_| Due::new(&self.subject, entry.version()));
        Verdict::Usable(Hit { entry, kind, due, copy: None })
    }

    fn bad(&mut self, reason: Unreadable) {
        self.subject.note_unreadable(reason);
        self.seen.if_present = IfPresent::Ignore;
    }

    /// The value that this very call has read, in place of a load that failed. The value that the
    /// leader read will not do: it may be older than this call. A call that has such a value need
    /// not wait for a turn to load: if that load failed too, the call would be served this value
    /// all the same.
    fn stand_in(&mut self) -> Option<Hit> {
        let entry = load::stand_in(&self.subject, self.seen.kept.take()?)?;
        Some(Hit { entry, kind: HitKind::StandIn, due: None, copy: None })
    }
}

impl Way {
    fn of(subject: &Subject, terms: Terms, outset: Outset) -> Self {
        let (runtime, Some(key)) = (&subject.runtime, &subject.key) else { return Self::Bypass };
        if runtime.store.is_none() || subject.is_contested() || subject.is_owed(outset, &[]) {
            return Self::Bypass;
        }
        // A call inside the load of its own key would wait for itself. A refresh must not share a
        // load that has already begun.
        if provenance::is_loading(runtime.id, &key.text) || terms.refresh { Self::Alone } else { Self::Share }
    }
}

//! The read path of one call: look; share another's load, or take the lease; load. Compiled once:
//! nothing in it is generic.

use std::sync::Arc;

use bytes::Bytes;

use super::load::{self, Loading};
use super::recovery;
use super::refresh::Due;
use super::subject::Subject;
use crate::clock::{Instant, can_wait};
use crate::entry::Entry;
use crate::error::Error;
use crate::freshness::{Decision, Reason};
use crate::observe::{Counters, Event};
use crate::runtime::budget::Budget;
use crate::runtime::provenance;
use crate::runtime::single_flight::{Advice, Beside, Follower, Leader, Role, Streak};
use crate::store::IfPresent;

pub(crate) mod batch;
mod claim;

/// One call, until it has a value or has to load.
pub(crate) struct Read {
    subject: Arc<Subject>,
    terms: Terms,
    way: Way,
    seen: Seen,
    budget: Budget,
    /// When it stops waiting for others: set by the first wait.
    patience: Option<Instant>,
}

/// What the caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// To load, whatever is stored.
    pub(crate) refresh: bool,
    /// The caller has a value refreshed in the background.
    pub(crate) background: bool,
    /// Bytes of another type may be an answer: the caller has a key given as text, which does not
    /// know the function's version.
    pub(crate) any_type: bool,
}

/// How the call goes on if it misses.
enum Way {
    /// Join the flight of the key, or lead one.
    Share,
    /// Alone, but wait for whoever has the lease.
    WaitForLease,
    /// Alone, now: with a clock reading, and with the lease only if it is free.
    Alone,
    /// Alone, now: with a clock reading, and without the lease, which is for whoever leads after a
    /// load that failed.
    Beside(Beside),
    /// The store failed this call: load and store nothing.
    FailOpen,
    /// Leave the cache alone: load and store nothing.
    Bypass,
}

/// What this call has seen under its key.
struct Seen {
    /// Which stored bytes are an answer: not those that were too old, none after some that were
    /// corrupt or foreign.
    if_present: IfPresent,
    /// A value that is too old, and is served if the load fails.
    kept: Option<Entry>,
}

/// A stored value that the caller may be served.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    kind: HitKind,
    // Boxed: rare, and large.
    due: Option<Box<Due>>,
}

/// As what a stored value is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HitKind {
    Fresh,
    /// Within `stale_while_revalidate`.
    Stale,
    /// Another call of this process has loaded it.
    Shared,
    /// In the place of another call's load, which failed: within `stale_if_error`.
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
    Usable(Found),
    TooOld(Entry),
    /// Corrupt, or of another type.
    Bad,
    /// An invalidation that would remove them has failed.
    Owed,
}

/// What comes of a miss: a stored value, or a load to run.
pub(crate) enum Miss {
    Found(Found),
    Load(Box<Loading>),
}

/// What comes of joining a flight.
enum Sharing {
    Found(Found),
    Lead(Leader),
    Alone,
}

impl Read {
    pub(crate) fn begin(subject: Arc<Subject>, terms: Terms) -> Self {
        // First of all: the enclosing load depends on this key whatever comes, also if this call is
        // dropped right away.
        subject.hand_over();
        let budget = Budget::new(subject.runtime.config.operation_deadline);
        let way = match Way::of(&subject, terms) {
            Way::Bypass => Way::Bypass,
            // The store has cost the outer call all that it may.
            _ if budget.left().is_zero() => Way::FailOpen,
            way => way,
        };
        if matches!(way, Way::Bypass) && subject.runtime.store.is_some() {
            subject.note(Event::Bypass);
        }
        let if_present = if terms.refresh { IfPresent::Ignore } else { IfPresent::Return };
        let seen = Seen { if_present, kept: None };
        Self { subject, terms, way, seen, budget, patience: None }
    }

    /// Whether it wants to know what is stored.
    fn looks(&self) -> bool {
        !matches!(self.way, Way::Bypass | Way::FailOpen) && self.seen.if_present != IfPresent::Ignore
    }

    /// What is stored, if it can be used. One round trip, under the caller's own future: a shared
    /// answer could be older than the caller.
    pub(crate) async fn stored(&mut self) -> Option<Found> {
        match self.look().await {
            Ok(found) => found,
            Err(_) => {
                self.way = Way::FailOpen;
                None
            }
        }
    }

    /// The same; an error is the store's.
    pub(crate) async fn look(&mut self) -> Result<Option<Found>, Error> {
        let Some((key, store)) = self.subject.place().filter(|_| self.looks()) else { return Ok(None) };
        let bytes = self.budget.ask(&self.subject.counters, |until| store.get(&key.text, until)).await?;
        Ok(bytes.and_then(|bytes| self.usable(bytes, Source::Store)))
    }

    /// The entry was decoded and goes to the caller, who may have to have it refreshed.
    pub(crate) fn served(&self, found: Found) -> Option<Box<Due>> {
        self.subject.note(match found.kind {
            HitKind::Fresh => Event::Hit,
            HitKind::Stale => Event::StaleHit,
            HitKind::Shared => Event::SharedMiss,
            HitKind::StandIn => Event::StandInMiss,
        });
        found.due
    }

    /// The payload is not what the type expects.
    pub(crate) fn undecodable(&mut self, found: &Found) {
        self.bad();
        if found.kind == HitKind::Shared {
            self.way = Way::Alone;
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.subject.counters
    }

    /// Takes what others load, or comes back with a load to run.
    pub(crate) async fn miss(&mut self) -> Miss {
        match self.share().await {
            Sharing::Found(found) => Miss::Found(found),
            Sharing::Lead(leader) => self.lease(Some(leader)).await,
            Sharing::Alone => self.lease(None).await,
        }
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
                // One look for each, as it must be; together they wait for the lease if the value
                // is gone again.
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
                // Everyone at once: the next leader's value may be as little to share, and so on.
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
        match tokio::time::timeout_at(self.patience(), follower.advice()).await {
            Ok(advice) => advice,
            // The loads before this one failed, a few at a time, for all the time that this call
            // waits: it needs an error, too.
            Err(_) if failed.is_one() => Advice::Load,
            Err(_) => follower.advice_without_patience().await,
        }
    }

    /// What is stored, as this call may have it; if it may not, that is noted for the next
    /// question.
    fn usable(&mut self, bytes: Bytes, source: Source) -> Option<Found> {
        match self.judge(bytes, source) {
            Verdict::Usable(found) => return Some(found),
            // Whoever replaces it meanwhile saves this call the load.
            Verdict::TooOld(entry) => {
                self.seen.if_present = IfPresent::ReturnOther(entry.version());
                self.seen.kept = (!self.subject.policy.freshness.stale_if_error.is_zero()).then_some(entry);
            }
            Verdict::Bad => self.bad(),
            Verdict::Owed => {
                self.subject.note(Event::Bypass);
                self.way = Way::Bypass;
            }
        }
        None
    }

    /// Hands the names of a usable entry to the enclosing load.
    fn judge(&self, bytes: Bytes, source: Source) -> Verdict {
        let Subject { runtime, policy, fingerprint, .. } = &*self.subject;
        let Ok(entry) = Entry::decode(bytes) else { return Verdict::Bad };
        let header = entry.header();
        let is_foreign = !self.terms.any_type && header.fingerprint != *fingerprint;
        if is_foreign || (header.by_text && !policy.by_text) {
            return Verdict::Bad;
        }
        let (in_load, is_owing) = (provenance::in_load(), runtime.debts.is_owing());
        let names = if in_load || is_owing { entry.names().ok() } else { Some(Vec::new()) };
        let Some(names) = names else { return Verdict::Bad };
        if is_owing && recovery::affects(runtime, &names) {
            return Verdict::Owed;
        }
        let decision = match source {
            // Loaded for those who waited, however short its TTL.
            Source::Flight => Decision::Serve,
            Source::Store => policy.freshness.step(&header.times(), runtime.wall_ms(), 1.0 - fastrand::f64()),
        };
        let background = self.terms.background && can_wait() && runtime.config.refreshes_max > 0;
        // An enclosing load is never made from something stale, for its entry would be fresh.
        let due = match decision {
            Decision::Serve => None,
            Decision::ServeAndRefresh(reason @ Reason::Stale) if background && !in_load => Some(reason),
            Decision::ServeAndRefresh(reason @ Reason::Early) if background => Some(reason),
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
        Verdict::Usable(Found { entry, kind, due })
    }

    fn bad(&mut self) {
        self.subject.note(Event::BadEntry);
        self.seen.if_present = IfPresent::Ignore;
    }

    /// What this very call has read, in the place of a load that failed: that of a leader may be
    /// older than this call. Who has it need not wait for a turn to load: it would be served the
    /// same if that load failed, too.
    fn stand_in(&mut self) -> Option<Found> {
        let entry = load::stand_in(&self.subject, self.seen.kept.take()?)?;
        Some(Found { entry, kind: HitKind::StandIn, due: None })
    }
}

impl Way {
    fn of(subject: &Subject, terms: Terms) -> Self {
        let (runtime, Some(key)) = (&subject.runtime, &subject.key) else { return Self::Bypass };
        if runtime.store.is_none() || recovery::affects(runtime, [&key.name]) {
            return Self::Bypass;
        }
        // Waiting for the load that it is part of, it would wait for itself; and a load that has
        // begun is not the one that a refresh asks for.
        if provenance::is_loading(runtime.id, &key.text) || terms.refresh { Self::Alone } else { Self::Share }
    }
}

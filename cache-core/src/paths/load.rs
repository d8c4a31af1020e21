//! A load: the body of a cached function while it runs, and what becomes of its value.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::entry::Entry;
use crate::entry::Fingerprint;
use crate::entry::codec::Encoded;
use crate::error::Error;
use crate::key::Policy;
use crate::name::Name;
use crate::name::Names;
use crate::paths::lease::{Lease, Renewal};
use crate::paths::stamp::{self, Refilled, Stamped, Unstorable};
use crate::runtime::Runtime;
use crate::runtime::budget::Spent;
use crate::runtime::provenance::{self, Scope};
use crate::runtime::single_flight::{Beside, End, Leader};
use crate::store::{ClockReading, Fill, FillReply, Token};

pub(crate) mod batch;

/// Dropped before it is ended: the lease goes back in the background, and a follower takes over.
pub(crate) struct Loading {
    runtime: Arc<Runtime>,
    key: Option<(Arc<str>, Name)>,
    policy: Policy,
    fingerprint: Fingerprint,
    scope: Arc<Scope>,
    declared: Names,
    /// Read before the load. Without it there is no fill: the value might be older than an invalidation.
    clock: Option<ClockReading>,
    lease: Option<Lease>,
    leader: Option<Leader>,
    /// Held for as long as it loads, if it does so beside a leader.
    pub(crate) beside: Option<Beside>,
    spent: Spent,
    cost: Duration,
    if_failed: IfFailed,
    /// Whether something was stored under the key when the load was decided on.
    replaces: bool,
}

/// What comes of an error of the body.
enum IfFailed {
    /// The caller gets it.
    Returned,
    /// Nobody waits for this load: it is a refresh.
    Unseen,
    /// The caller gets what this very call read before, whose window of `stale_if_error` is still open.
    Kept(Entry),
}

impl Loading {
    #[expect(clippy::too_many_arguments, reason = "one caller, which has all of it")]
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        key: Option<(Arc<str>, Name)>,
        policy: Policy,
        fingerprint: Fingerprint,
        clock: Option<ClockReading>,
        lease: Option<Lease>,
        leader: Option<Leader>,
        spent: Spent,
    ) -> Self {
        let scope = Scope::new(runtime.id, key.as_ref().map(|(key, _)| key.clone()), runtime.config.names_max);
        let (declared, cost) = (Names::new(), Duration::ZERO);
        let if_failed = IfFailed::Returned;
        Self {
            runtime,
            key,
            policy,
            fingerprint,
            scope,
            declared,
            clock,
            lease,
            leader,
            beside: None,
            spent,
            cost,
            if_failed,
            replaces: true,
        }
    }

    /// Of a refresh in the background.
    pub(crate) fn unseen(mut self) -> Self {
        self.if_failed = IfFailed::Unseen;
        self
    }

    /// Nothing is stored under the key.
    pub(crate) fn of_nothing(mut self, nothing: bool) -> Self {
        self.replaces = !nothing;
        self
    }

    /// `None` changes nothing.
    pub(crate) fn keeping(mut self, kept: Option<Entry>) -> Self {
        if let Some(entry) = kept {
            self.if_failed = IfFailed::Kept(entry);
        }
        self
    }

    /// Adds names that the entry is declared to belong to. The enclosing loads get them whatever becomes of the value.
    pub(crate) fn declare(&mut self, names: Names) {
        if names.is_poisoned() {
            self.scope.taint_outwards();
        }
        self.scope.hand_outwards(names.iter());
        self.declared.extend(names);
    }

    /// The body is boxed: an async function that awaits one of its arguments holds it twice, and nested cached calls would
    /// multiply that. A load costs more than an allocation.
    pub(crate) fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> + use<'_, F> {
        let mut body = Box::pin(self.scope.clone().run(body));
        async move {
            // Before the body: a follower that joins from here on may not have an unstored value of it.
            self.leader.iter().for_each(Leader::load_begins);
            let renewal = Renewal::of(&self.runtime, self.lease.iter().map(|lease| (lease, self.leader.as_ref())));
            self.spent.counters.loads(1);
            let begun = Instant::now();
            let output = body.as_mut().await;
            self.cost = begun.elapsed();
            self.spent.counters.load_time(self.cost);
            drop(renewal);
            output
        }
    }

    /// There is no value to store: followers load for themselves, all at once.
    pub(crate) fn end_unstored(mut self) {
        if let Some(leader) = self.leader.take() {
            leader.end(End::Nothing);
        }
    }

    /// The body failed: followers load a few at a time.
    pub(crate) fn end_failed(mut self) {
        // First of all: the next leader must not meet this one's lease.
        self.lease = None;
        if let Some(leader) = self.leader.take() {
            leader.fail();
        }
    }

    /// The body failed. What the caller is served instead, if `stale_if_error` allows it; the error is said then.
    pub(crate) fn end_failed_or_stand_in(mut self, error: &str) -> Option<Entry> {
        let if_failed = std::mem::replace(&mut self.if_failed, IfFailed::Returned);
        let (runtime, key, policy) = (self.runtime.clone(), self.key.clone(), self.policy.clone());
        let counters = self.spent.counters.clone();
        self.end_failed();
        let key = key.as_ref().map(|(key, _)| &**key);
        match if_failed {
            IfFailed::Returned => None,
            IfFailed::Unseen => {
                counters.hidden_failures(1);
                tracing::warn!(key, error, "a refresh in the background failed");
                None
            }
            IfFailed::Kept(entry) => {
                let entry = stand_in(&runtime, &policy, entry)?;
                counters.hidden_failures(1);
                counters.stale_hits(1);
                tracing::warn!(key, error, "a load failed: the value before it is served");
                Some(entry)
            }
        }
    }

    /// What can be decided before the value is encoded. `None`: it will not be stored.
    pub(crate) fn prepare(mut self) -> Option<Prepared> {
        let (Some((_, key)), Some(clock)) = (&self.key, self.clock.take()) else {
            self.end_unstored();
            return None;
        };
        let declared = std::mem::take(&mut self.declared);
        match stamp::names(&self.runtime, key, declared, self.scope.take()) {
            Ok(names) => Some(Prepared { loading: self, clock, names }),
            Err(reason) => {
                self.unstorable(reason);
                None
            }
        }
    }

    fn unstorable(self, reason: Unstorable) {
        if reason != Unstorable::NotWanted {
            self.spent.counters.unstored(1);
        }
        self.end_unstored();
    }
}

/// The entry, if it may still be served in the place of a load that failed. To be called by who has read it: an invalidation
/// that ended before that call began has removed it.
pub(crate) fn stand_in(runtime: &Runtime, policy: &Policy, entry: Entry) -> Option<Entry> {
    if !policy.freshness.may_stand_in(&entry.header().times(), runtime.wall_ms()) {
        return None;
    }
    // What enclosing loads make of it must not be stored: it would be fresh again.
    provenance::taint();
    Some(entry)
}

/// A load that has ended, with the names of its entry.
pub(crate) struct Prepared {
    loading: Loading,
    clock: ClockReading,
    names: Vec<Name>,
}

impl Prepared {
    pub(crate) fn encoded(self, encoded: Result<Encoded, Error>) -> Option<Filling> {
        let Self { loading, clock, names } = self;
        let stamped = match encoded {
            Ok(encoded) => {
                let Loading { runtime, policy, fingerprint, cost, replaces, .. } = &loading;
                let refilled = Refilled { clock: &clock, replaces: *replaces };
                stamp::stamp(runtime, policy, *fingerprint, &names, encoded, *cost, refilled)
            }
            Err(_) => Err(Unstorable::Unencodable),
        };
        match stamped {
            Ok(stamped) => Some(Filling { loading, clock, names, stamped }),
            Err(reason) => {
                loading.unstorable(reason);
                None
            }
        }
    }
}

/// A value on its way to the store.
pub(crate) struct Filling {
    loading: Loading,
    clock: ClockReading,
    names: Vec<Name>,
    stamped: Stamped,
}

impl Filling {
    /// As [`send`](Self::send), with a limit to what it may cost.
    pub(crate) async fn send_within(mut self, limit: Duration) -> bool {
        self.loading.spent.limit(limit);
        self.send().await
    }

    pub(crate) fn bytes(&self) -> usize {
        self.stamped.value.len()
    }

    /// `false`: the store did not answer.
    pub(crate) async fn send(self) -> bool {
        let Self { mut loading, clock, names, stamped: Stamped { value, ttl, learned } } = self;
        let runtime = loading.runtime.clone();
        let (Some((key, _)), Ok(store)) = (&loading.key, runtime.store()) else { return false };
        // Before it is sent: a stored fill proves the value fresh only to those who have joined by now.
        loading.leader.iter().for_each(Leader::close);
        // A load without a lease has a token that holds none.
        let token = loading.lease.as_ref().map_or_else(Token::new, |lease| lease.token);
        let fill = Fill { key, value: value.clone(), names: &names, ttl, clock: &clock, token, learned };
        let reply = loading.spent.ask(store.fill(fill)).await;
        let is_answered = reply.is_ok();
        if is_answered {
            // The fill gave it back. After a failure nobody knows, so dropping it does.
            loading.lease.iter_mut().for_each(Lease::forget);
        }
        let counters = &loading.spent.counters;
        let end = match reply {
            Ok(FillReply::Stored) => {
                counters.fills(1);
                End::Stored(value)
            }
            Ok(FillReply::Refused(_)) => {
                counters.refused_fills(1);
                End::Refused(value)
            }
            Err(_) => End::NotStored(value),
        };
        if let Some(leader) = loading.leader.take() {
            leader.end(end);
        }
        is_answered
    }
}

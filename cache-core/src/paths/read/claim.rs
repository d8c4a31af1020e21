//! How a call that has to load gets the right to load, or goes without.

use std::time::Duration;

use super::{Miss, Read, Source, Way};
use crate::ablation::{ProcessRule, keeps};
use crate::clock::{self, Instant, can_wait};
use crate::config::{Config, DURATION_MAX};
use crate::observe::{CallResult, Event, StoreOperation, WaitEnd};
use crate::paths::lease::{self, Lease};
use crate::paths::load::{IfFailed, Loading, Rights};
use crate::paths::subject::Subject;
use crate::paths::wait::Wait;
use crate::runtime::single_flight::{End, Leader};
use crate::store::{Change, ClockReading, IfHeld, IfPresent, LeaseReply};

/// A try at the right to load.
pub(super) struct Claim {
    pub(super) lease: Lease,
    pub(super) leader: Option<Leader>,
}

/// The answer to a [`Claim`].
pub(super) enum ClaimAnswer {
    Missed(Miss),
    /// Another process has the lease.
    Held {
        claim: Claim,
        clock: ClockReading,
        remaining: Duration,
    },
    /// The store did not say.
    Unanswered(Claim),
}

impl Read {
    pub(super) async fn lease(&mut self, leader: Option<Leader>) -> Miss {
        let subject = self.subject.clone();
        let Some((key, store)) = subject.place() else { return self.load_unfilled(leader) };
        match self.way {
            Way::FailOpen | Way::Bypass => return self.load_unfilled(leader),
            Way::Beside(_) => return self.load_beside().await,
            Way::Share | Way::WaitForLease | Way::Alone => {}
        }
        let mut claim = Claim { lease: Lease::new(&subject.runtime, &key.text), leader };
        let (mut wait, budget, mut may_ask_again) = (Wait::default(), self.budget, false);
        loop {
            claim = match self.claim(claim).await {
                ClaimAnswer::Missed(miss) => return miss,
                ClaimAnswer::Held { claim, clock, .. } if self.gives_up() => return self.load_unleased(claim, clock),
                ClaimAnswer::Held { claim, .. } if self.late().is_some_and(|late| late <= clock::now()) => {
                    match self.stand_in_late().await {
                        Some(found) => return Miss::Found(found),
                        None => claim,
                    }
                }
                ClaimAnswer::Held { mut claim, remaining, .. } => {
                    // Out of patience, until the lease may be taken over: that is when it ends for
                    // this call.
                    let patience = Some(self.patience()).filter(|_| !self.is_out_of_patience());
                    let until = patience.into_iter().chain(self.late()).min();
                    let if_present = self.seen.if_present;
                    let wait = wait.once(&mut self.budget, &subject, store, if_present, remaining, until);
                    let change = wait.await;
                    subject.note(Event::WaitEnded(match change {
                        Change::Value => WaitEnd::LeaseValue,
                        Change::Lease => WaitEnd::LeaseChanged,
                        Change::Nothing | Change::Unknown => WaitEnd::LeaseTime,
                    }));
                    if change == Change::Value {
                        // The followers need not wait until this call has read the new value: each
                        // looks for itself.
                        claim.leader.take().into_iter().for_each(|leader| leader.end(End::Elsewhere));
                    }
                    // The wait has a limit of its own, and does not count against the budget.
                    self.budget = budget;
                    may_ask_again = true;
                    claim
                }
                // A connection lost during the wait says nothing about the load that this call
                // waits for, so it asks once more.
                ClaimAnswer::Unanswered(claim) if may_ask_again && self.may_ask() => {
                    may_ask_again = false;
                    claim
                }
                ClaimAnswer::Unanswered(claim) => return self.fail_open(claim),
            };
        }
    }

    /// Asks for the lease; no other place in the read path does. A value that is stored by now is
    /// taken, if this call may use it.
    pub(super) async fn claim(&mut self, mut claim: Claim) -> ClaimAnswer {
        loop {
            let (if_present, if_held) = (self.seen.if_present, self.if_held());
            match lease::ask(&self.subject, &mut self.budget, &claim.lease, if_present, if_held).await {
                Ok(LeaseReply::Granted(clock)) => {
                    let Claim { lease, leader } = claim;
                    let rights = Rights { clock: Some(clock), lease: Some(lease), leader, _beside: None };
                    return ClaimAnswer::Missed(self.load(rights));
                }
                Ok(LeaseReply::Held { clock, remaining }) => return ClaimAnswer::Held { claim, clock, remaining },
                Ok(LeaseReply::Hit(bytes)) if if_present != IfPresent::Ignore => {
                    let shared = if keeps(ProcessRule::LeaseHitsAreNotShared) {
                        End::Elsewhere
                    } else {
                        End::Stored(bytes.clone())
                    };
                    if let Some(found) = self.usable(bytes, Source::Store) {
                        claim.lease.forget();
                        // The value was read before the latest followers joined: each follower
                        // looks for itself.
                        if let Some(leader) = claim.leader {
                            leader.end(shared);
                        }
                        return ClaimAnswer::Missed(Miss::Found(found));
                    }
                    if matches!(self.way, Way::Bypass) {
                        return ClaimAnswer::Unanswered(claim);
                    }
                    // `usable` has noted that these bytes do not count when the store is asked
                    // again.
                }
                Ok(LeaseReply::Hit(_)) | Err(_) => return ClaimAnswer::Unanswered(claim),
            }
        }
    }

    /// Whether it loads although another process does, without the lease.
    pub(super) fn gives_up(&self) -> bool {
        matches!(self.way, Way::Alone) || !can_wait()
    }

    fn if_held(&self) -> IfHeld {
        if self.is_out_of_patience() { IfHeld::TakeOver(self.wait()) } else { IfHeld::Wait }
    }

    /// Whether it has waited for others as long as it is to wait for them.
    pub(super) fn is_out_of_patience(&self) -> bool {
        self.patience.is_some_and(|ends| clock::now() >= ends)
    }

    /// From the first time that this is asked on.
    pub(super) fn patience(&mut self) -> Instant {
        let wait = self.wait();
        *self.patience.get_or_insert_with(|| clock::now() + wait)
    }

    /// How long it waits for a load of others. Not shorter than the lease: a call that waits for a
    /// dead process is still there when the lease of that process ends.
    fn wait(&self) -> Duration {
        let Subject { policy, runtime, .. } = &*self.subject;
        let Config { lease, lease_wait, .. } = runtime.config;
        policy.wait.map_or(lease_wait, |wait| wait.clamp(lease, DURATION_MAX))
    }

    fn may_ask(&self) -> bool {
        !matches!(self.way, Way::Bypass) && !self.budget.left().is_zero()
    }

    /// Loads beside the leader: with a clock reading, without the lease.
    async fn load_beside(&mut self) -> Miss {
        let subject = self.subject.clone();
        let Some((key, store)) = subject.place() else { return self.load_unfilled(None) };
        let reading = |until| store.read_clock(&key.text, subject.recall(), until);
        let reading = self.budget.ask(&subject.counters, StoreOperation::ReadClock, reading).await;
        match (std::mem::replace(&mut self.way, Way::FailOpen), reading) {
            (Way::Beside(beside), Ok(clock)) => {
                self.load(Rights { clock: Some(clock), _beside: Some(beside), ..Rights::default() })
            }
            _ => self.load_unfilled(None),
        }
    }

    /// Another process has the lease, and this call waits no longer. It loads with the clock
    /// reading that came with the answer.
    pub(super) fn load_unleased(&mut self, mut claim: Claim, clock: ClockReading) -> Miss {
        claim.lease.forget();
        self.load(Rights { clock: Some(clock), leader: claim.leader, ..Rights::default() })
    }

    /// The store did not say whose the lease is. In case it is this call's, dropping the claim
    /// gives it back in the background.
    pub(super) fn fail_open(&mut self, claim: Claim) -> Miss {
        if !matches!(self.way, Way::Bypass) {
            self.way = Way::FailOpen;
        }
        self.load_unfilled(claim.leader)
    }

    /// Loads without a clock reading. There is no fill then, so there is nothing that followers
    /// could wait for.
    fn load_unfilled(&mut self, leader: Option<Leader>) -> Miss {
        leader.into_iter().for_each(|leader| leader.end(End::Nothing));
        self.load(Rights::default())
    }

    fn load(&mut self, rights: Rights) -> Miss {
        let bypasses = matches!(self.way, Way::Bypass);
        if !bypasses {
            self.subject.note(Event::Miss);
        }
        let mark = self.subject.record(if bypasses { CallResult::Bypass } else { CallResult::Miss });
        // A call that bypasses the cache because of a failed invalidation must not be served a
        // stored value, not even if its load fails.
        let kept = self.seen.kept.take().filter(|_| !bypasses);
        let if_failed = kept.map_or(IfFailed::Return, IfFailed::Serve);
        let replaces = self.seen.if_present.into();
        let loading = Loading::new(self.subject.clone(), rights, self.budget, if_failed, replaces);
        Miss::Load(loading.late_at(self.late).marked(mark))
    }
}

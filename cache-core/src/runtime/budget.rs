//! The time that the store may cost one call.

use std::time::Duration;

use super::provenance;
use super::runtime::Runtime;
use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind};
use crate::observe::{Counters, Event, StoreOperation};
use crate::store::StoreFuture;

/// The time that all answers of the store together may take one call: one operation deadline.
///
/// Time lost to answers that did not come counts for the outermost call and all calls nested in it:
/// a store that hangs costs the outermost call one deadline, however many calls are nested. Time
/// spent on answers that came counts for their own call alone, so a page of a hundred hits is not
/// cut off in the middle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    deadline: Duration,
    /// Time spent on answers that came.
    answered: Duration,
    /// Time that this call has lost to answers that did not come. Losses of calls nested in a load
    /// are counted in the load's scope.
    lost: Duration,
}

impl Budget {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, answered: Duration::ZERO, lost: Duration::ZERO }
    }

    pub(crate) fn left(self) -> Duration {
        self.deadline.saturating_sub(self.spent())
    }

    pub(crate) fn lost(self) -> Duration {
        self.lost
    }

    fn spent(self) -> Duration {
        self.answered + self.lost.max(provenance::lost())
    }

    /// Notes the time that this call and the calls nested in it have lost.
    pub(crate) fn has_lost(&mut self, lost: Duration) {
        self.lost = self.lost.max(lost);
    }

    pub(crate) fn limit(&mut self, left: Duration) {
        self.deadline = self.deadline.min(self.spent() + left);
    }

    /// Asks the store, and waits for the answer for the time that is left at most.
    pub(crate) async fn ask<'a, T>(
        &mut self,
        counters: &Counters,
        operation: StoreOperation,
        ask: impl FnOnce(Instant) -> StoreFuture<'a, T>,
    ) -> Result<T, Error> {
        let left = self.left();
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Timeout, "the store has taken all the time that a call may lose to it"));
        }
        let (begun, lost_before) = (clock::now(), provenance::lost());
        let answer = ask(begun + left).await;
        let took = clock::since(begun);
        match &answer {
            Ok(_) => self.answered += took,
            Err(_) => {
                self.lost += took;
                // Calls that wait at the same time lose that time once.
                provenance::has_lost(lost_before + took);
            }
        }
        counters.note(Event::StoreAnswer { operation, took, failed: answer.is_err() });
        answer
    }
}

/// Asks the store for what no call waits for, or what is no call: each answer has one operation
/// deadline.
pub(crate) async fn ask_aside<'a, T>(
    runtime: &Runtime,
    operation: StoreOperation,
    ask: impl FnOnce(Instant) -> StoreFuture<'a, T>,
) -> Result<T, Error> {
    let begun = clock::now();
    let answer = ask(begun + runtime.config.operation_deadline).await;
    let (took, failed) = (clock::since(begun), answer.is_err());
    runtime.counted.unprefixed.note(Event::OtherAnswer { operation, took, failed });
    answer
}

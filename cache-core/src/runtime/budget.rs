//! What the store may cost one call.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::provenance;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::observe::{Counters, Event};
use crate::store::{Store, StoreFuture, within};

/// The time that all answers of the store together may take one call: one operation deadline.
///
/// What answers that did not come have cost counts for the outermost call and all that is nested in it: a store that hangs
/// costs a call one deadline, however many calls it makes inside. Answers that came count for their own call alone, so a page
/// of a hundred hits is not cut off in its middle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    deadline: Duration,
    /// Spent on answers that came.
    answered: Duration,
    /// Spent on answers that did not come, by the outermost call; what is nested in it counts in the load's scope.
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

    /// So much was lost by this call and what is nested in it.
    pub(crate) fn has_lost(&mut self, lost: Duration) {
        self.lost = self.lost.max(lost);
    }

    pub(crate) fn limit(&mut self, left: Duration) {
        self.deadline = self.deadline.min(self.spent() + left);
    }

    pub(crate) async fn ask<T>(&mut self, counters: &Counters, operation: StoreFuture<'_, T>) -> Result<T, Error> {
        let left = self.left();
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Timeout, "the store has taken all the time that a call may lose to it"));
        }
        self.spend(counters, within(left, operation)).await
    }

    /// The first look, which is all that a hit asks for.
    pub(crate) async fn look(
        &mut self,
        counters: &Counters,
        store: &dyn Store,
        key: &str,
    ) -> Result<Option<Bytes>, Error> {
        if store.get_keeps_deadline() {
            self.spend(counters, store.get(key)).await
        } else {
            self.ask(counters, store.get(key)).await
        }
    }

    async fn spend<T>(
        &mut self,
        counters: &Counters,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = clock::now();
        let answer = operation.await;
        let took = clock::since(begun);
        match &answer {
            Ok(_) => self.answered += took,
            Err(_) => {
                self.lost += took;
                provenance::lose(took);
            }
        }
        counters.note(Event::StoreAnswer { took, failed: answer.is_err() });
        answer
    }
}

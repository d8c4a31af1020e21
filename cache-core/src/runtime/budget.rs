//! What the store may cost one call.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::clock;
use crate::error::Error;
use crate::observe::{Counters, Event};
use crate::store::{Store, StoreFuture, within};

/// What is left of the time that all answers of the store together may take one call: one operation deadline at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new(left: Duration) -> Self {
        Self(left)
    }

    pub(crate) fn left(self) -> Duration {
        self.0
    }

    pub(crate) fn limit(&mut self, left: Duration) {
        self.0 = self.0.min(left);
    }

    pub(crate) async fn ask<T>(&mut self, counters: &Counters, operation: StoreFuture<'_, T>) -> Result<T, Error> {
        let left = self.0;
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
        self.0 = self.0.saturating_sub(took);
        counters.note(Event::StoreAnswer { took, failed: answer.is_err() });
        answer
    }
}

//! What the store may cost one call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Instant, within};
use crate::error::Error;
use crate::observe::Counters;
use crate::store::{Store, StoreFuture};

/// What the store has cost one call: all of its answers together may take one operation deadline.
pub(crate) struct Spent {
    pub(crate) left: Duration,
    pub(crate) counters: Arc<Counters>,
}

impl Spent {
    pub(crate) fn new(left: Duration, counters: Arc<Counters>) -> Self {
        Self { left, counters }
    }

    pub(crate) fn limit(&mut self, left: Duration) {
        self.left = self.left.min(left);
    }

    pub(crate) async fn ask<T>(&mut self, operation: StoreFuture<'_, T>) -> Result<T, Error> {
        let left = self.left;
        self.count(within(left, operation)).await
    }

    /// The first look, which is all that a hit asks for.
    pub(crate) async fn look(&mut self, store: &dyn Store, key: &str) -> Result<Option<Bytes>, Error> {
        if store.get_keeps_deadline() { self.count(store.get(key)).await } else { self.ask(store.get(key)).await }
    }

    async fn count<T>(&mut self, operation: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begun = Instant::now();
        let answer = operation.await;
        let took = begun.elapsed();
        self.left = self.left.saturating_sub(took);
        self.counters.store_time(took);
        if answer.is_err() {
            self.counters.errors(1);
        }
        answer
    }
}

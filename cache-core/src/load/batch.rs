//! One load of many keys: the body of a batch function while it runs, and the fills that follow.
//!
//! Every key keeps its own [`Loading`], with the clock reading that was taken before this load began; what the load was made
//! from goes to every entry of it.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Filling, Loading};
use crate::cache::Inner;
use crate::clock::Instant;
use crate::codec::Encoded;
use crate::config::BATCH_WINDOW;
use crate::error::Error;
use crate::key::Names;
use crate::lease::Renewal;
use crate::provenance::{Collected, Scope};
use crate::single_flight::Leader;
use crate::window::{self, Boxed};

/// Dropped before it is ended: the leases go back in the background, and followers take over.
pub(crate) struct BatchLoading {
    inner: Arc<Inner>,
    /// Keys are spoken of by their place in the call.
    loads: Vec<(usize, Box<Loading>)>,
    scope: Arc<Scope>,
    collected: Collected,
}

impl BatchLoading {
    /// Of at least one key.
    pub(crate) fn new(inner: &Arc<Inner>, loads: Vec<(usize, Box<Loading>)>) -> Self {
        let keys: HashSet<Arc<str>> =
            loads.iter().filter_map(|(_, loading)| Some(loading.key.as_ref()?.0.clone())).collect();
        let scope = Scope::of_batch(inner.id, keys, inner.config.names_max);
        Self { inner: inner.clone(), loads, scope, collected: Collected::default() }
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.loads.iter().map(|(at, _)| *at)
    }

    /// Names of each entry that are known before the body runs.
    pub(crate) fn declare(&mut self, mut names: impl FnMut(usize) -> Names) {
        self.loads.iter_mut().for_each(|(at, loading)| loading.declare(names(*at)));
    }

    /// The body is boxed, as it is for one key.
    pub(crate) fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> + use<'_, F> {
        let mut body = Box::pin(self.scope.clone().run(body));
        async move {
            self.loads.iter().filter_map(|(_, loading)| loading.leader.as_ref()).for_each(Leader::load_begins);
            let renewal =
                Renewal::of_all(&self.inner, self.loads.iter().filter_map(|(_, loading)| loading.lease.as_ref()));
            let counters = self.loads.first().map(|(_, loading)| loading.spent.counters.clone());
            counters.iter().for_each(|counters| counters.loads(1));
            let begun = Instant::now();
            let output = body.as_mut().await;
            let took = begun.elapsed();
            drop(renewal);
            counters.iter().for_each(|counters| counters.load_time(took));
            self.collected = self.scope.take();
            // Its share: what is paid once for all would make each of them look worth an early refresh.
            let share = took / u32::try_from(self.loads.len()).unwrap_or(u32::MAX).max(1);
            self.loads.iter_mut().for_each(|(_, loading)| loading.cost = share);
            output
        }
    }

    /// The body failed.
    pub(crate) fn end_failed(self) {
        self.loads.into_iter().for_each(|(_, loading)| loading.end_failed());
    }

    /// What is left is not stored.
    pub(crate) fn end_unstored(self) {
        self.loads.into_iter().for_each(|(_, loading)| loading.end_unstored());
    }

    /// Encodes the next entries, a bounded number; `None`: there is none left. `value` says what becomes of a key: its further
    /// names, and its value unless it is not wanted.
    pub(crate) fn encode_some(
        &mut self,
        mut value: impl FnMut(usize) -> (Names, Option<Result<Encoded, Error>>),
    ) -> Option<Vec<Filling>> {
        if self.loads.is_empty() {
            return None;
        }
        let some = self.loads.drain(..self.loads.len().min(BATCH_WINDOW));
        let filling = some.filter_map(|(at, mut loading)| {
            let (names, encoded) = value(at);
            loading.declare(names);
            let Some(encoded) = encoded else {
                loading.end_unstored();
                return None;
            };
            loading.scope.inherit(&self.collected);
            loading.prepare()?.encoded(encoded)
        });
        Some(filling.collect())
    }
}

/// Sends fills side by side; `false`: the store did not answer one of them.
pub(crate) async fn send_all(fillings: Vec<Filling>) -> bool {
    let mut answered = true;
    let fills = fillings.into_iter().map(|filling| -> Boxed<'_, bool> { Box::pin(filling.send()) });
    window::run(fills, BATCH_WINDOW, |is_answered| {
        answered &= is_answered;
        ControlFlow::Continue(())
    })
    .await;
    answered
}

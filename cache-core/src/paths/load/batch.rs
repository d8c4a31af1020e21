//! One load of many keys: the body of a batch function while it runs, and the fills that follow.
//!
//! Every key keeps its own [`Loading`], with the clock reading that was taken before the load
//! began. Every entry inherits all names that the load was made from.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Filling, LoadRun, Loading};
use crate::config::{BATCH_BYTES, BATCH_WINDOW};
use crate::entry::codec::Encoding;
use crate::name::Names;
use crate::observe::{Event, LoadSpan, NotStored, SharedCounters};
use crate::paths::lease::Renewal;
use crate::paths::subject::Subject;
use crate::runtime::Runtime;
use crate::runtime::provenance::{Inside, Lineage, Scope};
use crate::runtime::single_flight::Leader;

/// A load of many keys. If it is dropped before it ends, the leases go back in the background, and
/// followers take over.
pub(crate) struct BatchLoading {
    runtime: Arc<Runtime>,
    counters: SharedCounters,
    /// With the place of each key in the call.
    loads: VecDeque<(usize, Box<Loading>)>,
    scope: Arc<Scope>,
    collected: Lineage,
    /// The time that the store has cost the calls inside this load in vain.
    lost: Duration,
}

impl BatchLoading {
    /// A load of at least one key. `lost` is the time that the store has already cost the batch in
    /// vain.
    pub(crate) fn new(runtime: &Arc<Runtime>, loads: Vec<(usize, Box<Loading>)>, lost: Duration) -> Self {
        let keys: HashSet<Arc<str>> =
            loads.iter().filter_map(|(_, loading)| loading.subject.called().cloned()).collect();
        let scope = Scope::of_batch(runtime.id, keys, runtime.config.names_max).after(lost);
        let counters = loads[0].1.subject.counters.clone();
        Self {
            runtime: runtime.clone(),
            counters,
            loads: loads.into(),
            scope,
            collected: Lineage::default(),
            lost: Duration::ZERO,
        }
    }

    /// The time that the store has cost the calls inside this load in vain.
    pub(crate) fn lost(&self) -> Duration {
        self.lost
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.loads.iter().map(|(at, _)| *at)
    }

    /// Adds the names of each entry that are known before the body runs.
    pub(crate) fn declare(&mut self, mut names: impl FnMut(usize) -> Names) {
        self.loads.iter_mut().for_each(|(at, loading)| loading.declare(names(*at)));
    }

    /// The body is about to run.
    pub(crate) fn begin(&mut self) -> LoadRun {
        self.loads.iter().filter_map(|(_, loading)| loading.rights.leader.as_ref()).for_each(Leader::load_begins);
        let leases = self.loads.iter().filter_map(|(_, loading)| loading.lease_and_leader());
        let renewal = Renewal::of(&self.runtime, leases);
        LoadRun::begin(&self.counters, self.scope.lost(), renewal)
    }

    /// The body, to be run between [`begin`](Self::begin) and [`end`](Self::end).
    pub(crate) fn body<F: Future>(&self, body: F) -> Inside<F> {
        let span = LoadSpan::new(&self.runtime.config.namespace, &self.counters, self.loads.len());
        self.scope.clone().around(body).spanned(span)
    }

    /// The body has run.
    pub(crate) fn end(&mut self, running: LoadRun) {
        self.lost = self.scope.lost().saturating_sub(running.lost);
        let took = running.ended();
        self.collected = self.scope.take();
        // Each entry is charged its share: with the cost of the whole load, each would look worth
        // an early refresh.
        self.loads.iter().filter_map(|(_, loading)| loading.mark.as_ref()).for_each(|mark| mark.loaded(took));
        let share = took / u32::try_from(self.loads.len()).unwrap_or(u32::MAX).max(1);
        self.loads.iter_mut().for_each(|(_, loading)| loading.cost = share);
    }

    /// The body failed: nothing is stored.
    pub(crate) fn end_failed(self) {
        self.counters.note(Event::LoadFailed);
        self.loads.into_iter().for_each(|(_, loading)| loading.give_up());
    }

    /// Encodes the next entries, as many as may be on their way to the store at the same time;
    /// `None`: no entry is left. For each key, `value` returns further names, and what encodes the
    /// value, unless it is not to be stored.
    pub(crate) fn encode_some<E>(&mut self, mut value: impl FnMut(usize) -> (Names, Option<E>)) -> Option<Vec<Filling>>
    where
        E: FnOnce(&Subject) -> Result<Encoding, NotStored>,
    {
        if self.loads.is_empty() {
            return None;
        }
        let (mut fillings, mut bytes) = (Vec::new(), 0);
        for _ in 0..BATCH_WINDOW {
            if bytes >= BATCH_BYTES {
                break;
            }
            let Some((at, mut loading)) = self.loads.pop_front() else { break };
            let (names, encode) = value(at);
            loading.declare(names);
            loading.scope.inherit(&self.collected);
            let filling = match encode {
                Some(encode) => loading.fill_with(encode),
                None => loading.unkept(NotStored::NotWanted),
            };
            bytes += filling.as_ref().map_or(0, Filling::bytes);
            fillings.extend(filling);
        }
        let values = fillings.iter().filter(|filling| filling.bytes() > 0).count();
        self.counters.values_seen(values, bytes);
        Some(fillings)
    }
}

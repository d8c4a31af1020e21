//! Several partitions in one store: the protocol of a cluster, each script under the lock of one
//! partition. With one partition nothing here is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MemoryStore;
use super::moment::Now;
use crate::clock::millis;
use crate::name::Name;
use crate::store::place_of;
use crate::store::{
    Chunk, ClockReading, ClosingId, FenceTrail, Fill, FillReply, FollowedMark, HomeReading, Intent, Look, MetMark,
    Operation, Refusal, Removal, Sight, TrailPosition, VisitReply,
};

#[cfg(test)]
pub(in crate::store) mod model;

/// Marks that one fill looks at to see whether they can go.
const MARKS_REAPED_PER_FILL: usize = 2;

impl MemoryStore {
    /// Completes the reading that a load is given.
    pub(super) fn with_homes(&self, clock: ClockReading) -> ClockReading {
        let Some(known) = &self.known else { return clock };
        let now = self.now();
        if known.is_old(now.at, self.retention) {
            known.were_read(now.at);
            // Each script tells what its partition's clock shows.
            (0..self.partitions.count()).for_each(|number| self.script(number, |_, _| ()));
        }
        ClockReading { homes: Some(known.copy()), ..clock }
    }

    /// Registers at each foreign home of the names of a fill. Returns the incarnations of these
    /// homes, or why one has refused.
    pub(super) fn register(
        &self,
        own: u16,
        fill: &Fill<'_>,
        opens: Option<ClosingId>,
    ) -> Result<Vec<(u16, Arc<str>)>, Refusal> {
        if self.partitions.is_one() {
            return Ok(Vec::new());
        }
        let mut by_home = BTreeMap::<u16, Vec<Name>>::new();
        for name in fill.names.iter().filter(|name| !self.partitions.is_home(name, own)) {
            by_home.entry(self.partitions.home(name)).or_default().push(name.clone());
        }
        let mut registered = Vec::new();
        for (home, names) in by_home {
            let homes = fill.clock.homes.as_deref().unwrap_or_default();
            let reading = homes.get(usize::from(home)).ok_or(Refusal::ForeignIncarnation)?;
            let incarnation = self.script(home, |state, now| {
                state.register(&names, own, reading, now.wall_us / 1_000 + millis(fill.ttl), opens, now)
            })?;
            registered.push((home, incarnation));
        }
        Ok(registered)
    }

    /// One round of an operation: a script in each partition in which something is to be visited.
    pub(super) fn round(&self, operation: &mut Operation<'_>) -> Result<Removal, crate::error::Error> {
        let mut removal = Removal::default();
        for number in 0..self.partitions.count() {
            if let Some(chunk) = operation.next_chunk(number) {
                let reply = self.script(number, |state, now| state.take(&chunk, now))?;
                self.wake_lease_waiters(&chunk.names);
                let is_complete = reply.encounter.as_ref().is_none_or(|met| met.is_complete);
                removal.add(operation.take_in(&chunk, reply));
                if !is_complete {
                    self.reconcile();
                }
            }
        }
        Ok(removal)
    }

    /// What a write or a page has left to do, and what it has removed.
    pub(super) fn rest_of(
        &self,
        (partition, names): (u16, &[Name]),
        intent: Intent,
        reply: VisitReply,
        began: Option<&[HomeReading]>,
    ) -> (Operation<'static>, Removal) {
        let Some(known) = &self.known else { return Operation::rest_of(reply) };
        let known = known.copy();
        let given = Chunk::of_given(partition, names.into(), intent);
        Operation::rest_over(self.partitions, began.unwrap_or(&known), &given, reply, self.rules)
    }

    /// What a fill does beside storing.
    pub(super) fn look_after(&self, own: u16, reply: FillReply) {
        if reply == FillReply::Refused(Refusal::ForeignIncarnation) {
            self.reconcile();
        }
        self.reap_marks(own);
    }

    /// Each partition after the other: what a look finds is not all in one.
    pub(super) fn look_at(&self, look: Look<'_>) -> Sight {
        match look {
            _ if self.partitions.is_one() => self.look_in(0, look),
            Look::Losses => Sight::default(),
            Look::Given(names) => self.look_at_given(names),
            // One name at a time, in every partition.
            Look::Members { names, from } => {
                let (number, from) = place_of(from);
                let mut sight = self.look_in(number, Look::Members { names: &names[..1], from });
                let rest = || (names.len() > 1).then_some((1, 0));
                let next = sight.next.map(|(_, at)| at);
                sight.next = self.partitions.cursor(number, next).map(|at| (0, at)).or_else(rest);
                sight
            }
            Look::Page { pattern, scope, cursor } => {
                let (number, cursor) = place_of(cursor);
                let mut sight = self.look_in(number, Look::Page { pattern, scope, cursor });
                let next = sight.next.map(|(_, at)| at);
                sight.next = self.partitions.cursor(number, next).map(|at| (0, at));
                sight
            }
        }
    }

    pub(super) fn fences_since(&self, since: Option<&TrailPosition>) -> FenceTrail {
        let page = |number| {
            let seq = TrailPosition::seq_in(since, number);
            self.script(number, |state, _| state.fences.since(seq))
        };
        FenceTrail::of((0..self.partitions.count()).map(|of| Some(page(of))).collect(), since)
    }

    fn look_in(&self, number: u16, look: Look<'_>) -> Sight {
        self.partition(number).read().map_or_else(|_| Sight::default(), |state| state.look(look, self.now()))
    }

    fn look_at_given(&self, names: &[Name]) -> Sight {
        let mut all = Sight::default();
        for state in (0..self.partitions.count()).filter_map(|number| self.partition(number).read().ok()) {
            let sight = state.look(Look::Given(names), self.now());
            all.falling.extend(sight.falling);
            all.leads.extend(sight.leads);
        }
        all
    }

    /// Makes the lists of homes complete again that have lost them, and has partitions that have
    /// lost what they knew list what they have. Gives up if anything is lost meanwhile: whoever
    /// meets that next begins again.
    pub(super) fn reconcile(&self) {
        let numbers = || 0..self.partitions.count();
        for home in numbers() {
            let others = || numbers().filter(move |of| *of != home);
            // First of all: what is adopted below is then known to be no newer.
            let read: Vec<_> = others().map(|of| self.script(of, |state, _| state.knows_of(home))).collect();
            let (incarnation, is_complete) =
                self.script(home, |state, _| (state.home_reading().incarnation, state.site.is_complete));
            if is_complete && read.iter().all(|(_, known)| known.as_ref() == Some(&incarnation)) {
                continue;
            }
            let all_listed = others().zip(&read).all(|(of, read)| {
                let adopted = |state: &mut super::State, now: Now| {
                    let is_same = state.knows_of(home) == *read;
                    is_same.then(|| state.adopt_and_list(home, &incarnation, now))
                };
                let listed = self.script(of, adopted);
                listed.is_some_and(|names| self.script(home, |state, _| state.note_listed(&names, of, &incarnation)))
            });
            if all_listed {
                self.script(home, |state, _| state.complete(&incarnation));
            }
        }
    }

    /// Takes marks of one home away that nothing hangs on any more, and that no operation has
    /// settled.
    pub(super) fn reap_marks(&self, home: u16) {
        for _ in 0..MARKS_REAPED_PER_FILL {
            let Some((mark, visited)) = self.script(home, |state, now| state.look_at_dead_mark(now)) else { return };
            let MetMark { name, of, .. } = &mark;
            let is_needed = self.script(*of, |state, now| state.is_asked_for(name, now));
            self.script(home, |state, now| match is_needed {
                true => state.keep_mark(&mark, now),
                false => state.settle(&[FollowedMark { mark: mark.clone(), visited: visited.clone() }]),
            });
        }
    }
}

//! When two worlds are the same. Only the order of the numbers of one clock matters.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::load::Frame;
use super::walk::Walk;
use super::world::{Process, World};
use crate::store::memory::state::State;
use crate::store::{FollowedMark, HomeReading, Operation, SweepScope};

impl World {
    pub(super) fn digest(&self) -> u64 {
        let mut ranks = Ranks::default();
        self.numbers().for_each(|number| ranks.add_state(number, self.state(number)));
        self.processes.iter().for_each(|process| ranks.add_process(process, self));
        ranks.sort();
        let mut hasher = DefaultHasher::new();
        (self.data, self.required, self.incarnations, self.left).hash(&mut hasher);
        self.now.at.saturating_duration_since(self.began).hash(&mut hasher);
        for number in self.numbers() {
            self.hash_state(number, &ranks, &mut hasher);
        }
        for process in &self.processes {
            self.hash_process(process, &ranks, &mut hasher);
        }
        hasher.finish()
    }

    fn hash_state(&self, number: u16, ranks: &Ranks, hasher: &mut impl Hasher) {
        let state = self.state(number);
        let (seq, floor, fences) = state.fences.snapshot();
        let last_reaping = state.fences.last_reaping().map(|(seq, _)| ranks.of(number, seq));
        (state.fences.incarnation(), ranks.of(number, seq), ranks.of(number, floor), last_reaping).hash(hasher);
        (&state.site.known, state.site.is_complete, fences.len()).hash(hasher);
        for (seq, name) in fences {
            (ranks.of(number, seq), name).hash(hasher);
        }
        for (ends, name, by, is_reached) in state.closings.iter() {
            (ends.saturating_duration_since(self.began), name, by, is_reached).hash(hasher);
        }
        state.site.marks.iter().for_each(|mark| mark.hash(hasher));
        let entries: BTreeMap<_, _> =
            state.entries.iter().map(|(key, entry)| (key, (&entry.value, &entry.names))).collect();
        entries.hash(hasher);
        if self.processes.iter().any(|process| matches!(process, Process::Walking(_))) {
            // Where a walk comes by.
            state.entries.iter().for_each(|(key, _)| key.hash(hasher));
            state.indexes.names().for_each(|name| name.hash(hasher));
        }
        let due = |due: tokio::time::Instant| due.saturating_duration_since(self.began);
        state.indexes.memberships().for_each(|(index, member, at)| (index, member, due(at)).hash(hasher));
    }

    fn hash_process(&self, process: &Process, ranks: &Ranks, hasher: &mut impl Hasher) {
        match process {
            Process::Loading(frames) => (0, self.hashed_frames(frames, ranks)).hash(hasher),
            Process::Writing(frames) => (1, self.hashed_frames(frames, ranks)).hash(hasher),
            Process::Operating(task) => {
                let closings = (task.renews, task.is_renewed, task.is_open);
                (2, task.names, task.purpose, task.version, closings, task.settles.is_some()).hash(hasher);
                if let Some(operation) = &task.operation {
                    operation.parts().hash(hasher);
                    operation.seqs().into_iter().for_each(|(at, seq)| ranks.of(at, seq).hash(hasher));
                    operation.stamps().hash(hasher);
                }
                for (home, FollowedMark { mark, visited }) in settlements(task) {
                    (mark, &visited.incarnation, ranks.of(home, visited.seq)).hash(hasher);
                }
            }
            Process::Reconciling(at) => (3, at).hash(hasher),
            Process::ReapingMarks(at) => {
                (4, at.name, at.is_asked).hash(hasher);
                if let Some((mark, looked)) = &at.seen {
                    (mark, &looked.incarnation, ranks.of(self.home(at.name), looked.seq)).hash(hasher);
                }
            }
            Process::Walking(walk) => (5, self.hashed_walk(walk, ranks)).hash(hasher),
            Process::LastPage(walk) => (6, self.hashed_walk(walk, ranks)).hash(hasher),
            Process::Done => 7.hash(hasher),
        }
    }

    /// How much of the walk is left, whatever the positions are.
    fn hashed_walk(&self, walk: &Walk, ranks: &Ranks) -> impl Hash {
        let state = self.state(walk.partition);
        let left = match (walk.cursor, walk.scope) {
            (0, _) => usize::MAX,
            (cursor, SweepScope::Values) => state.entries.page(cursor, usize::MAX).len(),
            (cursor, _) => state.indexes.page(cursor, usize::MAX).len(),
        };
        let rest = walk.rest.as_ref().filter(|rest| !rest.is_done()).map(|rest| {
            let seqs: Vec<_> = rest.seqs().into_iter().map(|(at, seq)| ranks.of(at, seq)).collect();
            (rest.parts(), seqs, rest.stamps())
        });
        (walk.version, walk.scope as u8, walk.partition, left, rest)
    }

    fn hashed_frames(&self, frames: &[Frame], ranks: &Ranks) -> impl Hash {
        let parts = |frame: &Frame| {
            let reading =
                |(at, reading): (usize, &HomeReading)| (reading.incarnation.clone(), ranks.of(at as u16, reading.seq));
            let clock = frame.clock.as_ref().map(|clock| {
                let homes: Vec<_> =
                    clock.homes.iter().flat_map(|homes| homes.iter()).enumerate().map(reading).collect();
                let (own, read_at) = (ranks.of(self.home(frame.key), clock.seq), clock.read_at);
                (clock.incarnation.clone(), own, read_at.saturating_duration_since(self.began), homes)
            });
            let at = (frame.key, frame.refreshes, frame.version, frame.is_refused, frame.is_stored);
            (at, clock, frame.names, frame.registered_names, frame.registered.clone())
        };
        frames.iter().map(parts).collect::<Vec<_>>()
    }
}

fn settlements(task: &super::operation::Undertaking) -> impl Iterator<Item = (u16, &FollowedMark)> {
    let left = task.settles.iter().flatten();
    left.flat_map(|(home, marks)| marks.iter().map(move |mark| (*home, mark)))
}

/// The numbers of each clock, in order.
#[derive(Default)]
struct Ranks {
    seqs: BTreeMap<u16, Vec<u64>>,
}

impl Ranks {
    fn add_state(&mut self, number: u16, state: &State) {
        let (seq, floor, fences) = state.fences.snapshot();
        let seqs = self.seqs.entry(number).or_default();
        seqs.extend([seq, floor]);
        seqs.extend(fences.iter().map(|(seq, _)| *seq));
        seqs.extend(state.fences.last_reaping().map(|(seq, _)| seq));
    }

    fn add_process(&mut self, process: &Process, world: &World) {
        match process {
            Process::Loading(frames) | Process::Writing(frames) => {
                for frame in frames {
                    let Some(clock) = &frame.clock else { continue };
                    self.seqs.entry(world.home(frame.key)).or_default().push(clock.seq);
                    for (at, reading) in clock.homes.iter().flat_map(|homes| homes.iter()).enumerate() {
                        self.seqs.entry(at as u16).or_default().push(reading.seq);
                    }
                }
            }
            Process::Operating(task) => {
                let remembered = task.operation.iter().flat_map(Operation::seqs);
                remembered.for_each(|(at, seq)| self.seqs.entry(at).or_default().push(seq));
                settlements(task).for_each(|(home, mark)| self.seqs.entry(home).or_default().push(mark.visited.seq));
            }
            Process::ReapingMarks(at) => {
                let looked = at.seen.iter().map(|(_, looked)| looked.seq);
                self.seqs.entry(world.home(at.name)).or_default().extend(looked);
            }
            Process::Walking(walk) | Process::LastPage(walk) => {
                let remembered = walk.rest.iter().flat_map(Operation::seqs);
                remembered.for_each(|(at, seq)| self.seqs.entry(at).or_default().push(seq));
            }
            Process::Reconciling(_) | Process::Done => {}
        }
    }

    fn sort(&mut self) {
        for numbers in self.seqs.values_mut() {
            numbers.sort_unstable();
            numbers.dedup();
        }
    }

    fn of(&self, partition: u16, seq: u64) -> Option<usize> {
        self.seqs.get(&partition)?.binary_search(&seq).ok()
    }
}

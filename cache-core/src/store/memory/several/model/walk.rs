//! A process that removes what matches a pattern, or everything, in one partition after the other.

use super::names::Name;
use super::world::{Process, Step, World};
use crate::store::{Chunk, Intent, Operation, SweepScope};

#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// `None`: everything.
    key: Option<Name>,
    /// What every read must be made from when it is done; 0: it has not begun.
    pub(super) version: u8,
    pub(super) scope: SweepScope,
    pub(super) partition: u16,
    pub(super) cursor: u64,
    /// What the last page has left, which is to be removed before the next one.
    pub(super) rest: Option<Operation<'static>>,
}

impl Walk {
    pub(super) fn new(key: Option<Name>) -> Self {
        Self { key, version: 0, scope: SweepScope::Values, partition: 0, cursor: 0, rest: None }
    }

    /// The same scope in the next partition, or the next scope in the first. `None`: that was all.
    fn next(&self, partitions: u16) -> Option<(SweepScope, u16)> {
        match self.scope {
            _ if self.partition + 1 < partitions => Some((self.scope, self.partition + 1)),
            SweepScope::Values if self.key.is_some() => Some((SweepScope::Dependents, 0)),
            SweepScope::Values => Some((SweepScope::AllIndexes, 0)),
            SweepScope::Dependents | SweepScope::AllIndexes => None,
        }
    }
}

impl World {
    pub(super) fn steps_of_walk(&self, process: usize, walk: &Walk, steps: &mut Vec<Step>) {
        match walk.rest.as_ref().filter(|rest| !rest.is_done()) {
            Some(rest) => {
                let partitions = self.numbers().filter(|partition| rest.has_work_at(*partition));
                steps.extend(partitions.map(|partition| Step::Visits { process, partition }));
            }
            None => steps.push(Step::Walks(process)),
        }
    }

    /// One page. Before the first one the data have changed; after the last one nothing older may
    /// be served.
    pub(super) fn walk(&mut self, process: usize) {
        let Process::Walking(walk) = &self.processes[process] else { return };
        let mut walk = walk.clone();
        if walk.version == 0 {
            self.data += 1;
            walk.version = self.data;
        }
        let glob = walk.key.map_or("*".to_owned(), |key| self.spelling.name(key).text().to_owned());
        let began = self.readings();
        let (scope, partition, cursor) = (walk.scope, walk.partition, walk.cursor);
        let (names, next, visited) = self.script(partition, |state, now| state.sweep(&glob, scope, cursor, now));
        let mut rest = Operation::over(self.spelling.partitions, &began, &[], Intent::Invalidate, self.rules);
        rest.take_in(&Chunk::of_given(partition, names.into(), Intent::Invalidate), visited);
        walk.rest = Some(rest);
        walk.cursor = next.unwrap_or_default();
        let mut is_over = false;
        if next.is_none() {
            match walk.next(self.spelling.partitions.count()) {
                Some((scope, partition)) => (walk.scope, walk.partition) = (scope, partition),
                None => is_over = true,
            }
        }
        // The rest of the last page comes before the end.
        self.processes[process] = if is_over { Process::LastPage(walk) } else { Process::Walking(walk) };
        self.end_walk_if_done(process);
    }

    pub(super) fn visit_for_walk(&mut self, process: usize, partition: u16) {
        let (Process::Walking(walk) | Process::LastPage(walk)) = &self.processes[process] else { return };
        let mut walk = walk.clone();
        if let Some(rest) = &mut walk.rest
            && let Some(chunk) = rest.next_chunk(partition)
        {
            let reply = self.script(partition, |state, now| state.take(&chunk, now)).expect("nothing is closed");
            rest.take_in(&chunk, reply);
        }
        let is_last = matches!(self.processes[process], Process::LastPage(_));
        self.processes[process] = if is_last { Process::LastPage(walk) } else { Process::Walking(walk) };
        self.end_walk_if_done(process);
    }

    fn end_walk_if_done(&mut self, process: usize) {
        let Process::LastPage(walk) = &self.processes[process] else { return };
        if walk.rest.as_ref().is_none_or(Operation::is_done) {
            self.required = self.required.max(walk.version);
            self.processes[process] = Process::Done;
        }
    }
}

//! A process that invalidates, or changes the data while names are closed.

use super::names::Names;
use super::world::{Process, Step, World};
use crate::store::rules::Rule;
use crate::store::{ClosingId, FollowedMark, Intent, Operation};

/// What an operation is for, and so what happens when nothing is left to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Invalidate,
    /// After a write: its key's partition is visited already.
    Write,
    /// Close names before a change of the data.
    Close,
    /// All names are closed, and nothing old is left: the change may be committed.
    Commit,
    Open,
}

#[derive(Clone, Debug)]
pub(super) struct Undertaking {
    pub(super) names: Names,
    pub(super) purpose: Purpose,
    /// What every read must be made from when it is done.
    pub(super) version: u8,
    /// `None`: it has not begun.
    pub(super) operation: Option<Operation<'static>>,
    /// It is done, and settles in these homes.
    pub(super) settles: Option<Vec<(u16, Vec<FollowedMark>)>>,
    /// A closing that it has made may have ended without it.
    pub(super) is_open: bool,
}

impl Undertaking {
    pub(super) fn new(names: Names, purpose: Purpose) -> Self {
        Self { names, purpose, version: 0, operation: None, settles: None, is_open: false }
    }
}

impl World {
    pub(super) fn steps_of_operation(&self, process: usize, task: &Undertaking, steps: &mut Vec<Step>) {
        if task.purpose == Purpose::Commit {
            return steps.push(Step::Commits(process));
        }
        let Some(operation) = &task.operation else { return steps.push(Step::Begins(process)) };
        let partitions = self.numbers().filter(|partition| operation.has_work_at(*partition));
        steps.extend(partitions.map(|partition| Step::Visits { process, partition }));
        let homes = self.left_to_settle(task, operation).into_iter();
        steps.extend(homes.map(|(home, _)| Step::Settles { process, home }));
    }

    fn left_to_settle(&self, task: &Undertaking, operation: &Operation<'_>) -> Vec<(u16, Vec<FollowedMark>)> {
        match &task.settles {
            Some(left) => left.clone(),
            None if !self.rules.keep(Rule::SettlesAtTheEnd) => operation.settlements(),
            None => Vec::new(),
        }
    }

    /// The data have changed, and the invalidation begins.
    pub(super) fn begin_operation(&mut self, process: usize) {
        let Process::Operating(task) = &self.processes[process] else { return };
        let mut task = task.clone();
        if task.purpose == Purpose::Invalidate {
            self.data += 1;
            task.version = self.data;
        }
        let by = ClosingId(process as u128);
        let intent = match task.purpose {
            Purpose::Close => Intent::Close { by, lasts: super::world::TTL },
            Purpose::Open => Intent::Open { by },
            _ => Intent::Invalidate,
        };
        let names = self.spelling.all(task.names);
        let operation = Operation::over(self.spelling.partitions, &self.readings(), &names, intent, self.rules);
        (task.operation, task.is_open) = (Some(operation), false);
        self.processes[process] = Process::Operating(task);
    }

    pub(super) fn visit(&mut self, process: usize, partition: u16) {
        let Process::Operating(task) = &self.processes[process] else { return };
        let mut task = task.clone();
        if let Some(operation) = &mut task.operation
            && let Some(chunk) = operation.next_chunk(partition)
        {
            let reply = self.script(partition, |state, now| state.take(&chunk, now)).expect("room for what is closed");
            operation.take_in(&chunk, reply);
        }
        self.processes[process] = Process::Operating(task);
        self.end_if_done(process);
    }

    /// If nothing is left to visit, the operation returns. It settles after that.
    pub(super) fn end_if_done(&mut self, process: usize) {
        let Process::Operating(task) = &mut self.processes[process] else { return };
        let Some(operation) = task.operation.as_ref().filter(|operation| operation.is_done()) else { return };
        match task.purpose {
            Purpose::Close => {
                task.purpose = Purpose::Commit;
                return;
            }
            Purpose::Commit => return,
            Purpose::Invalidate | Purpose::Write | Purpose::Open => {
                self.required = self.required.max(task.version);
            }
        }
        let settlements = if self.scenario.settles { operation.settlements() } else { Vec::new() };
        let is_over = settlements.is_empty();
        task.settles = Some(settlements);
        if is_over {
            self.processes[process] = Process::Done;
        }
    }

    /// The change is committed. From here on nothing older may be served, if what was before it is
    /// closed.
    pub(super) fn commit(&mut self, process: usize) {
        let Process::Operating(task) = &self.processes[process] else { return };
        let (names, is_open) = (task.names, task.is_open);
        self.data += 1;
        if !is_open {
            self.required = self.data;
        }
        let opening = Undertaking { version: self.data, ..Undertaking::new(names, Purpose::Open) };
        self.processes[process] = Process::Operating(Box::new(opening));
        self.begin_operation(process);
    }

    /// Closings at a home are not there any more. Their processes are told, or find out.
    pub(super) fn forget_closings(&mut self, home: u16) {
        for process in &mut self.processes {
            if let Process::Operating(task) = process {
                task.is_open |= !self.spelling.at_home(task.names, home).is_empty();
            }
        }
    }

    pub(super) fn settle(&mut self, process: usize, home: u16) {
        let Process::Operating(task) = &self.processes[process] else { return };
        let mut task = task.clone();
        let operation = task.operation.as_ref().expect("begun");
        let left = self.left_to_settle(&task, operation);
        let (done, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|(at, _)| *at == home);
        for (home, marks) in done {
            self.script(home, |state, _| state.settle(&marks));
        }
        if task.settles.is_some() {
            let is_over = left.is_empty();
            task.settles = Some(left);
            if is_over {
                self.processes[process] = Process::Done;
                return;
            }
        }
        self.processes[process] = Process::Operating(task);
    }
}

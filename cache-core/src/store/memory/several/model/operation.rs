//! A process that invalidates, or changes the data while names are closed.

use super::names::{Name, Names};
use super::world::{Process, Step, TTL, World};
use crate::store::rules::Rule;
use crate::store::{ClosingId, FollowedMark, Intent, Operation};

/// What an operation is for, and so what happens when nothing is left to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Invalidate,
    /// Invalidate, although nothing has changed.
    Repeat,
    /// After a write: its key's partition is visited already.
    Write,
    /// Close names before a change of the data.
    Close,
    /// Close them for longer.
    Renew,
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
    /// Closes for a second lifetime before it commits.
    pub(super) renews: bool,
    /// Has closed for a second lifetime: what it has closed does not end by itself.
    pub(super) is_renewed: bool,
    /// A closing that it has made may have ended without it.
    pub(super) is_open: bool,
}

impl Undertaking {
    pub(super) fn new(names: Names, purpose: Purpose) -> Self {
        Self {
            names,
            purpose,
            version: 0,
            operation: None,
            settles: None,
            renews: false,
            is_renewed: false,
            is_open: false,
        }
    }
}

impl World {
    pub(super) fn steps_of_operation(&self, process: usize, task: &Undertaking, steps: &mut Vec<Step>) {
        let homes = self.left_to_settle(task).into_iter();
        steps.extend(homes.map(|(home, _)| Step::Settles { process, home }));
        match &task.operation {
            _ if task.purpose == Purpose::Commit => steps.push(Step::Commits(process)),
            None => steps.push(Step::Begins(process)),
            Some(operation) => {
                let partitions = self.numbers().filter(|partition| operation.has_work_at(*partition));
                steps.extend(partitions.map(|partition| Step::Visits { process, partition }));
            }
        }
    }

    fn left_to_settle(&self, task: &Undertaking) -> Vec<(u16, Vec<FollowedMark>)> {
        match (&task.settles, &task.operation) {
            (Some(left), _) => left.clone(),
            (None, Some(operation)) if !self.rules.keep(Rule::SettlesAtTheEnd) => operation.settlements(),
            _ => Vec::new(),
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
            Purpose::Close => Intent::Close { by, lasts: TTL },
            Purpose::Renew => Intent::Close { by, lasts: 2 * TTL },
            Purpose::Open => Intent::Open { by },
            _ => Intent::Invalidate,
        };
        let names = self.spelling.all(task.names);
        let operation = Operation::over(self.spelling.partitions, &self.readings(), &names, intent, self.rules);
        (task.operation, task.settles) = (Some(operation), None);
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
        let settlements = if self.scenario.settles { operation.settlements() } else { Vec::new() };
        let is_settled = settlements.is_empty();
        match task.purpose {
            Purpose::Close if task.renews => {
                let home = &self.partitions[usize::from(self.spelling.home(Name::A))];
                task.is_open |= !home.closings.is_closed(self.spelling.name(Name::A));
                (task.purpose, task.operation) = (Purpose::Renew, None);
            }
            Purpose::Close | Purpose::Renew => (task.purpose, task.is_renewed) = (Purpose::Commit, task.renews),
            Purpose::Commit => return,
            Purpose::Invalidate | Purpose::Repeat | Purpose::Write | Purpose::Open => {
                self.required = self.required.max(task.version);
                if is_settled {
                    return self.processes[process] = Process::Done;
                }
            }
        }
        task.settles = Some(settlements);
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
        let is_promised = !is_open || !self.scenario.rests_on_closings;
        let version = if is_promised { self.data } else { 0 };
        let opening = Undertaking { version, ..Undertaking::new(names, Purpose::Open) };
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

    /// The first lifetime of what is closed is over.
    pub(super) fn end_closings(&mut self, partition: u16) {
        let ends = self.now.at + TTL;
        self.script(partition, |state, now| {
            state.closings.end_before(ends, now.at);
            state.end_marks(now);
        });
        for process in &mut self.processes {
            if let Process::Operating(task) = process
                && !task.is_renewed
            {
                let is_home = !self.spelling.at_home(task.names, partition).is_empty();
                task.is_open |= is_home || self.scenario.rests_on_closings;
            }
        }
    }

    pub(super) fn settle(&mut self, process: usize, home: u16) {
        let Process::Operating(task) = &self.processes[process] else { return };
        let mut task = task.clone();
        let left = self.left_to_settle(&task);
        let (done, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|(at, _)| *at == home);
        for (home, marks) in done {
            self.script(home, |state, _| state.settle(&marks));
        }
        if task.settles.is_some() {
            let is_over = left.is_empty() && !matches!(task.purpose, Purpose::Renew | Purpose::Commit);
            task.settles = Some(left);
            if is_over {
                self.processes[process] = Process::Done;
                return;
            }
        }
        self.processes[process] = Process::Operating(task);
    }
}

//! An invalidation: a list of visits that grows while it is worked off.

use std::collections::BTreeSet;

use super::names::{ByName, NAMES, Name, Names};
use super::partition::{ByPartition, Reading, Visit};
use super::rules::Rule;
use super::world::{Process, Step, World};

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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operation {
    names: Names,
    pub(super) purpose: Purpose,
    /// What every read must be made from when it is done.
    pub(super) version: u8,
    pub(super) has_begun: bool,
    /// The incarnations of all partitions when it began, or when it visited them last.
    began: ByPartition<u8>,
    /// What is still to be visited: a name in a partition.
    todo: BTreeSet<(usize, Name)>,
    /// Marks that were met: each is followed once.
    followed: ByPartition<Names>,
    /// The stamps of those that were followed after the last visit of their home.
    pub(super) to_settle: ByName<ByPartition<Option<u8>>>,
    /// What the last visit of a name's home said of the clock there.
    pub(super) visited: ByName<Option<Reading>>,
    /// Names that were visited everywhere, because their home is incomplete.
    everywhere: Names,
    /// Names of which a partition kept something when it was visited last.
    kept: ByPartition<Names>,
    /// A closing that it has made may have ended without it.
    is_open: bool,
}

impl Operation {
    pub(super) fn new(names: Names, purpose: Purpose, version: u8, began: ByPartition<u8>) -> Self {
        Self {
            names,
            purpose,
            version,
            has_begun: version > 0,
            began,
            todo: BTreeSet::new(),
            followed: Default::default(),
            to_settle: Default::default(),
            visited: Default::default(),
            everywhere: Names::default(),
            kept: Default::default(),
            is_open: false,
        }
    }

    fn is_settling(&self) -> bool {
        self.has_begun && self.todo.is_empty() && self.purpose != Purpose::Commit
    }

    /// Notes the reply of a visit, and what it adds to the list.
    pub(super) fn take_in(&mut self, partition: usize, names: Names, visit: &Visit, world: &World) {
        let reading = Reading { incarnation: visit.incarnation, seq: visit.seq };
        let at_home = visit.drained.iter().filter(|name| world.home(*name) == partition);
        at_home.for_each(|name| self.visited[name.at()] = Some(reading));
        self.kept[partition] = self.kept[partition].without(names).with(visit.kept);
        if visit.is_cut_short {
            self.todo.extend(names.iter().map(|name| (partition, name)));
        }
        if world.rules.keep(Rule::SettlesWhatTheLastVisitMet) {
            visit.drained.iter().for_each(|name| self.to_settle[name.at()] = Default::default());
        }
        for &(name, of, stamp) in &visit.met {
            if self.followed[of].contains(name) {
                continue;
            }
            self.followed[of].insert(name);
            self.todo.insert((of, name));
            self.to_settle[name.at()][of] = Some(stamp);
        }
        let mut everywhere = Names::default();
        if !visit.is_complete && world.rules.keep(Rule::IncompleteHomesVisitEverywhere) {
            everywhere = visit.drained.without(self.everywhere);
            self.everywhere = self.everywhere.with(everywhere);
        }
        let lost = self.began[partition] != visit.incarnation;
        self.began[partition] = visit.incarnation;
        if lost && world.rules.keep(Rule::LossesBetweenVisitsVisitEverywhere) {
            everywhere = everywhere.with(names);
        }
        let others = (0..world.partitions.len()).filter(|other| *other != partition);
        self.todo.extend(others.flat_map(|other| everywhere.iter().map(move |name| (other, name))));
    }
}

impl World {
    pub(super) fn steps_of_operation(&self, process: usize, operation: &Operation, steps: &mut Vec<Step>) {
        if operation.purpose == Purpose::Commit {
            return steps.push(Step::Commits(process));
        }
        if !operation.has_begun {
            return steps.push(Step::Begins(process));
        }
        let partitions: BTreeSet<usize> = operation.todo.iter().map(|(partition, _)| *partition).collect();
        steps.extend(partitions.into_iter().map(|partition| Step::Visits { process, partition }));
        if operation.is_settling() || !self.rules.keep(Rule::SettlesAtTheEnd) {
            steps.extend(self.homes_to_settle(operation).into_iter().map(|home| Step::Settles { process, home }));
        }
    }

    fn homes_of(&self, names: Names) -> BTreeSet<(usize, Name)> {
        let homes = |name| self.scenario.layout.homes(name, self.rules).map(move |home| (home, name));
        names.iter().flat_map(homes).collect()
    }

    fn homes_to_settle(&self, operation: &Operation) -> BTreeSet<usize> {
        let met = NAMES.into_iter().filter(|name| operation.to_settle[name.at()].iter().any(Option::is_some));
        if self.scenario.settles { met.map(|name| self.home(name)).collect() } else { BTreeSet::new() }
    }

    /// The data have changed, and the invalidation begins.
    pub(super) fn begin_operation(&mut self, process: usize) {
        let Process::Operating(operation) = &self.processes[process] else { return };
        let mut operation = operation.clone();
        if operation.purpose == Purpose::Invalidate {
            self.data += 1;
            operation.version = self.data;
        }
        (operation.has_begun, operation.is_open) = (true, false);
        operation.began = self.readings().map(|reading| reading.incarnation);
        operation.todo = self.homes_of(operation.names);
        self.processes[process] = Process::Operating(operation);
    }

    pub(super) fn visit(&mut self, process: usize, partition: usize) {
        let Process::Operating(operation) = &self.processes[process] else { return };
        let mut operation = operation.clone();
        let names: Names = operation.todo.iter().filter(|(at, _)| *at == partition).map(|(_, name)| *name).collect();
        operation.todo.retain(|(at, _)| *at != partition);
        let visited = &mut self.partitions[partition];
        for name in self.scenario.layout.at_home(names, partition).iter() {
            match operation.purpose {
                Purpose::Close if operation.names.contains(name) => visited.close(name, process),
                Purpose::Open if operation.names.contains(name) => visited.open(name, process, self.rules),
                _ => {}
            }
        }
        if operation.purpose != Purpose::Open || self.rules.keep(Rule::OpeningFences) {
            let site = self.site();
            let visit = self.partitions[partition].visit(names, &site);
            operation.take_in(partition, names, &visit, self);
        }
        self.processes[process] = Process::Operating(operation);
        self.end_if_done(process);
    }

    /// If nothing is left to visit, the operation returns. It settles after that.
    pub(super) fn end_if_done(&mut self, process: usize) {
        let Process::Operating(operation) = &mut self.processes[process] else { return };
        if !operation.todo.is_empty() {
            return;
        }
        match operation.purpose {
            Purpose::Close => {
                operation.purpose = Purpose::Commit;
                return;
            }
            Purpose::Commit => return,
            Purpose::Invalidate | Purpose::Write | Purpose::Open => {
                self.required = self.required.max(operation.version);
            }
        }
        let operation = operation.clone();
        if self.homes_to_settle(&operation).is_empty() {
            self.processes[process] = Process::Done;
        }
    }

    /// The change is committed. From here on nothing older may be served, if what was before it is
    /// closed.
    pub(super) fn commit(&mut self, process: usize) {
        let Process::Operating(operation) = &self.processes[process] else { return };
        let (names, is_open) = (operation.names, operation.is_open);
        self.data += 1;
        if !is_open {
            self.required = self.data;
        }
        let began = self.readings().map(|reading| reading.incarnation);
        let mut opening = Operation::new(names, Purpose::Open, self.data, began);
        opening.todo = self.homes_of(names);
        self.processes[process] = Process::Operating(Box::new(opening));
    }

    /// Closings at a home are not there any more. Their processes are told, or find out.
    pub(super) fn forget_closings(&mut self, home: usize) {
        let layout = self.scenario.layout;
        for process in &mut self.processes {
            if let Process::Operating(operation) = process {
                operation.is_open |= !layout.at_home(operation.names, home).is_empty();
            }
        }
    }

    pub(super) fn settle(&mut self, process: usize, home: usize) {
        let Process::Operating(operation) = &self.processes[process] else { return };
        let mut operation = operation.clone();
        let mut done = Vec::new();
        for name in NAMES.into_iter().filter(|name| self.home(*name) == home) {
            let Some(visited) = operation.visited[name.at()] else { continue };
            for of in 0..self.partitions.len() {
                let Some(stamp) = operation.to_settle[name.at()][of].take() else { continue };
                let is_kept = operation.kept[of].contains(name) && self.rules.keep(Rule::SettlingSparesWhatIsKept);
                if !is_kept {
                    done.push((name, of, stamp, visited));
                }
            }
        }
        self.partitions[home].settle(&done, self.rules);
        let is_over = operation.is_settling() && self.homes_to_settle(&operation).is_empty();
        self.processes[process] = if is_over { Process::Done } else { Process::Operating(operation) };
    }
}

//! The partitions, their callers, and what may happen to them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Scenario;
use super::load::Frame;
use super::names::{NAMES, Name, Names};
use super::operation::{Operation, Purpose};
use super::partition::{Partition, Site};
use super::rules::Rules;
use super::upkeep::{MarkReaping, Reconciliation};

/// What a process does when the exploration begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// Calls a cached function.
    Call(Name),
    /// Calls it although a value is there.
    Refresh(Name),
    /// Changes the data, then invalidates.
    Invalidate(Names),
    /// Changes the data of a leaf, and writes the new value through.
    Put(Name),
    /// Changes the data while names are closed.
    Around(Names),
    Reconcile,
    /// Reaps a mark of a name.
    ReapMark(Name),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Process {
    Loading(Vec<Frame>),
    Writing(Vec<Frame>),
    Operating(Box<Operation>),
    Reconciling(Reconciliation),
    ReapingMarks(MarkReaping),
    Done,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Misfortunes {
    pub(super) expiries: u8,
    /// The retention passes: loads in flight become too old, and dead members may be reaped.
    pub(super) retentions: u8,
    /// A process dies.
    pub(super) crashes: u8,
    /// Everything in a partition is lost.
    pub(super) losses: u8,
    /// A partition's clock was written by another server.
    pub(super) renewals: u8,
    pub(super) fence_drops: u8,
    /// Closings end, as if nobody had renewed them.
    pub(super) closing_ends: u8,
}

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Begins(usize),
    Reads(usize),
    Registers { process: usize, home: usize },
    Fills(usize),
    Visits { process: usize, partition: usize },
    Settles { process: usize, home: usize },
    Commits(usize),
    Reconciles(usize),
    ReapsMark { process: usize, of: usize },
    Crashes(usize),
    Expires(Name),
    RetentionPasses,
    Reaps { partition: usize, index: Name, member: Name },
    IsLost(usize),
    IsRenewed(usize),
    DropsFences(usize),
    ClosingsEnd(usize),
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) scenario: &'static Scenario,
    pub(super) rules: Rules,
    pub(super) partitions: Vec<Partition>,
    pub(super) processes: Vec<Process>,
    /// The version of the data.
    pub(super) data: u8,
    /// What every read must be made from at least.
    pub(super) required: u8,
    /// How many retentions have passed.
    pub(super) now: u8,
    incarnations: u8,
    left: Misfortunes,
}

impl World {
    pub(super) fn new(scenario: &'static Scenario, rules: Rules) -> Self {
        let count = scenario.layout.partitions;
        let mut partitions: Vec<Partition> = (0..count).map(|number| Partition::new(number, 1, 2)).collect();
        for partition in &mut partitions {
            partition.is_complete = true;
            partition.known[..count].fill(1);
        }
        let mut world = Self {
            scenario,
            rules,
            partitions,
            processes: Vec::new(),
            data: 1,
            required: 0,
            now: 1,
            incarnations: 1,
            left: Misfortunes::default(),
        };
        for key in scenario.stored {
            world.processes = vec![Process::Loading(vec![Frame::new(*key, false)])];
            while let Some(step) = world.steps().first() {
                world.take(*step);
            }
        }
        world.left = scenario.misfortunes;
        world.processes = scenario.tasks.iter().map(|task| world.start(*task)).collect();
        world.renumber();
        world
    }

    fn start(&self, task: Task) -> Process {
        let operation =
            |names, purpose| Process::Operating(Box::new(Operation::new(names, purpose, 0, Default::default())));
        match task {
            Task::Call(key) => Process::Loading(vec![Frame::new(key, false)]),
            Task::Refresh(key) => Process::Loading(vec![Frame::new(key, true)]),
            Task::Invalidate(names) => operation(names, Purpose::Invalidate),
            Task::Put(key) => Process::Writing(vec![Frame::new(key, true)]),
            Task::Around(names) => operation(names, Purpose::Close),
            Task::Reconcile => Process::Reconciling(Reconciliation::new()),
            Task::ReapMark(name) => Process::ReapingMarks(MarkReaping::new(name)),
        }
    }

    pub(super) fn home(&self, name: Name) -> usize {
        self.scenario.layout.home(name)
    }

    pub(super) fn at_home(&self, names: Names, partition: usize) -> Names {
        self.scenario.layout.at_home(names, partition)
    }

    pub(super) fn site(&self) -> Site<'static> {
        let Scenario { layout, removed_per_script, .. } = self.scenario;
        Site { layout, now: self.now, rules: self.rules, removed_per_script: *removed_per_script }
    }

    /// What must not be: a value that a read would be served, or an entry that one of its names
    /// does not lead to.
    pub(super) fn fault(&self) -> Option<String> {
        let stored = |partition: &Partition| NAMES.map(|key| Some((key, partition.entries[key.at()]?)));
        for (partition, (key, entry)) in self
            .partitions
            .iter()
            .flat_map(|partition| stored(partition).into_iter().flatten().map(move |e| (partition, e)))
        {
            if entry.version < self.required {
                return Some(format!("a read of {key:?} returns {}, required is {}", entry.version, self.required));
            }
            for name in entry.names.iter() {
                let home = &self.partitions[self.home(name)];
                let is_listed = self.scenario.layout.is_home(name, partition.number)
                    || home.marks[name.at()][partition.number].is_some()
                    || !home.is_complete;
                if !is_listed || !partition.members[name.at()].contains(key) {
                    return Some(format!("unreachable: {name:?} does not lead to {key:?}"));
                }
            }
        }
        None
    }

    pub(super) fn successors(&self) -> impl Iterator<Item = (Step, Self)> {
        self.steps().into_iter().map(|step| {
            let mut next = self.clone();
            next.take(step);
            next.renumber();
            (step, next)
        })
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, process) in self.processes.iter().enumerate() {
            match process {
                Process::Loading(frames) => self.steps_of_load(number, frames, &mut steps),
                Process::Writing(frames) => self.steps_of_write(number, &frames[0], &mut steps),
                Process::Operating(operation) => self.steps_of_operation(number, operation, &mut steps),
                Process::Reconciling(at) => self.steps_of_reconciliation(number, at, &mut steps),
                Process::ReapingMarks(at) => self.steps_of_mark_reaping(number, at, &mut steps),
                Process::Done => {}
            }
            if self.left.crashes > 0 && *process != Process::Done {
                steps.push(Step::Crashes(number));
            }
        }
        self.misfortunes(&mut steps);
        steps
    }

    fn misfortunes(&self, steps: &mut Vec<Step>) {
        let left = &self.left;
        let mut on_each = |may: bool, step: fn(usize) -> Step| {
            steps.extend((0..self.partitions.len()).filter(|_| may).map(step));
        };
        on_each(left.losses > 0, Step::IsLost);
        on_each(left.renewals > 0, Step::IsRenewed);
        on_each(left.fence_drops > 0, Step::DropsFences);
        on_each(left.closing_ends > 0, Step::ClosingsEnd);
        for partition in &self.partitions {
            let stored = NAMES.into_iter().filter(|key| partition.entries[key.at()].is_some());
            steps.extend(stored.filter(|_| left.expiries > 0).map(Step::Expires));
            if self.scenario.reaps {
                let each = NAMES.into_iter().flat_map(|index| NAMES.map(|member| (index, member)));
                let dead = each.filter(|(index, member)| partition.is_reapable(*index, *member, self.now, self.rules));
                steps.extend(dead.map(|(index, member)| Step::Reaps { partition: partition.number, index, member }));
            }
        }
        if left.retentions > 0 {
            steps.push(Step::RetentionPasses);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begins(process) => match self.processes[process] {
                Process::Operating(_) => self.begin_operation(process),
                _ => self.begin(process),
            },
            Step::Reads(process) => self.read(process),
            Step::Registers { process, home } => self.register(process, home),
            Step::Fills(process) => self.fill(process),
            Step::Visits { process, partition } => self.visit(process, partition),
            Step::Settles { process, home } => self.settle(process, home),
            Step::Commits(process) => self.commit(process),
            Step::Reconciles(process) => self.reconcile(process),
            Step::ReapsMark { process, of } => self.reap_mark(process, of),
            Step::Crashes(process) => {
                self.left.crashes -= 1;
                self.processes[process] = Process::Done;
            }
            Step::Expires(key) => {
                self.left.expiries -= 1;
                let (home, now) = (self.home(key), self.now);
                self.partitions[home].expire(key, now);
            }
            Step::RetentionPasses => {
                self.left.retentions -= 1;
                self.now += 1;
            }
            Step::Reaps { partition, index, member } => self.partitions[partition].reap(index, member),
            Step::IsLost(partition) => {
                self.left.losses -= 1;
                self.incarnations += 1;
                // With lower numbers than any that a reading from before has.
                self.partitions[partition] = Partition::new(partition, self.incarnations, 1);
                self.forget_closings(partition);
            }
            Step::IsRenewed(partition) => {
                self.left.renewals -= 1;
                self.incarnations += 1;
                self.partitions[partition].renew(self.incarnations);
            }
            Step::DropsFences(partition) => {
                self.left.fence_drops -= 1;
                self.partitions[partition].drop_fences();
            }
            Step::ClosingsEnd(partition) => {
                self.left.closing_ends -= 1;
                self.partitions[partition].end_closings(self.rules);
                self.forget_closings(partition);
            }
        }
    }

    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.partitions, &self.processes, self.data, self.required, self.now).hash(&mut hasher);
        (self.incarnations, self.left).hash(&mut hasher);
        hasher.finish()
    }

    /// Only the order of the numbers of one clock matters, and of the stamps of one mark.
    fn renumber(&mut self) {
        for at in 0..self.partitions.len() {
            let partition = &mut self.partitions[at];
            let mut seqs: Vec<&mut u8> = vec![&mut partition.seq, &mut partition.floor];
            seqs.extend(partition.fences.iter_mut());
            for process in &mut self.processes {
                match process {
                    Process::Loading(frames) | Process::Writing(frames) => {
                        seqs.extend(frames.iter_mut().filter_map(|frame| Some(&mut frame.readings.as_mut()?[at].seq)));
                    }
                    Process::Operating(operation) => {
                        let visited = operation.visited.iter_mut().enumerate();
                        let here = visited.filter(|(name, _)| self.scenario.layout.homes[*name] == at);
                        seqs.extend(here.filter_map(|(_, visited)| Some(&mut visited.as_mut()?.seq)));
                    }
                    Process::ReapingMarks(reaping) if self.scenario.layout.home(reaping.name) == at => {
                        seqs.extend(reaping.seen.iter_mut().map(|(_, _, looked)| &mut looked.seq));
                    }
                    _ => {}
                }
            }
            rank(&mut seqs, 1);
        }
        for name in NAMES {
            for of in 0..self.partitions.len() {
                let home = self.scenario.layout.home(name);
                let mut stamps: Vec<&mut u8> = self.partitions[home].marks[name.at()][of].iter_mut().collect();
                for process in &mut self.processes {
                    match process {
                        Process::Operating(operation) => stamps.extend(operation.to_settle[name.at()][of].iter_mut()),
                        Process::ReapingMarks(at) if at.name == name => {
                            let seen = at.seen.iter_mut().filter(|seen| seen.0 == of);
                            stamps.extend(seen.map(|(_, stamp, _)| stamp));
                        }
                        _ => {}
                    }
                }
                rank(&mut stamps, 0);
            }
        }
    }
}

/// Puts the rank of each number in its place, from `first` on. A 0 that stands for none stays one.
fn rank(numbers: &mut [&mut u8], first: u8) {
    if let [only] = numbers {
        **only = (**only).min(first);
        return;
    }
    let mut ranks: Vec<u8> = numbers.iter().map(|number| **number).filter(|number| *number >= first).collect();
    ranks.sort_unstable();
    ranks.dedup();
    for number in numbers.iter_mut() {
        if let Ok(at) = ranks.binary_search(number) {
            **number = at as u8 + first;
        }
    }
}

//! The partitions, their callers, and what may happen to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Scenario;
use super::load::Frame;
use super::names::{NAMES, Name, Names, Spelling};
use super::operation::{Purpose, Undertaking};
use super::upkeep::{MarkReaping, Reconciliation};
use super::walk::Walk;
use crate::config::Config;
use crate::store::memory::moment::{Now, Settings};
use crate::store::memory::site::Site;
use crate::store::memory::state::State;
use crate::store::rules::Rules;

/// Nothing expires by itself: the explorer says when.
pub(super) const TTL: Duration = Duration::from_secs(1_000_000);

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
    /// Invalidates, although nothing has changed.
    Repeat(Names),
    /// Changes the data while names are closed.
    Around(Names),
    /// The same, but it renews what it has closed once before it commits. For what declares `A` it
    /// promises something only if it has reached `A`.
    AroundForLong(Names),
    Reconcile,
    /// Reaps a mark of a name.
    ReapMark(Name),
    /// Changes the data, then removes by a pattern that matches a key.
    Sweep(Name),
    /// Changes the data, then removes everything.
    Clear,
}

#[derive(Clone, Debug)]
pub(super) enum Process {
    Loading(Vec<Frame>),
    Writing(Vec<Frame>),
    Operating(Box<Undertaking>),
    Reconciling(Reconciliation),
    ReapingMarks(MarkReaping),
    Walking(Walk),
    /// Of a walk: only what its last page has left is still to be removed.
    LastPage(Walk),
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
    Registers { process: usize, home: u16 },
    Fills(usize),
    Visits { process: usize, partition: u16 },
    Settles { process: usize, home: u16 },
    Commits(usize),
    Walks(usize),
    Reconciles(usize),
    ReapsMark { process: usize, of: u16 },
    Crashes(usize),
    Expires(Name),
    RetentionPasses,
    Reaps(u16),
    IsLost(u16),
    IsRenewed(u16),
    DropsFences(u16),
    ClosingsEnd(u16),
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) scenario: &'static Scenario,
    pub(super) rules: Rules,
    pub(super) spelling: Arc<Spelling>,
    pub(super) partitions: Vec<State>,
    pub(super) processes: Vec<Process>,
    /// The version of the data.
    pub(super) data: u8,
    /// What every read must be made from at least.
    pub(super) required: u8,
    pub(super) began: Instant,
    /// Wall time stands still: sequence numbers count.
    pub(super) now: Now,
    pub(super) incarnations: u128,
    pub(super) left: Misfortunes,
}

impl World {
    pub(super) fn new(scenario: &'static Scenario, rules: Rules) -> Self {
        let (spelling, began) = (Spelling::new(&scenario.layout), Instant::now());
        let partitions = spelling.partitions;
        let mut settings = Settings::new(&Config::default(), partitions);
        settings.members_per_chunk = scenario.members_per_chunk;
        settings.reaped_per_operation = 0;
        settings.keys_per_page = 1;
        // A clock that is lost begins with lower numbers than these.
        let first = Now { at: began, wall_us: 1_000 };
        let new = |number| State::at(Site::new(number, partitions), settings.clone(), rules, 1, first);
        let mut states: Vec<State> = (0..partitions.count()).map(new).collect();
        let readings: Vec<_> = states.iter().map(State::home_reading).collect();
        states.iter_mut().for_each(|state| state.site.know_all(&readings));
        let mut world = Self {
            scenario,
            rules,
            spelling: Arc::new(spelling),
            partitions: states,
            processes: Vec::new(),
            data: 1,
            required: 0,
            began,
            now: Now { at: began, wall_us: 0 },
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
        world
    }

    fn start(&self, task: Task) -> Process {
        let operating = |task| Process::Operating(Box::new(task));
        let operation = |names, purpose| operating(Undertaking::new(names, purpose));
        match task {
            Task::Call(key) => Process::Loading(vec![Frame::new(key, false)]),
            Task::Refresh(key) => Process::Loading(vec![Frame::new(key, true)]),
            Task::Invalidate(names) => operation(names, Purpose::Invalidate),
            Task::Put(key) => Process::Writing(vec![Frame::new(key, true)]),
            Task::Repeat(names) => operation(names, Purpose::Repeat),
            Task::Around(names) => operation(names, Purpose::Close),
            Task::AroundForLong(names) => {
                operating(Undertaking { renews: true, ..Undertaking::new(names, Purpose::Close) })
            }
            Task::Reconcile => Process::Reconciling(Reconciliation::new()),
            Task::ReapMark(name) => Process::ReapingMarks(MarkReaping::new(name)),
            Task::Sweep(key) => Process::Walking(Walk::new(Some(key))),
            Task::Clear => Process::Walking(Walk::new(None)),
        }
    }

    pub(super) fn numbers(&self) -> std::ops::Range<u16> {
        0..self.spelling.partitions.count()
    }

    pub(super) fn home(&self, name: Name) -> u16 {
        self.spelling.home(name)
    }

    pub(super) fn state(&self, partition: u16) -> &State {
        &self.partitions[usize::from(partition)]
    }

    /// One script.
    pub(super) fn script<T>(&mut self, partition: u16, run: impl FnOnce(&mut State, Now) -> T) -> T {
        let state = &mut self.partitions[usize::from(partition)];
        let outcome = run(state, self.now);
        state.entries.take_changed();
        outcome
    }

    /// What is stored under a key: the version of the data, and its names.
    pub(super) fn stored(&self, key: Name) -> Option<(u8, Names)> {
        let entry = self.state(self.home(key)).entries.get(self.spelling.name(key))?;
        Some((entry.value[0], self.spelling.set(&entry.names)))
    }

    /// What must not be: a value that a read would be served, or an entry that one of its names
    /// does not lead to.
    pub(super) fn fault(&self) -> Option<String> {
        for key in NAMES.into_iter().filter(|name| name.is_key()) {
            let Some((version, names)) = self.stored(key) else { continue };
            if version < self.required {
                return Some(format!("a read of {key:?} returns {version}, required is {}", self.required));
            }
            let own = self.home(key);
            for name in names.iter() {
                let (home, spelled) = (self.state(self.home(name)), self.spelling.name(name));
                let is_listed = self.spelling.partitions.is_home(spelled, own)
                    || home.site.marks.stamp(spelled, own).is_some()
                    || !home.site.is_complete;
                if !is_listed || !self.state(own).indexes.is_member(spelled, self.spelling.name(key)) {
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
            (step, next)
        })
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, process) in self.processes.iter().enumerate() {
            match process {
                Process::Loading(frames) => self.steps_of_load(number, frames, &mut steps),
                Process::Writing(frames) => self.steps_of_write(number, &frames[0], &mut steps),
                Process::Operating(task) => self.steps_of_operation(number, task, &mut steps),
                Process::Reconciling(at) => self.steps_of_reconciliation(number, at, &mut steps),
                Process::ReapingMarks(at) => self.steps_of_mark_reaping(number, at, &mut steps),
                Process::Walking(walk) | Process::LastPage(walk) => self.steps_of_walk(number, walk, &mut steps),
                Process::Done => {}
            }
            if self.left.crashes > 0 && !matches!(process, Process::Done) {
                steps.push(Step::Crashes(number));
            }
        }
        self.misfortunes(&mut steps);
        steps
    }

    fn misfortunes(&self, steps: &mut Vec<Step>) {
        let left = &self.left;
        let mut on_each = |may: bool, step: fn(u16) -> Step| {
            steps.extend(self.numbers().filter(|_| may).map(step));
        };
        on_each(left.losses > 0, Step::IsLost);
        on_each(left.renewals > 0, Step::IsRenewed);
        on_each(left.fence_drops > 0, Step::DropsFences);
        on_each(left.closing_ends > 0, Step::ClosingsEnd);
        let stored = NAMES.into_iter().filter(|name| name.is_key() && self.stored(*name).is_some());
        steps.extend(stored.filter(|_| left.expiries > 0).map(Step::Expires));
        if self.scenario.reaps {
            let is_due = |number: &u16| self.state(*number).indexes.first_due(self.now.at).is_some();
            steps.extend(self.numbers().filter(is_due).map(Step::Reaps));
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
            Step::Visits { process, partition } => match self.processes[process] {
                Process::Operating(_) => self.visit(process, partition),
                _ => self.visit_for_walk(process, partition),
            },
            Step::Walks(process) => self.walk(process),
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
                let name = self.spelling.name(key).clone();
                self.script(self.home(key), |state, now| state.expire(&name, now));
            }
            Step::RetentionPasses => {
                self.left.retentions -= 1;
                let retention = self.partitions[0].settings.fence_retention;
                self.now.at += retention + Duration::from_millis(1);
            }
            Step::Reaps(partition) => self.script(partition, |state, now| state.reap(1, now)),
            Step::IsLost(partition) => {
                self.left.losses -= 1;
                self.incarnations += 1;
                let (settings, incarnation) = (self.state(partition).settings.clone(), self.incarnations);
                let site = Site::new(partition, self.spelling.partitions);
                self.partitions[usize::from(partition)] = State::at(site, settings, self.rules, incarnation, self.now);
                self.forget_closings(partition);
            }
            Step::IsRenewed(partition) => {
                self.left.renewals -= 1;
                self.incarnations += 1;
                let incarnation = self.incarnations;
                self.script(partition, |state, now| state.renew(incarnation, now));
            }
            Step::DropsFences(partition) => {
                self.left.fence_drops -= 1;
                self.script(partition, |state, now| {
                    let kept = std::mem::replace(&mut state.settings.fences_max, 0);
                    state.fences.drop_old(&state.settings, now);
                    state.settings.fences_max = kept;
                });
            }
            Step::ClosingsEnd(partition) => {
                self.left.closing_ends -= 1;
                self.end_closings(partition);
            }
        }
    }
}

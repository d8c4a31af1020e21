//! What nobody waits for: reconciliation after a loss, and the reaping of marks.

use super::names::{Name, Names};
use super::partition::{ByPartition, Entry, Reading};
use super::rules::Rule;
use super::world::{Process, Step, World};

/// Makes the lists of the homes complete again, one home after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reconciliation {
    home: usize,
    stage: Stage,
    /// Of each partition: its incarnation, and what it has adopted of the home.
    read: ByPartition<(u8, u8)>,
    /// Of the home.
    incarnation: u8,
    listed: Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Start,
    Read(usize),
    ReadHome,
    Adopt(usize),
    List(usize),
    Note(usize),
    Complete,
}

impl Reconciliation {
    pub(super) fn new() -> Self {
        Self { home: 0, stage: Stage::Start, read: Default::default(), incarnation: 0, listed: Names::default() }
    }
}

/// Takes the marks of a name away that nothing hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MarkReaping {
    pub(super) name: Name,
    /// The partition of the mark, its stamp, and the number with which the name was fenced.
    pub(super) seen: Option<(usize, u8, Reading)>,
    is_asked: bool,
}

impl MarkReaping {
    pub(super) fn new(name: Name) -> Self {
        Self { name, seen: None, is_asked: false }
    }
}

impl World {
    pub(super) fn steps_of_reconciliation(&self, process: usize, at: &Reconciliation, steps: &mut Vec<Step>) {
        if at.stage != Stage::Start || (0..self.partitions.len()).any(|home| self.is_behind(home)) {
            steps.push(Step::Reconciles(process));
        }
    }

    fn is_behind(&self, home: usize) -> bool {
        let Some(lists) = self.partitions.get(home) else { return false };
        let others = self.partitions.iter().filter(|other| other.number != home);
        !lists.is_complete || others.into_iter().any(|other| other.known[home] != lists.incarnation)
    }

    /// One script. Gives up if something was lost again meanwhile.
    pub(super) fn reconcile(&mut self, process: usize) {
        let Process::Reconciling(at) = &self.processes[process] else { return };
        let mut at = at.clone();
        let next = self.reconcile_once(&mut at);
        self.processes[process] = match next {
            Some(stage) => Process::Reconciling(Reconciliation { stage, ..at }),
            None => Process::Done,
        };
    }

    fn reconcile_once(&mut self, at: &mut Reconciliation) -> Option<Stage> {
        let (home, count, rules) = (at.home, self.partitions.len(), self.rules);
        let next = |of: usize| (of..count).find(|of| *of != home);
        let lists = rules.keep(Rule::AdoptionsList);
        let adopts_first = rules.keep(Rule::AdoptionsComeFirst);
        let first = |of: usize| if adopts_first { Stage::Adopt(of) } else { Stage::List(of) };
        match at.stage {
            Stage::Start => {
                at.home = (0..count).find(|home| self.is_behind(*home))?;
                let home = at.home;
                Some((0..count).find(|of| *of != home).map_or(Stage::ReadHome, Stage::Read))
            }
            Stage::Read(of) => {
                at.read[of] = (self.partitions[of].incarnation, self.partitions[of].known[home]);
                Some(next(of + 1).map_or(Stage::ReadHome, Stage::Read))
            }
            Stage::ReadHome => {
                at.incarnation = self.partitions[home].incarnation;
                Some(next(0).map_or(Stage::Complete, first))
            }
            Stage::Adopt(of) => {
                if (self.partitions[of].incarnation, self.partitions[of].known[home]) != at.read[of] {
                    return None;
                }
                self.partitions[of].adopt(home, at.incarnation);
                Some(match (lists, adopts_first) {
                    (true, true) => Stage::List(of),
                    (true, false) => Stage::Note(of),
                    _ => next(of + 1).map_or(Stage::Complete, first),
                })
            }
            Stage::List(of) => {
                at.listed = self.partitions[of].list(home, &self.scenario.layout);
                Some(if adopts_first { Stage::Note(of) } else { Stage::Adopt(of) })
            }
            Stage::Note(of) => {
                let is_same = self.partitions[home].note_listed(at.listed, of, at.incarnation, rules);
                at.listed = Names::default();
                is_same.then(|| next(of + 1).map_or(Stage::Complete, first))
            }
            Stage::Complete => {
                let complete = &mut self.partitions[home];
                complete.is_complete |= complete.incarnation == at.incarnation;
                *at = Reconciliation::new();
                Some(Stage::Start)
            }
        }
    }

    pub(super) fn steps_of_mark_reaping(&self, process: usize, at: &MarkReaping, steps: &mut Vec<Step>) {
        let dead = (0..self.partitions.len()).filter(|of| self.dead_mark(at.name, *of).is_some());
        match at.seen {
            None => steps.extend(dead.map(|of| Step::ReapsMark { process, of })),
            Some((of, ..)) => steps.push(Step::ReapsMark { process, of }),
        }
    }

    /// The stamp of a mark whose time has passed: no entry that it stands for is there. (A fill
    /// that has registered may be on its way: a mark tells nothing of that.)
    fn dead_mark(&self, name: Name, of: usize) -> Option<u8> {
        let carries = |entry: &Entry| entry.names.contains(name);
        let is_alive = self.partitions[of].entries.iter().flatten().any(carries);
        self.partitions[self.home(name)].marks[name.at()][of].filter(|_| !is_alive)
    }

    /// One script: looks, asks the partition, and at last takes the mark away.
    pub(super) fn reap_mark(&mut self, process: usize, of: usize) {
        let Process::ReapingMarks(at) = &self.processes[process] else { return };
        let (mut at, rules, home) = (at.clone(), self.rules, self.home(at.name));
        let mut is_over = false;
        if let Some((of, stamp, looked)) = at.seen {
            if at.is_asked {
                self.partitions[home].settle(&[(at.name, of, stamp, looked)], rules);
            }
            is_over = at.is_asked || self.partitions[of].is_asked_for(at.name, rules);
            at.is_asked = true;
        } else if let Some(stamp) = self.dead_mark(at.name, of) {
            at.seen = Some((of, stamp, self.partitions[home].look_at(at.name, rules)));
            at.is_asked = !rules.keep(Rule::MarksAreAskedFor);
        }
        self.processes[process] = if is_over { Process::Done } else { Process::ReapingMarks(at) };
    }
}

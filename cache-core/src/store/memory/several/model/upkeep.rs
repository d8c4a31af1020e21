//! What nobody waits for: reconciliation after a loss, and the reaping of marks.

use std::sync::Arc;

use super::names::{NAMES, Name};
use super::world::{Process, Step, World};
use crate::name;
use crate::store::rules::Rule;
use crate::store::{FollowedMark, HomeReading, MetMark};

/// A partition's incarnation, and the one that it has adopted of a home.
type Knowledge = (Arc<str>, Option<Arc<str>>);

/// Makes the lists of the homes complete again, one home after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reconciliation {
    home: u16,
    stage: Stage,
    /// Of each partition: its incarnation, and what it has adopted of the home.
    read: Vec<Option<Knowledge>>,
    /// Of the home.
    incarnation: Option<Arc<str>>,
    listed: Vec<(name::Name, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Start,
    Read(u16),
    ReadHome,
    Adopt(u16),
    List(u16),
    Note(u16),
    Complete,
}

impl Reconciliation {
    pub(super) fn new() -> Self {
        Self { home: 0, stage: Stage::Start, read: Vec::new(), incarnation: None, listed: Vec::new() }
    }
}

/// Takes the marks of a name away that nothing hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MarkReaping {
    pub(super) name: Name,
    /// The mark, and the number with which the name was fenced.
    pub(super) seen: Option<(MetMark, HomeReading)>,
    pub(super) is_asked: bool,
}

impl MarkReaping {
    pub(super) fn new(name: Name) -> Self {
        Self { name, seen: None, is_asked: false }
    }
}

impl World {
    pub(super) fn steps_of_reconciliation(&self, process: usize, at: &Reconciliation, steps: &mut Vec<Step>) {
        if at.stage != Stage::Start || self.numbers().any(|home| self.is_behind(home)) {
            steps.push(Step::Reconciles(process));
        }
    }

    fn is_behind(&self, home: u16) -> bool {
        let lists = self.state(home);
        let incarnation = lists.home_reading().incarnation;
        let mut others = self.numbers().filter(|other| *other != home);
        !lists.site.is_complete || others.any(|other| self.state(other).knows_of(home).1.as_ref() != Some(&incarnation))
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
        let (home, count, rules) = (at.home, self.spelling.partitions.count(), self.rules);
        let next = |of: u16| (of..count).find(|of| *of != home);
        let lists = rules.keep(Rule::AdoptionsList);
        let adopts_first = rules.keep(Rule::AdoptionsComeFirst);
        let first = |of: u16| if adopts_first { Stage::Adopt(of) } else { Stage::List(of) };
        match at.stage {
            Stage::Start => {
                at.home = (0..count).find(|home| self.is_behind(*home))?;
                at.read = vec![None; usize::from(count)];
                let home = at.home;
                Some((0..count).find(|of| *of != home).map_or(Stage::ReadHome, Stage::Read))
            }
            Stage::Read(of) => {
                at.read[usize::from(of)] = Some(self.state(of).knows_of(home));
                Some(next(of + 1).map_or(Stage::ReadHome, Stage::Read))
            }
            Stage::ReadHome => {
                at.incarnation = Some(self.state(home).home_reading().incarnation);
                Some(next(0).map_or(Stage::Complete, first))
            }
            Stage::Adopt(of) => {
                if Some(self.state(of).knows_of(home)) != at.read[usize::from(of)] {
                    return None;
                }
                let incarnation = at.incarnation.clone()?;
                self.script(of, |state, _| state.adopt(home, &incarnation));
                Some(match (lists, adopts_first) {
                    (true, true) => Stage::List(of),
                    (true, false) => Stage::Note(of),
                    _ => next(of + 1).map_or(Stage::Complete, first),
                })
            }
            Stage::List(of) => {
                at.listed = self.state(of).list_for(home, self.now);
                Some(if adopts_first { Stage::Note(of) } else { Stage::Adopt(of) })
            }
            Stage::Note(of) => {
                let (listed, incarnation) = (std::mem::take(&mut at.listed), at.incarnation.clone()?);
                let is_same = self.script(home, |state, _| state.note_listed(&listed, of, &incarnation));
                is_same.then(|| next(of + 1).map_or(Stage::Complete, first))
            }
            Stage::Complete => {
                let incarnation = at.incarnation.clone()?;
                self.script(home, |state, _| state.complete(&incarnation));
                *at = Reconciliation::new();
                Some(Stage::Start)
            }
        }
    }

    pub(super) fn steps_of_mark_reaping(&self, process: usize, at: &MarkReaping, steps: &mut Vec<Step>) {
        match &at.seen {
            None => {
                let dead = self.numbers().filter(|of| self.dead_mark(at.name, *of).is_some());
                steps.extend(dead.map(|of| Step::ReapsMark { process, of }));
            }
            Some((mark, _)) => steps.push(Step::ReapsMark { process, of: mark.of }),
        }
    }

    /// A mark whose time has passed: no entry that it stands for is there. (A fill that has
    /// registered may be on its way: a mark tells nothing of that.)
    fn dead_mark(&self, name: Name, of: u16) -> Option<MetMark> {
        let mut keys = NAMES.into_iter().filter(|key| key.is_key() && self.home(*key) == of);
        let is_alive = keys.any(|key| self.stored(key).is_some_and(|(_, names)| names.contains(name)));
        let mut marks = self.state(self.home(name)).site.marks.of(self.spelling.name(name));
        marks.find(|mark| mark.of == of).filter(|_| !is_alive)
    }

    /// One script: looks, asks the partition, and at last takes the mark away.
    pub(super) fn reap_mark(&mut self, process: usize, of: u16) {
        let Process::ReapingMarks(at) = &self.processes[process] else { return };
        let (mut at, home, name) = (at.clone(), self.home(at.name), self.spelling.name(at.name).clone());
        let mut is_over = false;
        if let Some((mark, visited)) = at.seen.clone() {
            if at.is_asked {
                self.script(home, |state, _| state.settle(&[FollowedMark { mark, visited }]));
            }
            is_over = at.is_asked || self.script(of, |state, now| state.is_asked_for(&name, now));
            at.is_asked = true;
        } else if let Some(mark) = self.dead_mark(at.name, of) {
            at.seen = Some((mark, self.script(home, |state, now| state.look_at(&name, now))));
            at.is_asked = !self.rules.keep(Rule::MarksAreAskedFor);
        }
        self.processes[process] = if is_over { Process::Done } else { Process::ReapingMarks(at) };
    }
}

//! An invalidation on several partitions: which names it has still to visit in which of them, and
//! the marks that it follows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agenda::Agenda;
use super::partition::Partitions;
use super::rules::{Rule, Rules};
use super::visit::{Chunk, Encounter, FollowedMark, HomeReading, Intent, MetMark, UnvisitedName};
use crate::config::INVALIDATE_NAMES_PER_CHUNK;
use crate::name::Name;

/// So often one mark is followed again because its name was overtaken. Two operations that go round
/// in one circle overtake each other for ever.
const OVERTAKINGS_MAX: u32 = 8;

/// Begins at the homes of the given names. Each mark that a visit meets is followed, and again
/// if it has changed when another visit meets it.
///
/// It remembers each mark that it has met until it is done, and the last visit of each name: about
/// 200 bytes for a mark, beside the name's text, which all of them share. There is no other bound:
/// a mark that was forgotten would be followed again when it is met again, without end.
#[derive(Clone, Debug, Hash)]
pub(super) struct Tour {
    partitions: Partitions,
    rules: Rules,
    /// Names are visited with it wherever they lead.
    intent: Intent,
    /// Nothing was sent yet.
    is_new: bool,
    /// By partition.
    todo: Vec<Todo>,
    /// The incarnations of all partitions when it began, or when it visited them last.
    began: Vec<Arc<str>>,
    followed: BTreeMap<(Name, u16), Pursuit>,
    /// The stamps of the marks that were followed after the last visit of their home.
    to_settle: BTreeMap<(Name, u16), u64>,
    /// What the last visit of a name's home has told of the clock there.
    visited: BTreeMap<Name, HomeReading>,
    /// Names that are visited everywhere, because their home is incomplete.
    everywhere: BTreeSet<Name>,
    /// The names of which a partition kept something when it was visited last.
    kept: BTreeSet<(Name, u16)>,
}

/// A mark that was followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pursuit {
    /// That of the mark when it was followed.
    stamp: u64,
    overtakings: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Todo {
    /// At home there, or to be closed or opened there, and not visited yet.
    given: Vec<Name>,
    agenda: Agenda,
}

impl Tour {
    pub(super) fn new(
        partitions: Partitions,
        known: &[HomeReading],
        names: &[Name],
        intent: Intent,
        rules: Rules,
    ) -> Self {
        let mut todo = vec![Todo::default(); usize::from(partitions.count())];
        for name in names {
            for home in partitions.homes(name, rules) {
                todo[usize::from(home)].given.push(name.clone());
            }
        }
        Self {
            partitions,
            rules,
            intent,
            is_new: true,
            todo,
            began: known.iter().map(|reading| reading.incarnation.clone()).collect(),
            followed: BTreeMap::new(),
            to_settle: BTreeMap::new(),
            visited: BTreeMap::new(),
            everywhere: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn is_to_learn(&self) -> bool {
        self.is_new && self.began.iter().any(|incarnation| **incarnation == *HomeReading::UNKNOWN)
    }

    #[cfg(feature = "redis")]
    pub(super) fn learn(&mut self, known: &[HomeReading]) {
        self.began = known.iter().map(|reading| reading.incarnation.clone()).collect();
    }

    pub(super) fn left(&self) -> usize {
        self.todo.iter().map(|todo| todo.given.len() + todo.agenda.len()).sum()
    }

    pub(super) fn next_chunk<'a>(&mut self, partition: u16) -> Option<Chunk<'a>> {
        self.is_new = false;
        let todo = self.todo.get_mut(usize::from(partition))?;
        if !todo.given.is_empty() {
            let names = todo.given.drain(..todo.given.len().min(INVALIDATE_NAMES_PER_CHUNK)).collect();
            return Some(Chunk::of_given(partition, Cow::Owned(names), self.intent));
        }
        (todo.agenda.len() > 0).then(|| todo.agenda.next_chunk(partition))
    }

    /// Notes the reply of a visit, and what it adds to the list.
    pub(super) fn take_in(&mut self, chunk: &Chunk<'_>, left: Vec<UnvisitedName>, encounter: Encounter) {
        self.is_new = false;
        let partition = chunk.partition;
        let Encounter { reading, is_complete, drained, mut met, fenced, kept } = encounter;
        let overtaken = self.overtaken(&fenced, &reading);
        let at_home = drained.iter().filter(|name| self.partitions.home(name) == partition);
        self.visited.extend(at_home.map(|name| (name.clone(), reading.clone())));
        for name in &*chunk.names {
            self.kept.remove(&(name.clone(), partition));
        }
        self.kept.extend(kept.into_iter().map(|name| (name, partition)));
        self.todo[usize::from(partition)].agenda.take_in(left);
        if self.rules.keep(Rule::SettlesWhatTheLastVisitMet) {
            self.to_settle.retain(|(name, _), _| !drained.contains(name));
        }
        // What another program has written may be of no partition.
        met.retain(|mark| self.partitions.has(mark.of));
        for MetMark { name, of, stamp } in met {
            let before = self.followed.get(&(name.clone(), of));
            let overtakings = before.map_or(0, |before| before.overtakings);
            let is_changed = before.is_some_and(|before| before.stamp != stamp)
                && self.rules.keep(Rule::ChangedMarksAreFollowedAgain);
            let is_overtaken = overtakings < OVERTAKINGS_MAX && overtaken.contains(&name);
            if before.is_none() || is_changed || is_overtaken {
                let overtakings = overtakings + u32::from(is_overtaken);
                self.followed.insert((name.clone(), of), Pursuit { stamp, overtakings });
                self.visit_in(of, name.clone());
                self.to_settle.insert((name, of), stamp);
            }
        }
        self.notice_losses(chunk, &reading, if is_complete { Vec::new() } else { drained });
    }

    /// The names that another operation has fenced since they were visited here. That one may have
    /// settled their marks.
    fn overtaken(&self, fenced: &[(Name, u64)], reading: &HomeReading) -> BTreeSet<Name> {
        let is_overtaken = |(name, seq): &&(Name, u64)| {
            let visited = self.visited.get(name);
            visited.is_some_and(|visited| visited.incarnation != reading.incarnation || *seq > visited.seq)
        };
        let keeps = self.rules.keep(Rule::OvertakenMarksAreFollowedAgain);
        fenced.iter().filter(|_| keeps).filter(is_overtaken).map(|(name, _)| name.clone()).collect()
    }

    /// What is drained where lists are incomplete, or was given to a partition that has lost its
    /// clock meanwhile, is visited everywhere.
    fn notice_losses(&mut self, chunk: &Chunk<'_>, reading: &HomeReading, drained: Vec<Name>) {
        let mut everywhere = Vec::new();
        if self.rules.keep(Rule::IncompleteHomesVisitEverywhere) {
            everywhere.extend(drained.into_iter().filter(|name| self.everywhere.insert(name.clone())));
        }
        let began = &mut self.began[usize::from(chunk.partition)];
        let is_lost = *began != reading.incarnation;
        began.clone_from(&reading.incarnation);
        if is_lost && self.rules.keep(Rule::LossesBetweenVisitsVisitEverywhere) {
            everywhere.extend(chunk.names.iter().cloned());
        }
        for of in (0..self.partitions.count()).filter(|of| *of != chunk.partition) {
            everywhere.iter().for_each(|name| self.visit_in(of, name.clone()));
        }
    }

    /// What a closed name leads to in another partition is closed there, too: an operation closes,
    /// and opens, wherever it comes.
    fn visit_in(&mut self, of: u16, name: Name) {
        let todo = &mut self.todo[usize::from(of)];
        match self.intent {
            Intent::Close { .. } | Intent::Open { .. } if self.rules.keep(Rule::ClosingsFollowMarks) => {
                todo.given.push(name);
            }
            _ => todo.agenda.add(name),
        }
    }

    pub(super) fn settlements(&self) -> Vec<(u16, Vec<FollowedMark>)> {
        let mut by_home = BTreeMap::<u16, Vec<FollowedMark>>::new();
        // Its marks lead to what is closed, until it is opened.
        if matches!(self.intent, Intent::Close { .. }) && self.rules.keep(Rule::MarksOfClosedNamesStay) {
            return Vec::new();
        }
        for ((name, of), stamp) in &self.to_settle {
            let is_kept = self.kept.contains(&(name.clone(), *of)) && self.rules.keep(Rule::SettlingSparesWhatIsKept);
            if let Some(visited) = self.visited.get(name).filter(|_| !is_kept) {
                let mark = MetMark { name: name.clone(), of: *of, stamp: *stamp };
                by_home
                    .entry(self.partitions.home(name))
                    .or_default()
                    .push(FollowedMark { mark, visited: visited.clone() });
            }
        }
        by_home.into_iter().collect()
    }
}

#[cfg(test)]
impl Tour {
    pub(super) fn has_work_at(&self, partition: u16) -> bool {
        let todo = &self.todo[usize::from(partition)];
        !todo.given.is_empty() || todo.agenda.len() > 0
    }

    /// Numbers of clocks, each with its partition.
    pub(super) fn seqs(&self) -> impl Iterator<Item = (u16, u64)> {
        self.visited.iter().map(|(name, reading)| (self.partitions.home(name), reading.seq))
    }

    pub(super) fn stamps(&self) -> impl Iterator<Item = (&(Name, u16), u64)> {
        self.to_settle.iter().map(|(mark, stamp)| (mark, *stamp))
    }

    /// What tells it from another one, but for [`seqs`](Self::seqs) and [`stamps`](Self::stamps).
    pub(super) fn parts(&self) -> impl std::hash::Hash {
        let visited: Vec<_> =
            self.visited.iter().map(|(name, reading)| (name.clone(), reading.incarnation.clone())).collect();
        let (todo, began, followed) = (self.todo.clone(), self.began.clone(), self.followed.clone());
        (todo, began, followed, visited, self.everywhere.clone(), self.kept.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_no_partition_leads_nowhere() {
        let (partitions, name) = (Partitions::new(4), Name::tag("T").unwrap());
        let reading = HomeReading { incarnation: "i".into(), seq: 1 };
        let (known, names) = (vec![reading.clone(); 4], [name.clone()]);
        let mut tour = Tour::new(partitions, &known, &names, Intent::Invalidate, Rules::default());
        let chunk = tour.next_chunk(partitions.home(&name)).unwrap();
        let met = [4, u16::MAX].map(|of| MetMark { name: name.clone(), of, stamp: 1 }).into();
        let drained = vec![name];
        let encounter = Encounter { reading, is_complete: true, drained, met, fenced: Vec::new(), kept: Vec::new() };
        tour.take_in(&chunk, Vec::new(), encounter);
        assert_eq!((tour.left(), tour.settlements()), (0, Vec::new()));
    }
}

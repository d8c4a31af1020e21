//! One partition, and the scripts that run in it. Each method that changes anything is one script:
//! it is atomic, and it sees this partition alone.

use super::names::{ByName, NAMES, Name, Names};
use super::rules::{Rule, Rules};

/// As many partitions as a scenario may have.
pub(super) const PARTITIONS_MAX: usize = 4;

/// Something for each partition.
pub(super) type ByPartition<T> = [T; PARTITIONS_MAX];

/// Where names are at home. A key is stored at its home. A spread tag is at home everywhere: it has
/// no marks, and is not registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) partitions: usize,
    /// Of a spread tag: one of its homes.
    pub(super) homes: ByName<usize>,
    pub(super) spread: Names,
}

impl Layout {
    pub(super) fn home(&self, name: Name) -> usize {
        self.homes[name.at()]
    }

    pub(super) fn at_home(&self, names: Names, partition: usize) -> Names {
        names.iter().filter(|name| self.is_home(*name, partition)).collect()
    }

    pub(super) fn is_home(&self, name: Name, partition: usize) -> bool {
        self.home(name) == partition || self.spread.contains(name)
    }

    /// Where an operation on a name begins: at all of its homes.
    pub(super) fn homes(&self, name: Name, rules: Rules) -> impl Iterator<Item = usize> {
        let is_spread = self.spread.contains(name) && rules.keep(Rule::SpreadNamesBeginEverywhere);
        let home = self.home(name);
        (0..self.partitions).filter(move |partition| is_spread || *partition == home)
    }
}

/// What a load knows of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) incarnation: u8,
    pub(super) seq: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The version of the data that it was made from.
    pub(super) version: u8,
    pub(super) names: Names,
}

/// What a load asks to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) key: Name,
    pub(super) entry: Entry,
    pub(super) reading: Reading,
    /// Its retention has passed.
    pub(super) is_old: bool,
    /// The incarnation of each home in which it has registered.
    pub(super) registered: ByPartition<Option<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) number: usize,
    /// Compared for equality alone. 0 is none.
    pub(super) incarnation: u8,
    pub(super) seq: u8,
    pub(super) floor: u8,
    /// 0 is none.
    pub(super) fences: ByName<u8>,
    /// By which processes a name is closed that is at home here: bits.
    pub(super) closings: ByName<u8>,
    pub(super) entries: ByName<Option<Entry>>,
    /// The keys of this partition that are in the index of each name.
    pub(super) members: ByName<Names>,
    /// When the membership of a key in an index died, if it did.
    pub(super) died: ByName<ByName<u8>>,
    /// Of the names that are at home here: which other partitions may hold members, and the stamp
    /// of each mark.
    pub(super) marks: ByName<ByPartition<Option<u8>>>,
    /// The incarnation of each home in which this partition's names are listed there.
    pub(super) known: ByPartition<u8>,
    /// Whether the marks are all that there should be.
    pub(super) is_complete: bool,
}

/// The reply of a visit.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    pub(super) incarnation: u8,
    pub(super) seq: u8,
    pub(super) is_complete: bool,
    /// Names that are at home here and were emptied as far as this partition goes.
    pub(super) drained: Names,
    /// Marks of these: the name, where it may have members, the stamp.
    pub(super) met: Vec<(Name, usize, u8)>,
    /// Of the names that were given: something stays in their indexes here.
    pub(super) kept: Names,
    /// Entries that may still be removed by this script.
    budget: usize,
    pub(super) is_cut_short: bool,
}

impl Partition {
    /// Empty, and with a clock whose numbers begin at `seq`.
    pub(super) fn new(number: usize, incarnation: u8, seq: u8) -> Self {
        Self {
            number,
            incarnation,
            seq,
            floor: seq,
            fences: Default::default(),
            closings: Default::default(),
            entries: Default::default(),
            members: Default::default(),
            died: Default::default(),
            marks: Default::default(),
            known: Default::default(),
            is_complete: false,
        }
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { incarnation: self.incarnation, seq: self.seq }
    }

    /// Whether something depends on a key, here or elsewhere.
    fn is_depended_on(&self, key: Name, marks_count: bool) -> bool {
        !self.members[key.at()].is_empty() || marks_count && self.marks[key.at()].iter().any(Option::is_some)
    }

    /// Notes that `of` may hold members of these names. Returns the incarnation, or nothing if the
    /// registration is refused.
    pub(super) fn register(&mut self, names: Names, of: usize, reading: Reading, rules: Rules) -> Option<u8> {
        let is_foreign = reading.incarnation != self.incarnation && rules.keep(Rule::HomesCheckTheIncarnation);
        let is_below = reading.seq < self.floor && rules.keep(Rule::TheFloorIsChecked);
        let is_fenced =
            names.iter().any(|name| self.fences[name.at()] > reading.seq) && rules.keep(Rule::HomesCheckFences);
        if is_foreign || is_below || is_fenced || self.is_closed(names, rules) {
            return None;
        }
        self.mark(names, of, rules);
        Some(self.incarnation)
    }

    fn mark(&mut self, names: Names, of: usize, rules: Rules) {
        for name in names.iter() {
            let mark = &mut self.marks[name.at()][of];
            let changed = u8::from(rules.keep(Rule::RegistrationsChangeStamps));
            // A mark that is made anew may by chance have the stamp of one that is gone.
            *mark = Some(mark.map_or(0, |stamp| stamp + changed));
        }
    }

    fn is_closed(&self, names: Names, rules: Rules) -> bool {
        rules.keep(Rule::ClosedNamesRefuse) && names.iter().any(|name| self.closings[name.at()] != 0)
    }

    pub(super) fn fill(&mut self, fill: &Fill, layout: &Layout, now: u8, rules: Rules) -> bool {
        let is_admitted = self.admits(fill, layout, rules);
        if is_admitted {
            self.store(fill.key, fill.entry, now);
        }
        is_admitted
    }

    fn admits(&self, fill: &Fill, layout: &Layout, rules: Rules) -> bool {
        let Fill { key, entry, reading, is_old, registered } = *fill;
        let own = Names::of(&[key]);
        let checked = if rules.keep(Rule::FillsCheckEveryName) { entry.names.with(own) } else { own };
        let is_foreign = reading.incarnation != self.incarnation && rules.keep(Rule::FillsCheckTheIncarnation);
        let is_below = reading.seq < self.floor && rules.keep(Rule::TheFloorIsChecked);
        let is_fenced = checked.iter().any(|name| self.fences[name.at()] > reading.seq);
        let is_unknown = registered.iter().zip(self.known).any(|(of, known)| of.is_some_and(|of| of != known));
        let is_lost = is_unknown && rules.keep(Rule::FillsCheckTheAdoption);
        let at_home = layout.at_home(checked, self.number);
        !(is_foreign || is_below || is_fenced || is_old || is_lost || self.is_closed(at_home, rules))
    }

    /// Value and memberships together.
    fn store(&mut self, key: Name, entry: Entry, now: u8) {
        let replaced = self.entries[key.at()].replace(entry);
        if let Some(replaced) = replaced {
            let left = replaced.names.without(entry.names);
            if self.is_depended_on(key, true) { self.bury(key, left, now) } else { self.leave(key, left) }
        }
        for name in entry.names.iter() {
            self.members[name.at()].insert(key);
        }
    }

    fn bury(&mut self, key: Name, names: Names, now: u8) {
        names.iter().for_each(|name| self.died[name.at()][key.at()] = now);
    }

    fn leave(&mut self, key: Name, names: Names) {
        for name in names.iter() {
            self.members[name.at()].remove(key);
            self.died[name.at()][key.at()] = 0;
        }
    }

    pub(super) fn expire(&mut self, key: Name, now: u8) {
        if let Some(entry) = self.entries[key.at()].take() {
            self.bury(key, entry.names, now);
        }
    }

    /// Checks, removes what was there with its dependents, and stores.
    pub(super) fn write(&mut self, fill: Option<&Fill>, key: Name, site: &Site<'_>) -> Visit {
        let admitted = fill.filter(|fill| self.admits(fill, site.layout, site.rules));
        let visit = self.visit_with(Names::of(&[key]), site, site.rules.keep(Rule::WritesFenceTheirKey));
        if let Some(fill) = admitted {
            self.store(key, fill.entry, site.now);
        }
        visit
    }

    /// Fences names, and empties their indexes as far as they are in this partition.
    pub(super) fn visit(&mut self, names: Names, site: &Site<'_>) -> Visit {
        self.visit_with(names, site, true)
    }

    fn visit_with(&mut self, names: Names, site: &Site<'_>, is_fencing: bool) -> Visit {
        if site.rules.keep(Rule::VisitsAdvanceTheClock) {
            self.seq += 1;
        }
        let mut visit = Visit {
            incarnation: self.incarnation,
            seq: self.seq,
            is_complete: self.is_complete,
            budget: site.removed_per_script,
            ..Visit::default()
        };
        for name in names.iter() {
            let is_here = site.layout.is_home(name, self.number);
            let rule = if is_here { Rule::HomesAreFenced } else { Rule::VisitedPartitionsAreFenced };
            if is_fencing && site.rules.keep(rule) {
                self.fences[name.at()] = self.seq;
            }
            if is_here && name.is_key() {
                self.remove(name, site, &mut visit, false);
            } else {
                self.drain(name, site, &mut visit);
            }
            if !self.members[name.at()].is_empty() {
                visit.kept.insert(name);
            }
        }
        visit
    }

    /// Removes what is in an index, each after what depends on it.
    fn drain(&mut self, name: Name, site: &Site<'_>, visit: &mut Visit) {
        if site.layout.is_home(name, self.number) {
            visit.drained.insert(name);
            let marks = self.marks[name.at()].iter().enumerate();
            visit.met.extend(marks.filter_map(|(of, stamp)| Some((name, of, (*stamp)?))));
        }
        for member in self.members[name.at()].iter() {
            let is_there = self.entries[member.at()].is_some_and(|entry| entry.names.contains(name));
            if !is_there && !site.rules.keep(Rule::MembersWithoutEntryCount) {
                continue;
            }
            if visit.budget == 0 {
                visit.is_cut_short = true;
                return;
            }
            self.remove(member, site, visit, true);
            if visit.is_cut_short {
                return;
            }
            if !self.is_kept(member, site) {
                self.leave(member, Names::of(&[name]));
            } else {
                self.bury(member, Names::of(&[name]), site.now);
            }
        }
    }

    /// Removes one entry of this partition, and before that what depends on it.
    fn remove(&mut self, key: Name, site: &Site<'_>, visit: &mut Visit, is_fencing: bool) {
        self.drain(key, site, visit);
        if visit.is_cut_short {
            return;
        }
        if is_fencing && site.rules.keep(Rule::RemovedNamesAreFenced) {
            self.fences[key.at()] = self.seq;
        }
        let Some(entry) = self.entries[key.at()].take() else { return };
        visit.budget = visit.budget.saturating_sub(1);
        if self.is_kept(key, site) {
            self.bury(key, entry.names, site.now);
        } else {
            self.leave(key, entry.names);
        }
    }

    fn is_kept(&self, key: Name, site: &Site<'_>) -> bool {
        site.rules.keep(Rule::MembershipsOutliveTheirWork) && self.is_depended_on(key, true)
    }

    /// Takes marks away that nothing hangs on any more: the name, the partition, the stamp that was
    /// met, and the number with which the name was fenced when it was met. Whoever fenced a name
    /// last takes its marks away, and nobody else: so a stamp that a mark has had before, and that
    /// one made anew has by chance, is not taken for the one that was met.
    pub(super) fn settle(&mut self, done: &[(Name, usize, u8, Reading)], rules: Rules) {
        for (name, of, stamp, visited) in done {
            let is_changed = self.marks[name.at()][*of] != Some(*stamp) && rules.keep(Rule::SettlingComparesStamps);
            let is_fenced = self.fences[name.at()] != visited.seq && rules.keep(Rule::SettlingComparesFences);
            if visited.incarnation == self.incarnation && !is_changed && !is_fenced {
                self.marks[name.at()][*of] = None;
            }
        }
    }

    /// Whether a membership may be reaped: its entry is gone, or has the name no more.
    pub(super) fn is_reapable(&self, index: Name, member: Name, now: u8, rules: Rules) -> bool {
        let is_member = self.members[index.at()].contains(member);
        let is_alive = self.entries[member.at()].is_some_and(|entry| entry.names.contains(index));
        let is_fresh = self.died[index.at()][member.at()] >= now && rules.keep(Rule::DeadMembersStayAWhile);
        let leads_on = self.is_depended_on(member, rules.keep(Rule::MarksKeepMembers));
        let leads_on = leads_on && rules.keep(Rule::DependedOnMembersStay);
        is_member && !(is_alive || is_fresh || leads_on)
    }

    pub(super) fn reap(&mut self, index: Name, member: Name) {
        self.leave(member, Names::of(&[index]));
    }

    /// Fences a name of which a mark is to be reaped.
    pub(super) fn look_at(&mut self, name: Name, rules: Rules) -> Reading {
        if rules.keep(Rule::ReapingFences) {
            self.seq += 1;
            self.fences[name.at()] = self.seq;
        }
        Reading { incarnation: self.incarnation, seq: self.fences[name.at()] }
    }

    /// Whether this partition holds members of a foreign name. From here on no load that began
    /// before may add one.
    pub(super) fn is_asked_for(&mut self, name: Name, rules: Rules) -> bool {
        if rules.keep(Rule::QuestionsFence) {
            self.seq += 1;
            self.fences[name.at()] = self.seq;
        }
        !self.members[name.at()].is_empty()
    }

    /// From here on this partition's fills may rest on what `home` lists in that incarnation.
    pub(super) fn adopt(&mut self, home: usize, incarnation: u8) {
        self.known[home] = incarnation;
    }

    /// The names at home in `home` of which this partition holds members, dead or alive.
    pub(super) fn list(&self, home: usize, layout: &Layout) -> Names {
        let held = NAMES.into_iter().filter(|name| !self.members[name.at()].is_empty());
        let held: Names = held.collect();
        layout.at_home(held.without(layout.at_home(held, self.number)), home)
    }

    pub(super) fn note_listed(&mut self, names: Names, of: usize, incarnation: u8, rules: Rules) -> bool {
        let is_same = self.incarnation == incarnation;
        if is_same {
            self.mark(names, of, rules);
        }
        is_same
    }

    /// The clock was written by another server: a failover, a move, a restart. What is stored may
    /// all be there.
    pub(super) fn renew(&mut self, incarnation: u8) {
        self.incarnation = incarnation;
        self.seq += 1;
        self.floor = self.seq;
        (self.known, self.is_complete) = (Default::default(), false);
    }

    /// Fences may go if the floor is raised to them.
    pub(super) fn drop_fences(&mut self) {
        self.floor = self.fences.into_iter().fold(self.floor, u8::max);
        self.fences = Default::default();
    }

    pub(super) fn close(&mut self, name: Name, by: usize) {
        self.closings[name.at()] |= 1 << by;
    }

    pub(super) fn open(&mut self, name: Name, by: usize, rules: Rules) {
        let opened = if rules.keep(Rule::ClosersOpenTheirOwn) { 1 << by } else { u8::MAX };
        self.closings[name.at()] &= !opened;
    }

    /// Nobody has renewed what is closed here.
    pub(super) fn end_closings(&mut self, rules: Rules) {
        self.seq += 1;
        for name in NAMES {
            if self.closings[name.at()] != 0 && rules.keep(Rule::EndedClosingsFence) {
                self.fences[name.at()] = self.seq;
            }
        }
        self.closings = Default::default();
    }
}

/// What a script has to know that it is not given by its partition.
pub(super) struct Site<'a> {
    pub(super) layout: &'a Layout,
    pub(super) now: u8,
    pub(super) rules: Rules,
    pub(super) removed_per_script: usize,
}

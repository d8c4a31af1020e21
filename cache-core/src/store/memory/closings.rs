//! The names that operations have closed: until it opens them, nothing that has one is stored.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::moment::Settings;
use super::size::{ordered, text};
use crate::config::MEMORY_CLOSINGS_SHARE;
use crate::name::Name;
use crate::store::ClosingId;
use crate::store::rules::{Rule, Rules};

/// Accounted for one mark beside its text: places in two tables.
const MARK_BYTES: usize = ordered::<((Name, ClosingId), Mark)>() + ordered::<(Instant, ClosingId, Name)>();

/// A mark is one name of one operation. A name is closed while it has any mark.
///
/// What a closed name leads to is closed as well, for as long: what a cascade removes is not there
/// to lead on to what is stored meanwhile. If there is no room for that, everything that depends on
/// a key is closed: the mark is of [`Name::any_key`].
#[derive(Clone, Default)]
pub(super) struct Closings {
    marks: BTreeMap<(Name, ClosingId), Mark>,
    by_end: BTreeSet<(Instant, ClosingId, Name)>,
    bytes: usize,
    rules: Rules,
}

#[derive(Clone, Copy)]
struct Mark {
    /// Unless it is renewed.
    ends: Instant,
    /// The operation was not given the name.
    is_reached: bool,
}

impl Closings {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether any name is closed by another operation than `but`.
    pub(super) fn close_any<'a>(&self, mut names: impl Iterator<Item = &'a Name>, but: Option<ClosingId>) -> bool {
        !self.marks.is_empty()
            && self.rules.keep(Rule::ClosedNamesRefuseFills)
            && names.any(|name| self.marks_of(name).any(|(by, _)| Some(by) != but))
    }

    /// Whether everything is closed that depends on a key, and one of these names is a key.
    pub(super) fn close_dependents(&self, names: &[Name], but: Option<ClosingId>) -> bool {
        !self.marks.is_empty()
            && names.iter().any(|name| name.as_key().is_some())
            && self.close_any(std::iter::once(&Name::any_key()), but)
    }

    pub(super) fn is_closed(&self, name: &Name) -> bool {
        self.marks_of(name).next().is_some()
    }

    fn marks_of(&self, name: &Name) -> impl Iterator<Item = (ClosingId, Mark)> {
        let marks = (name.clone(), ClosingId::MIN)..=(name.clone(), ClosingId::MAX);
        self.marks.range(marks).map(|((_, by), mark)| (*by, *mark))
    }

    /// How many operations have closed a name, and have still to open it.
    pub(super) fn marks(&self, name: &Name, now: Instant) -> usize {
        self.marks_of(name).filter(|(_, mark)| mark.ends > now).count()
    }

    /// Whether an operation may have all these names closed.
    pub(super) fn has_room_for(&self, names: &[Name], by: ClosingId, settings: &Settings) -> bool {
        let new = names.iter().filter(|name| !self.marks.contains_key(&((*name).clone(), by)));
        let (count, bytes) = new.fold((0, 0), |(count, bytes), name| (count + 1, bytes + MARK_BYTES + text(name)));
        self.marks.len() + count <= settings.marks_max
            && self.bytes + bytes <= settings.bytes_max / MEMORY_CLOSINGS_SHARE
    }

    /// What the operation has reached through these names stays closed for as long. So does what
    /// others that have closed them have reached: these names do not lead there any more.
    pub(super) fn close(&mut self, names: &[Name], by: ClosingId, ends: Instant, settings: &Settings) {
        for name in self.reached(names, by) {
            self.mark(&name, by, Mark { ends, is_reached: true });
        }
        names.iter().for_each(|name| self.mark(name, by, Mark { ends, is_reached: false }));
        if self.rules.keep(Rule::ClosingsShareWhatTheyReach) {
            for name in self.reached_by_others(names, by) {
                self.mark_reached(&name, by, ends, settings);
            }
        }
    }

    /// Takes the operation's own marks of these names away, and no other's. Returns what it has
    /// reached through them, which is open as well.
    pub(super) fn open(&mut self, names: &[Name], by: ClosingId) -> Vec<Name> {
        let reached = self.reached(names, by);
        for name in names.iter().chain(&reached) {
            if self.rules.keep(Rule::MarksHaveAnOwner) {
                self.take(name, by);
            } else {
                self.marks_of(name).collect::<Vec<_>>().into_iter().for_each(|(by, _)| self.take(name, by));
            }
        }
        reached
    }

    /// An invalidation, by anyone, has met `member` in the index of `name`.
    pub(super) fn reach(&mut self, name: &Name, member: &Name, settings: &Settings) {
        if self.marks.is_empty() || !self.rules.keep(Rule::ReachedNamesAreClosed) {
            return;
        }
        for (by, mark) in self.marks_of(name).collect::<Vec<_>>() {
            self.mark_reached(member, by, mark.ends, settings);
        }
    }

    fn mark_reached(&mut self, name: &Name, by: ClosingId, ends: Instant, settings: &Settings) {
        let had = self.marks.get(&(name.clone(), by));
        let has_room = self.marks.len() < settings.reached_max
            && self.bytes + MARK_BYTES + text(name) <= settings.bytes_max / MEMORY_CLOSINGS_SHARE / 2;
        let mark = Mark { ends, is_reached: true };
        if had.is_some_and(|had| !had.is_reached || had.ends >= ends) {
            // It is closed for as long.
        } else if had.is_some() || has_room {
            self.mark(name, by, mark);
        } else if self.rules.keep(Rule::ReachBeyondTheLimitClosesDependents) {
            self.mark(&Name::any_key(), by, mark);
        }
    }

    /// All that other operations have reached that have closed any of these names, for it is not
    /// known through which.
    fn reached_by_others(&self, names: &[Name], by: ClosingId) -> Vec<Name> {
        let closers = names.iter().flat_map(|name| self.marks_of(name)).map(|(closer, _)| closer);
        let others: BTreeSet<ClosingId> = closers.filter(|closer| *closer != by).collect();
        if others.is_empty() {
            return Vec::new();
        }
        let marks = self.marks.iter().filter(|((_, of), mark)| mark.is_reached && others.contains(of));
        marks.map(|((name, _), _)| name.clone()).collect()
    }

    /// What an operation has reached through names that it has closed: these marks end with theirs.
    /// The names need not have been closed at once.
    fn reached(&self, names: &[Name], by: ClosingId) -> Vec<Name> {
        let marks = names.iter().filter_map(|name| self.marks.get(&(name.clone(), by)));
        let ends: BTreeSet<Instant> = marks.map(|mark| mark.ends).collect();
        let marks = ends.into_iter().flat_map(|ends| {
            let marks = self.by_end.range((ends, by, Name::any_key())..);
            marks.take_while(move |mark| (mark.0, mark.1) == (ends, by)).map(|(_, _, name)| name)
        });
        marks.filter(|name| self.marks[&((*name).clone(), by)].is_reached).cloned().collect()
    }

    /// Takes the marks away that have ended without their operation.
    pub(super) fn take_ended(&mut self, now: Instant) -> Vec<Name> {
        let mut ended = Vec::new();
        while let Some((_, by, name)) = self.by_end.first().filter(|(ends, ..)| *ends <= now).cloned() {
            self.take(&name, by);
            ended.push(name);
        }
        ended
    }

    fn mark(&mut self, name: &Name, by: ClosingId, mark: Mark) {
        self.take(name, by);
        self.bytes += MARK_BYTES + text(name);
        self.marks.insert((name.clone(), by), mark);
        self.by_end.insert((mark.ends, by, name.clone()));
    }

    fn take(&mut self, name: &Name, by: ClosingId) {
        if let Some(mark) = self.marks.remove(&(name.clone(), by)) {
            self.by_end.remove(&(mark.ends, by, name.clone()));
            self.bytes -= MARK_BYTES + text(name);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
impl Closings {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Each operation may have one mark more, of [`Name::any_key`].
    pub(super) fn check(&self, settings: &Settings) {
        assert_eq!(self.marks.len(), self.by_end.len());
        let named = self.marks.keys().filter(|(name, _)| *name != Name::any_key()).count();
        assert!(named <= settings.marks_max);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Instant, &Name, ClosingId, bool)> {
        self.marks.iter().map(|((name, by), mark)| (mark.ends, name, *by, mark.is_reached))
    }

    /// As if the lifetime of every mark ended now.
    pub(super) fn end_all(&mut self, now: Instant) {
        let last = self.by_end.last().map(|(ends, ..)| *ends);
        last.into_iter().for_each(|last| self.end_before(last, now));
    }

    /// As if it were later than `last`, and no mark that ends until then had been renewed.
    pub(super) fn end_before(&mut self, last: Instant, now: Instant) {
        for ((name, by), mark) in self.marks.clone().into_iter().filter(|(_, mark)| mark.ends <= last) {
            self.mark(&name, by, Mark { ends: now, ..mark });
        }
    }
}

//! The names that operations have closed: until it opens them, nothing that has one is stored.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::moment::Settings;
use super::rules::{Rule, Rules};
use super::size::{ordered, text};
use crate::config::MEMORY_CLOSINGS_SHARE;
use crate::name::Name;
use crate::store::ClosingId;

/// Accounted for one mark beside its text: places in two tables.
const MARK_BYTES: usize = ordered::<((Name, ClosingId), Instant)>() + ordered::<(Instant, Name, ClosingId)>();

/// A mark is one name of one operation. A name is closed while it has any mark.
#[derive(Clone, Default)]
pub(super) struct Closings {
    /// When each mark ends, unless it is renewed.
    ends: BTreeMap<(Name, ClosingId), Instant>,
    by_end: BTreeSet<(Instant, Name, ClosingId)>,
    bytes: usize,
    rules: Rules,
}

impl Closings {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether any name is closed by another operation than `but`.
    pub(super) fn close_any<'a>(&self, mut names: impl Iterator<Item = &'a Name>, but: Option<ClosingId>) -> bool {
        !self.ends.is_empty()
            && self.rules.keep(Rule::ClosedNamesRefuseFills)
            && names.any(|name| self.marks_of(name).any(|by| Some(by) != but))
    }

    fn marks_of(&self, name: &Name) -> impl Iterator<Item = ClosingId> {
        let marks = (name.clone(), ClosingId::MIN)..=(name.clone(), ClosingId::MAX);
        self.ends.range(marks).map(|((_, by), _)| *by)
    }

    /// How many operations have closed a name, and have still to open it.
    pub(super) fn marks(&self, name: &Name, now: Instant) -> usize {
        self.marks_of(name).filter(|by| self.ends.get(&(name.clone(), *by)).is_some_and(|ends| *ends > now)).count()
    }

    /// Whether an operation may have all these names closed.
    pub(super) fn has_room_for(&self, names: &[Name], by: ClosingId, settings: &Settings) -> bool {
        let new = names.iter().filter(|name| !self.ends.contains_key(&((*name).clone(), by)));
        let (count, bytes) = new.fold((0, 0), |(count, bytes), name| (count + 1, bytes + MARK_BYTES + text(name)));
        self.ends.len() + count <= settings.marks_max
            && self.bytes + bytes <= settings.bytes_max / MEMORY_CLOSINGS_SHARE
    }

    pub(super) fn close(&mut self, name: &Name, by: ClosingId, ends: Instant) {
        self.take(name, by);
        self.bytes += MARK_BYTES + text(name);
        self.ends.insert((name.clone(), by), ends);
        self.by_end.insert((ends, name.clone(), by));
    }

    /// Takes the operation's own mark away, and no other's.
    pub(super) fn open(&mut self, name: &Name, by: ClosingId) {
        if self.rules.keep(Rule::MarksHaveAnOwner) {
            self.take(name, by);
        } else {
            self.marks_of(name).collect::<Vec<_>>().into_iter().for_each(|by| self.take(name, by));
        }
    }

    /// Takes one mark away that has ended without its operation.
    pub(super) fn pop_ended(&mut self, now: Instant) -> Option<Name> {
        let (_, name, by) = self.by_end.first().filter(|(ends, ..)| *ends <= now).cloned()?;
        self.take(&name, by);
        Some(name)
    }

    fn take(&mut self, name: &Name, by: ClosingId) {
        if let Some(ends) = self.ends.remove(&(name.clone(), by)) {
            self.by_end.remove(&(ends, name.clone(), by));
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
        assert_eq!(self.ends.len(), self.by_end.len());
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Instant, Name, ClosingId)> {
        self.by_end.iter()
    }

    /// As if the lifetime of every mark ended now.
    pub(super) fn end_all(&mut self, now: Instant) {
        for (name, by) in self.ends.keys().cloned().collect::<Vec<_>>() {
            self.close(&name, by, now);
        }
    }
}

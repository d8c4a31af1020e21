//! The marks of the names that are at home here: which other partitions may have members of them.

use std::collections::{BTreeMap, BTreeSet};

use super::size::{node, ordered, text};
use crate::name::Name;
use crate::store::MetMark;

/// Accounted for one mark beside the text of its name: places in two tables, and a node of its own.
const FOREIGN_MARK_BYTES: usize =
    ordered::<(Name, BTreeMap<u16, u64>)>() + node::<(u16, u64)>() + ordered::<(u64, Name, u16)>();

/// With one partition there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// The stamp of each: when the last member that was registered ends, in ms of wall time.
    by_name: BTreeMap<Name, BTreeMap<u16, u64>>,
    by_end: BTreeSet<(u64, Name, u16)>,
    bytes: usize,
}

impl Marks {
    /// Notes that a partition may have members of a name. If `changes`, the stamp is a new one.
    pub(super) fn set(&mut self, name: &Name, of: u16, ends_ms: u64, changes: bool) {
        let marks = self.by_name.entry(name.clone()).or_default();
        let stamp = marks.get(&of).copied();
        if stamp.is_none() {
            self.bytes += FOREIGN_MARK_BYTES + text(name);
        }
        let new = stamp.map_or(ends_ms, |stamp| if changes { ends_ms.max(stamp + 1) } else { stamp });
        marks.insert(of, new);
        if let Some(stamp) = stamp {
            self.by_end.remove(&(stamp, name.clone(), of));
        }
        self.by_end.insert((new, name.clone(), of));
    }

    /// A mark whose last member should have ended by then.
    pub(super) fn first_dead(&self, now_ms: u64) -> Option<MetMark> {
        let (stamp, name, of) = self.by_end.first().filter(|(stamp, ..)| *stamp <= now_ms)?;
        Some(MetMark { name: name.clone(), of: *of, stamp: *stamp })
    }

    pub(super) fn any(&self, name: &Name) -> bool {
        !self.by_name.is_empty() && self.by_name.contains_key(name)
    }

    pub(super) fn of(&self, name: &Name) -> impl Iterator<Item = MetMark> {
        let marks = self.by_name.get(name).into_iter().flatten();
        marks.map(|(of, stamp)| MetMark { name: name.clone(), of: *of, stamp: *stamp })
    }

    pub(super) fn stamp(&self, name: &Name, of: u16) -> Option<u64> {
        self.by_name.get(name)?.get(&of).copied()
    }

    pub(super) fn remove(&mut self, name: &Name, of: u16) {
        let Some(marks) = self.by_name.get_mut(name) else { return };
        if let Some(stamp) = marks.remove(&of) {
            self.by_end.remove(&(stamp, name.clone(), of));
            self.bytes -= FOREIGN_MARK_BYTES + text(name);
        }
        if marks.is_empty() {
            self.by_name.remove(name);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
impl Marks {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, u16, u64)> {
        self.by_name.iter().flat_map(|(name, marks)| marks.iter().map(move |(of, stamp)| (name, *of, *stamp)))
    }
}

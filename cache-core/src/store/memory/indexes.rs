//! The indexes: for every tag and every key, the keys of the entries that depend on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use tokio::time::Instant;

use super::entries::page;
use super::size::{node, ordered, slot, text};
use crate::name::Name;

/// Accounted for one index beside its text and its members: places in two tables.
const INDEX_BYTES: usize = slot::<(Name, Index)>() + ordered::<(u64, Name)>();
/// Accounted for one membership beside its place among the members of the index.
const MEMBERSHIP_BYTES: usize = ordered::<(Instant, Name, Name)>();
/// Members that a node of an index has room for on average, from the second node on.
const MEMBERS_PER_NODE: usize = 6;

/// # Invariant
/// A live entry is a member of the index of every name it depends on. The reverse does not hold: a
/// membership outlives its entry, see `tidy`. An index without members does not exist.
#[derive(Clone, Default)]
pub(super) struct Indexes {
    by_name: HashMap<Name, Index>,
    /// Positions in order of creation; pattern walks follow them.
    by_position: BTreeMap<u64, Name>,
    /// Memberships by when to look at them: the time, the index, the member. Each membership is in
    /// it once.
    due: BTreeSet<(Instant, Name, Name)>,
    last_position: u64,
    memberships: usize,
    /// Of the names of the indexes.
    text_bytes: usize,
    /// Of the nodes that hold members.
    nodes: usize,
}

#[derive(Clone)]
struct Index {
    position: u64,
    /// Ordered, so that who empties it goes on where the last script ended.
    members: BTreeMap<Name, Membership>,
}

/// Nodes that so many members of one index need: a single member has a whole node to itself.
fn nodes_of(members: usize) -> usize {
    members.div_ceil(MEMBERS_PER_NODE)
}

#[derive(Clone, Copy)]
struct Membership {
    /// When its entry has expired; the `score` of the Redis store.
    dead_at: Instant,
    /// When to see whether it can go.
    due: Instant,
}

impl Indexes {
    /// Makes `member` depend on `index`, at least until `dead_at`. An existing time is only raised,
    /// because other entries may have been made from an earlier value that lived longer. Returns
    /// the name as the index spells it, to be shared.
    pub(super) fn join(&mut self, index: &Name, member: &Name, dead_at: Instant, due: Instant) -> Name {
        if !self.by_name.contains_key(index) {
            self.last_position += 1;
            self.by_position.insert(self.last_position, index.clone());
            self.text_bytes += text(index);
            let position = self.last_position;
            self.by_name.insert(index.clone(), Index { position, members: BTreeMap::new() });
        }
        let (index, found) = self.by_name.get_key_value(index).expect("made above");
        let (index, before) = (index.clone(), found.members.get(member).copied());
        let dead_at = before.map_or(dead_at, |before| before.dead_at.max(dead_at));
        let due = before.map_or(due, |before| before.due.max(due));
        self.set(&index, member, Membership { dead_at, due });
        index
    }

    /// Sets the time at which a membership is looked at again.
    pub(super) fn postpone(&mut self, index: &Name, member: &Name, due: Instant) {
        if let Some(membership) = self.membership(index, member) {
            self.set(index, member, Membership { due, ..membership });
        }
    }

    /// Sets the times of a membership whose entry is gone before its time.
    pub(super) fn bury(&mut self, index: &Name, member: &Name, dead_at: Instant, due: Instant) {
        if self.membership(index, member).is_some() {
            self.set(index, member, Membership { dead_at, due });
        }
    }

    pub(super) fn leave(&mut self, index: &Name, member: &Name) {
        let Some(found) = self.by_name.get_mut(index) else { return };
        let Some(membership) = found.members.remove(member) else { return };
        self.memberships -= 1;
        self.nodes -= nodes_of(found.members.len() + 1) - nodes_of(found.members.len());
        self.due.remove(&(membership.due, index.clone(), member.clone()));
        if found.members.is_empty() {
            self.by_position.remove(&found.position);
            self.by_name.remove(index);
            self.text_bytes -= text(index);
        }
    }

    pub(super) fn has_members(&self, index: &Name) -> bool {
        self.by_name.contains_key(index)
    }

    pub(super) fn has_member(&self, index: &Name, member: &Name) -> bool {
        self.membership(index, member).is_some()
    }

    /// The first member of an index after another one.
    pub(super) fn next_member(&self, index: &Name, after: Option<&Name>) -> Option<Name> {
        let members = &self.by_name.get(index)?.members;
        match after {
            None => members.first_key_value().map(|(member, _)| member.clone()),
            Some(after) => {
                let mut later = members.range::<Name, _>((Bound::Excluded(after), Bound::Unbounded));
                later.next().map(|(member, _)| member.clone())
            }
        }
    }

    /// When the last member of an index ends.
    pub(super) fn last_end(&self, index: &Name) -> Option<Instant> {
        self.by_name.get(index)?.members.values().map(|membership| membership.dead_at).max()
    }

    /// The names that have members.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_position.values()
    }

    /// The members of an index in order, from a place on.
    pub(super) fn members_from(&self, index: &Name, from: u64) -> impl Iterator<Item = &Name> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.by_name.get(index).into_iter().flat_map(move |index| index.members.keys().skip(from))
    }

    pub(super) fn first_due(&self, now: Instant) -> Option<(Name, Name)> {
        let (due, index, member) = self.due.first()?;
        (*due <= now).then(|| (index.clone(), member.clone()))
    }

    /// Whether anything depends on `name`, however indirectly, that has not been dead for
    /// `retention`. It is not enough to ask whether there are dependents: dead members may depend
    /// on each other in circles, which would then stay for ever. A member whose entry is there is
    /// not dead. Looks at `at_most` members and then says yes.
    pub(super) fn is_depended_on(
        &self,
        name: &Name,
        dead_since: Instant,
        is_there: impl Fn(&Name) -> bool,
        at_most: usize,
    ) -> bool {
        let mut seen = BTreeSet::from([name]);
        let mut left = vec![name];
        let mut looked_at = 0;
        while let Some(name) = left.pop() {
            for (member, membership) in self.by_name.get(name).into_iter().flat_map(|index| &index.members) {
                looked_at += 1;
                if membership.dead_at > dead_since || looked_at > at_most || is_there(member) {
                    return true;
                }
                if seen.insert(member) {
                    left.push(member);
                }
            }
        }
        false
    }

    /// As [`Entries::page`](super::entries::Entries::page).
    pub(super) fn page(&self, cursor: u64, count: usize) -> Vec<(u64, Name)> {
        page(&self.by_position, cursor, count)
    }

    pub(super) fn bytes(&self) -> usize {
        self.text_bytes
            + self.by_name.len() * INDEX_BYTES
            + self.memberships * MEMBERSHIP_BYTES
            + self.nodes * node::<(Name, Membership)>()
    }

    fn membership(&self, index: &Name, member: &Name) -> Option<Membership> {
        self.by_name.get(index)?.members.get(member).copied()
    }

    fn set(&mut self, index: &Name, member: &Name, membership: Membership) {
        let Some(found) = self.by_name.get_mut(index) else { return };
        match found.members.insert(member.clone(), membership) {
            Some(before) if before.due == membership.due => return,
            Some(before) => {
                self.due.remove(&(before.due, index.clone(), member.clone()));
            }
            None => {
                self.memberships += 1;
                self.nodes += nodes_of(found.members.len()) - nodes_of(found.members.len() - 1);
            }
        }
        self.due.insert((membership.due, index.clone(), member.clone()));
    }
}

#[cfg(test)]
impl Indexes {
    pub(super) fn is_member(&self, index: &Name, member: &Name) -> bool {
        self.membership(index, member).is_some()
    }

    pub(super) fn memberships(&self) -> impl Iterator<Item = (&Name, &Name, Instant)> {
        self.due.iter().map(|(due, index, member)| (index, member, *due))
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn check(&self) {
        assert_eq!(self.by_name.len(), self.by_position.len());
        assert_eq!(self.memberships, self.due.len());
        assert_eq!(self.memberships, self.by_name.values().map(|index| index.members.len()).sum::<usize>());
        assert_eq!(self.text_bytes, self.by_name.keys().map(text).sum::<usize>());
        assert_eq!(self.nodes, self.by_name.values().map(|index| nodes_of(index.members.len())).sum::<usize>());
        assert!(self.by_name.values().all(|index| !index.members.is_empty()));
        for (due, index, member) in &self.due {
            assert_eq!(self.membership(index, member).map(|membership| membership.due), Some(*due));
        }
    }
}

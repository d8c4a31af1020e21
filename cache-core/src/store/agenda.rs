//! What scripts have left to do in one partition.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::visit::{Chunk, Intent, UnvisitedName};
use crate::config::INVALIDATE_NAMES_PER_CHUNK;
use crate::name::Name;

/// How often the number of members that a script may visit is doubled, at most.
const EFFORT_MAX: u32 = 12;

/// What scripts have left to do in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Agenda {
    /// The last one comes first.
    left: Vec<UnvisitedName>,
    effort: u32,
    /// What scripts that come to such a name from above need to get past it.
    effort_min: u32,
    /// The names at which scripts have ended that came to them from above.
    reached: BTreeSet<Name>,
}

impl Agenda {
    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    pub(super) fn add(&mut self, name: Name) {
        self.left.push(UnvisitedName { name, after: None, spares_entry: false, is_reached: false });
    }

    /// The last names, as many as go into one script. There are some.
    pub(super) fn next_chunk<'a>(&mut self, partition: u16) -> Chunk<'a> {
        let UnvisitedName { name, after, spares_entry, .. } = self.left.pop().expect("something is left");
        let mut names = vec![name];
        while names.len() < INVALIDATE_NAMES_PER_CHUNK
            && let Some(next) = self.left.pop_if(|next| next.after.is_none() && next.spares_entry == spares_entry)
        {
            names.push(next.name);
        }
        let (names, intent, effort) = (Cow::Owned(names), Intent::Invalidate, self.effort);
        Chunk { partition, names, after, spares_entries: spares_entry, intent, effort }
    }

    /// What a script leaves is a path that ends at its last name. If that name is on the agenda
    /// already, the path is a circle longer than one script, so scripts may visit twice as many
    /// members. They may as well when a second script ends at the same name: members that are kept
    /// for other partitions use up what one may visit before it gets further.
    pub(super) fn take_in(&mut self, mut left: Vec<UnvisitedName>) {
        if let Some((last, before)) = left.split_last() {
            if before.iter().chain(&self.left).any(|before| before.name == last.name) {
                self.effort = (self.effort + 1).min(EFFORT_MAX);
                left.pop();
            } else if last.is_reached && !self.reached.insert(last.name.clone()) {
                self.effort_min = (self.effort_min + 1).min(EFFORT_MAX);
                self.effort = self.effort.max(self.effort_min);
            }
        } else {
            self.effort = self.effort_min;
        }
        self.left.extend(left);
    }
}

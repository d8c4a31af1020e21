//! An invalidation on its way: what is left of it to be sent.

use std::time::Duration;

use super::closing::ClosingId;
use super::removal::Removal;
use crate::config::INVALIDATE_NAMES_PER_CHUNK;
use crate::name::Name;

/// What becomes of the names of an operation beside their invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intent {
    /// Nothing.
    Invalidate,
    /// They are closed: until the operation opens them, or for `lasts`, nothing that belongs to one
    /// of them is stored. By the same operation again: they stay closed for `lasts` from now on. A
    /// mark that ends without its operation fences its name.
    Close { by: ClosingId, lasts: Duration },
    /// The operation's own marks are taken away. Others may keep a name closed.
    Open { by: ClosingId },
}

/// An invalidation, from its beginning until nothing is left to do. It is the client's part, and
/// knows what is still to be sent; a store takes the [steps](super::Store::step).
///
/// Nobody goes on with one that is dropped. What it has left is met by the next one of its names.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    intent: Intent,
    /// Not sent yet.
    given: &'a [Name],
    /// The store has work of this operation on record.
    is_pending: bool,
}

impl<'a> Operation<'a> {
    /// Sends nothing.
    pub(crate) fn new(names: &'a [Name], intent: Intent) -> Self {
        Self { intent, given: names, is_pending: false }
    }

    /// What a write or a page of a walk has left to do.
    pub(crate) fn rest_of(removal: &Removal) -> Self {
        Self { intent: Intent::Invalidate, given: &[], is_pending: removal.pending > 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.given.is_empty() && !self.is_pending
    }

    /// The names that the next script is given, and what becomes of them. None: it goes on with
    /// what is on record.
    pub(crate) fn next_chunk(&mut self) -> (&'a [Name], Intent) {
        let (chunk, later) = self.given.split_at(self.given.len().min(INVALIDATE_NAMES_PER_CHUNK));
        self.given = later;
        if chunk.is_empty() { (chunk, Intent::Invalidate) } else { (chunk, self.intent) }
    }

    /// Notes the reply of a script, and completes it by what else is left to do.
    pub(crate) fn take_in(&mut self, removal: &mut Removal) {
        self.is_pending = removal.pending > 0;
        removal.pending += self.given.len() as u64;
    }
}

#[cfg(test)]
impl Operation<'_> {
    pub(crate) fn intent(&self) -> Intent {
        self.intent
    }

    /// As if a store always had work on record.
    pub(crate) fn never_ends(&mut self) {
        self.is_pending = true;
    }
}

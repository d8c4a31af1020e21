//! The end of an invalidation or a write: counted, and told to those who listen.

use std::collections::BTreeMap;

use crate::clock::{self, Instant};
use crate::config::{FEED_NAMES_MAX, REMOVED_PREFIXES_MAX};
use crate::error::Error;
use crate::invalidation::{Cause, Targets};
use crate::observe::{Event, InvalidationKind};
use crate::runtime::Runtime;
use crate::runtime::feed::InvalidationRecord;
use crate::store::Removal;

/// What an invalidation has removed so far.
#[derive(Default)]
pub(super) struct RemovalTally {
    pub(super) entries: u64,
    /// Empty while nobody listens.
    by_prefix: BTreeMap<String, u64>,
}

impl RemovalTally {
    /// Counts what one chunk removed, each entry for the prefix of its key.
    pub(super) fn count(&mut self, runtime: &Runtime, drained: &Removal) {
        let is_heard = runtime.feed.is_heard();
        let mut others = drained.removed;
        for (prefix, removed) in &drained.by_prefix {
            runtime.counted.prefix(prefix).note(Event::Removed(*removed));
            others = others.saturating_sub(*removed);
            if is_heard {
                self.tell_apart(prefix, *removed);
            }
        }
        runtime.counted.unprefixed.note(Event::Removed(others));
        self.entries += drained.removed;
    }

    fn tell_apart(&mut self, prefix: &str, removed: u64) {
        if let Some(sum) = self.by_prefix.get_mut(prefix) {
            *sum += removed;
        } else if self.by_prefix.len() < REMOVED_PREFIXES_MAX {
            self.by_prefix.insert(prefix.to_owned(), removed);
        }
    }
}

/// An invalidation that has ended.
pub(super) struct Ending<'a> {
    pub(super) kind: InvalidationKind,
    pub(super) begun: Instant,
    pub(super) targets: &'a Targets,
    pub(super) removed: RemovalTally,
    pub(super) error: Option<&'a Error>,
}

impl Ending<'_> {
    pub(super) fn note(self, runtime: &Runtime) {
        let Self { kind, begun, targets, removed, error } = self;
        let took = clock::since(begun);
        let entries = error.is_none().then_some(removed.entries);
        runtime.counted.unprefixed.note(Event::InvalidationEnded { kind, took, removed: entries });
        if !runtime.feed.is_heard() {
            return;
        }
        runtime.feed.tell(InvalidationRecord {
            at_ms: clock::wall_ms(),
            kind: kind.label(),
            named: Cause::each(targets).take(FEED_NAMES_MAX).collect(),
            named_total: targets.len() as u64,
            removed: removed.entries,
            removed_by_prefix: removed.by_prefix,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            error: error.map(Error::to_string),
        });
    }
}

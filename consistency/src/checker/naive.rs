//! The same judgement by the definition, each read against each change.

use super::COPY_LAG;
use crate::names::Reach;
use crate::record::{Change, NO_LOAD, Part, Read, Scope};

/// Whether any part of the read is older than it may be.
pub(super) fn is_stale(read: &Read, changes: &[Change], reach: &Reach) -> bool {
    read.parts.iter().any(|part| changes.iter().any(|change| misses(read, part, change, reach)))
}

fn misses(read: &Read, part: &Part, change: &Change, reach: &Reach) -> bool {
    let own = change.process == read.process;
    let lag = if read.is_copy && !own { COPY_LAG } else { 0 };
    let promised = (own || change.scope == Scope::Everybody) && change.end < read.start.saturating_sub(lag);
    if !promised || !change.names.iter().any(|name| reach.of(part.kind, part.at).contains(name)) {
        return false;
    }
    if part.loaded != NO_LOAD && part.loaded < change.since {
        return true;
    }
    let is_older = |(row, version)| part.kind.reads_row() && row == part.at && part.version < version;
    change.committed.is_some_and(is_older)
}

//! What a store tells of the names that were fenced since a look at its clocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::TRAIL_NAMES_MAX;
use crate::name::Name;

/// A look at the clock of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClockPosition {
    /// Empty: there was no clock yet.
    incarnation: Arc<str>,
    seq: u64,
}

/// A look at the clocks of all partitions. What was fenced up to it is known, by whoever took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPosition(Vec<ClockPosition>);

impl TrailPosition {
    /// Where a partition's page begins. The first look begins at the end.
    pub(super) fn seq_in(position: Option<&Self>, partition: u16) -> u64 {
        let of_partition = position.and_then(|position| position.0.get(usize::from(partition)));
        of_partition.map_or(u64::MAX, |position| position.seq)
    }
}

/// What was fenced in a partition since a look at its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPage {
    pub(super) incarnation: Arc<str>,
    pub(super) seq: u64,
    /// The floor of the clock: fences up to it may be forgotten, and what swept raised it.
    pub(super) floor: u64,
    /// The names of the fences after the position, in no order: at most `TRAIL_NAMES_MAX`.
    pub(super) names: Vec<Name>,
    /// There are more.
    pub(super) has_more: bool,
}

impl TrailPage {
    /// Whether the names are all that was invalidated since `position`.
    fn tells_all_since(&self, position: &ClockPosition) -> bool {
        self.incarnation == position.incarnation && self.floor <= position.seq && !self.has_more
    }
}

/// What was fenced since a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FenceTrail {
    /// Where the next look goes on.
    pub(crate) position: TrailPosition,
    /// At most `TRAIL_NAMES_MAX`, each once.
    pub(crate) names: BTreeSet<Name>,
    /// The names are all that was invalidated since the position.
    pub(crate) is_whole: bool,
}

impl FenceTrail {
    /// Of the pages of all partitions, in their order.
    pub(super) fn of(pages: Vec<TrailPage>, since: Option<&TrailPosition>) -> Self {
        let are_whole =
            since.is_some_and(|since| pages.iter().zip(&since.0).all(|(page, looked)| page.tells_all_since(looked)));
        let looked = |page: &TrailPage| ClockPosition { incarnation: page.incarnation.clone(), seq: page.seq };
        let position = TrailPosition(pages.iter().map(looked).collect());
        let mut names: BTreeSet<Name> = pages.into_iter().flat_map(|page| page.names).collect();
        let is_whole = are_whole && names.len() <= TRAIL_NAMES_MAX;
        while names.len() > TRAIL_NAMES_MAX {
            names.pop_last();
        }
        Self { position, names, is_whole }
    }
}

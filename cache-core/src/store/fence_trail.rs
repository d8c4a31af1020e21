//! What a store tells of the names that were fenced since a look at its clock.

use crate::name::Name;

/// A look at the clock. What was fenced up to it is known, by whoever took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPosition {
    /// Empty: there was no clock yet.
    pub(crate) incarnation: Box<str>,
    pub(crate) seq: u64,
}

/// What was fenced since a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPage {
    /// Where the next page goes on.
    pub(crate) position: TrailPosition,
    /// The floor of the clock: fences up to it may be forgotten, and what swept raised it.
    pub(crate) floor: u64,
    /// The names of the fences after the position, in no order: at most `TRAIL_NAMES_MAX`.
    pub(crate) names: Vec<Name>,
    /// There are more.
    pub(crate) has_more: bool,
}

impl TrailPage {
    /// Whether the names are all that was invalidated since `position`.
    pub(crate) fn tells_all_since(&self, position: &TrailPosition) -> bool {
        self.position.incarnation == position.incarnation && self.floor <= position.seq && !self.has_more
    }
}

//! What a store is asked to remove.

use std::time::Duration;

use crate::name::Name;

/// The part of an invalidation that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) names: Vec<Name>,
    pub(crate) patterns: Vec<String>,
    pub(crate) clear: bool,
    /// For how long the names stay closed. Of the others nothing can be closed.
    pub(crate) hold: Duration,
}

impl Targets {
    pub(crate) fn of(name: Name) -> Self {
        Self { names: vec![name], ..Self::default() }
    }

    /// Adds what another invalidation removes.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.names.extend_from_slice(&other.names);
        self.patterns.extend_from_slice(&other.patterns);
        self.clear |= other.clear;
        self.hold = self.hold.max(other.hold);
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len() + self.patterns.len() + usize::from(self.clear)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

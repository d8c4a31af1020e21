//! What a store is asked to remove.

use crate::name::{Name, prefix_of};

/// The part of an invalidation that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) names: Vec<Name>,
    pub(crate) patterns: Vec<String>,
    pub(crate) clear: bool,
}

impl Targets {
    pub(crate) fn of(name: Name) -> Self {
        Self { names: vec![name], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && !self.clear
    }

    /// The prefix that all names share. `None` if they do not share one, or if there is a tag, a
    /// pattern or a clear.
    pub(crate) fn prefix(&self) -> Option<&str> {
        let mut prefixes = self.names.iter().map(|name| name.as_key().map(prefix_of));
        let first = prefixes.next()??;
        let alone = self.patterns.is_empty() && !self.clear && prefixes.all(|prefix| prefix == Some(first));
        alone.then_some(first)
    }
}

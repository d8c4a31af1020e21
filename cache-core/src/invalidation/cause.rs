//! What leads to the removal of entries.

use std::fmt;

use serde::Serialize;

use super::Targets;
use crate::name::Name;

/// Why an entry would be removed, and what an invalidation names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// It has this logical key, or depends on the entry of this key, which may be gone itself.
    Key(String),
    /// It has this tag.
    Tag(String),
    /// Its key matches this pattern.
    Pattern(String),
    /// Everything would be removed.
    Everything,
}

impl Cause {
    pub(crate) fn of(name: &Name) -> Self {
        match name.as_key() {
            Some(key) => Self::Key(key.to_owned()),
            None => Self::Tag(name.text().to_owned()),
        }
    }

    /// The name at this place.
    pub(crate) fn at(names: &[Name], place: usize) -> Self {
        names.get(place).map_or(Self::Everything, Self::of)
    }

    /// All that these targets name.
    pub(crate) fn each(targets: &Targets) -> impl Iterator<Item = Self> {
        let everything = targets.clear.then_some(Self::Everything);
        let patterns = targets.patterns.iter().cloned().map(Self::Pattern);
        everything.into_iter().chain(targets.names.iter().map(Self::of)).chain(patterns)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {key}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Pattern(pattern) => write!(f, "pattern {pattern}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

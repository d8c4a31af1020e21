//! What a user asks to be removed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Targets;
use crate::config::{HOLD_MAX, INVALIDATION_NAMES_MAX};
use crate::error::{Error, ErrorKind};
use crate::freshness::IntoDuration;
use crate::name::{IntoKeyName, IntoTag, Name, check_name_text};

/// What is to be removed: entries by key, by tag and by pattern, each with every entry that depends
/// on it.
///
/// A `&str` is taken literally, as a key or tag. A name that can never name anything (empty, too
/// long, with control characters) does not keep the other names from being invalidated:
/// [`Cache::invalidate`](crate::Cache::invalidate) invalidates those, and then returns an error.
///
/// # Example
/// ```
/// # use cache_core::{Cache, Invalidation};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_core::Error> {
/// # let cache = Cache::in_memory();
/// let gone = Invalidation::new().key("flight:42").tag("airport:DFW").pattern("board:*");
/// cache.invalidate(gone).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is removed before it is given to `Cache::invalidate`"]
pub struct Invalidation {
    pub(super) names: BTreeSet<Name>,
    pub(super) patterns: BTreeSet<String>,
    pub(super) clear: bool,
    pub(super) hold: Duration,
    pub(super) invalid: Option<Error>,
}

impl Invalidation {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one entry, and every entry that depends on it.
    pub fn key(mut self, key: impl IntoKeyName) -> Self {
        self.add(key.into_key_name().map(|key| key.name()));
        self
    }

    /// Adds every entry with this tag, and every entry that depends on one of them.
    pub fn tag(mut self, tag: impl IntoTag) -> Self {
        self.add(tag.into_tag().map(|tag| tag.name()));
        self
    }

    /// Adds many keys.
    pub fn keys<K: IntoKeyName>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, Self::key)
    }

    /// Adds many tags.
    pub fn tags<T: IntoTag>(self, tags: impl IntoIterator<Item = T>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Adds every entry whose logical key matches a Redis glob (`*`, `?`, `[a-z]`, `\`), and every
    /// entry that depends on one of them. Text from a user must go through
    /// [`escape_glob`](crate::escape_glob) first.
    ///
    /// # Cost
    /// Two walks over all keys in the store, of any namespace, with one round trip for every 300
    /// keys: prefer a tag. The store accepts no fill that is under way meanwhile.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        match check_name_text(&pattern) {
            Ok(()) => _ = self.patterns.insert(pattern),
            Err(error) => self.invalid = Some(error),
        }
        self
    }

    /// Keeps the names closed for so long after the change: calls load, and what they load is not
    /// stored. For a database whose replicas lag: a load that reads a replica before it has caught
    /// up returns the old row, and that must not be stored. Give it what the replicas lag at most.
    ///
    /// Of two times the longer one counts, for all names. With
    /// [`Cache::close`](crate::Cache::close) the time begins when the names are opened.
    ///
    /// # Limits
    /// An hour. As many names may be closed in a namespace as for
    /// [`Cache::close`](crate::Cache::close): if there are more, all names are invalidated and not
    /// held, [`Cache::invalidate`](crate::Cache::invalidate) returns an error of kind
    /// [`Limit`](crate::ErrorKind::Limit), and it is retried in the background. A pattern cannot be
    /// held: that is an error of kind [`Config`](crate::ErrorKind::Config), and the other names are
    /// held.
    pub fn hold(mut self, time: impl IntoDuration) -> Self {
        match time.into_duration() {
            Ok(time) if time <= HOLD_MAX => self.hold = self.hold.max(time),
            Ok(_) => {
                let message = format!("names are held for {HOLD_MAX:?} at most");
                self.invalid = Some(Error::new(ErrorKind::Limit, message));
            }
            Err(error) => self.invalid = Some(error),
        }
        self
    }

    /// Adds all that another invalidation removes.
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.patterns.extend(other.patterns);
        self.clear |= other.clear;
        self.hold = self.hold.max(other.hold);
        self.invalid = self.invalid.or(other.invalid);
        self
    }

    /// Whether the invalidation names nothing.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && !self.clear && self.invalid.is_none()
    }

    pub(crate) fn everything() -> Self {
        Self { clear: true, ..Self::default() }
    }

    /// A name that could not be encoded names nothing: there is nothing to remove.
    fn add(&mut self, name: Result<Option<Name>, Error>) {
        match name {
            Ok(name) => self.names.extend(name),
            Err(error) => self.invalid = Some(error),
        }
    }

    /// What could not be sent, in a form that can be written down: more names than
    /// [`INVALIDATION_NAMES_MAX`] become everything. Nothing is held if there is a pattern, which
    /// cannot be: the whole would be refused.
    pub(crate) fn to_be_kept(targets: Targets) -> Self {
        let mut kept = Self::of(targets);
        if !kept.patterns.is_empty() {
            kept.hold = Duration::ZERO;
        }
        let is_large = kept.names.len().max(kept.patterns.len()) > INVALIDATION_NAMES_MAX;
        if kept.clear || is_large { Self::everything() } else { kept }
    }

    /// The other way round.
    pub(crate) fn of(targets: Targets) -> Self {
        let Targets { names, patterns, clear, hold } = targets;
        let (names, patterns) = (BTreeSet::from_iter(names), BTreeSet::from_iter(patterns));
        Self { names, patterns, clear, hold, invalid: None }
    }

    pub(crate) fn into_parts(self) -> (Targets, Option<Error>) {
        let invalid = self.invalid.or_else(|| {
            let any_pattern = self.clear || !self.patterns.is_empty();
            let message = "a pattern cannot be held: name keys and tags";
            (any_pattern && !self.hold.is_zero()).then(|| Error::new(ErrorKind::Config, message))
        });
        let targets = Targets {
            names: self.names.into_iter().collect(),
            patterns: self.patterns.into_iter().collect(),
            clear: self.clear,
            hold: self.hold,
        };
        (targets, invalid)
    }
}

/// What an invalidation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// Live entries removed, dependents included.
    pub entries: u64,
}

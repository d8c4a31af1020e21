//! A name by which an entry can be invalidated: its key, or a tag.

use std::fmt;
use std::sync::Arc;

use crate::config::NAME_BYTES_MAX;
use crate::error::{Error, ErrorKind};

/// A key or a tag, as fences, indexes and stored headers spell it: `k` or `t`, then the text.
///
/// The text holds no control character, so a list of names can be joined by `\n` and searched by
/// scripts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(Arc<str>);

impl Name {
    /// The name of the entry stored under a logical key.
    pub(crate) fn key(logical: &str) -> Result<Self, Error> {
        check_name_text(logical)?;
        Ok(Self::of_key(logical))
    }

    /// As [`key`](Self::key), of a text that [may name something](check_name_text).
    pub(crate) fn of_key(logical: &str) -> Self {
        Self(["k", logical].concat().into())
    }

    /// The name of a group of entries.
    pub(crate) fn tag(tag: &str) -> Result<Self, Error> {
        check_name_text(tag)?;
        Ok(Self(["t", tag].concat().into()))
    }

    /// Whether most entries have it: with several partitions it is invalidated in each of them, and
    /// nothing is noted of where its members are. The text says so itself, so no two processes can
    /// take it to be different things.
    pub(crate) fn is_spread(&self) -> bool {
        self.0.starts_with("t*")
    }

    /// Stands for every key: whatever depends on one is meant. Before all other names in order.
    pub(crate) fn any_key() -> Self {
        Self("*".into())
    }

    /// Reads back what [`as_str`](Self::as_str) wrote.
    pub(crate) fn parse(spelled: &str) -> Option<Self> {
        let text = spelled.strip_prefix(['k', 't'])?;
        check_name_text(text).ok()?;
        Some(Self(spelled.into()))
    }

    /// With its kind in front: the spelling that is stored.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its kind.
    pub(crate) fn text(&self) -> &str {
        &self.0[1..]
    }

    /// The logical key, if the name is that of a key.
    pub(crate) fn as_key(&self) -> Option<&str> {
        self.0.strip_prefix('k')
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands before the first `:` of a logical key.
pub(crate) fn prefix_of(key: &str) -> &str {
    key.split_once(':').map_or(key, |(prefix, _)| prefix)
}

/// The rules for every text that names something: not empty, at most [`NAME_BYTES_MAX`] bytes, no
/// control characters, no `~` in front (bookkeeping lives there).
pub(crate) fn check_name_text(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(ErrorKind::Config, "a key or tag must not be empty"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::Limit, format!("a key or tag is at most {NAME_BYTES_MAX} bytes long")));
    }
    if text.starts_with('~') {
        return Err(Error::new(ErrorKind::Config, "a key or tag must not start with `~`, which is reserved"));
    }
    // Most texts are printable ASCII, which is quickly seen.
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
    if !text.bytes().all(is_printable) && text.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Config, "a key or tag must not contain control characters"));
    }
    Ok(())
}

//! The names that one entry belongs to, while they are collected.

use std::collections::BTreeSet;

use super::{IntoTag, Name, Tag};

/// Tags and dependencies of one entry, each once, sorted.
///
/// One name that cannot be spelled (an argument that cannot be encoded, an empty or overlong text)
/// poisons the whole: an entry that cannot be reached through each of its names must not be
/// stored.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: BTreeSet<Name>,
    poisoned: bool,
}

impl Names {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tag, if there is one.
    pub fn tag(&mut self, tag: impl IntoTag) {
        let tag = tag.into_tag().ok();
        if tag.as_ref().is_some_and(Tag::is_absent) {
            return;
        }
        self.add(tag.and_then(|tag| tag.name()));
    }

    /// Adds several tags.
    pub fn tags(&mut self, tags: impl IntoIterator<Item = impl IntoTag>) {
        tags.into_iter().for_each(|tag| self.tag(tag));
    }

    /// Adds names that were collected elsewhere.
    pub fn extend(&mut self, other: Self) {
        self.names.extend(other.names);
        self.poisoned |= other.poisoned;
    }

    /// Makes the collection one that misses a name.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// `None`: the name cannot be spelled.
    pub(super) fn add(&mut self, name: Option<Name>) {
        self.poisoned |= name.is_none();
        self.names.extend(name);
    }

    /// Whether a name could not be spelled.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// In order, each once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> + Clone {
        self.names.iter()
    }

    /// Sorted, each once.
    pub(crate) fn into_sorted(self) -> BTreeSet<Name> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_they_are_sorted() {
        let mut names = Names::new();
        names.tags(["b", "a", "b"]);
        names.key("flight:1");
        let mut more = Names::new();
        more.tag("a");
        more.tag("c");
        names.extend(more);
        assert!(!names.is_poisoned());
        let spelled: Vec<_> = names.into_sorted().iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(spelled, ["kflight:1", "ta", "tb", "tc"]);
    }

    #[test]
    fn a_name_that_cannot_be_spelled_poisons_the_whole() {
        let unencodable = || super::super::Template::of_tag().text("x:").part(&f64::NAN);
        for poison in [
            |names: &mut Names| names.tag(""),
            |names: &mut Names| names.key("a\nb"),
            |names: &mut Names| names.tag("x".repeat(2_000)),
        ] {
            let mut names = Names::new();
            names.tag("fine");
            poison(&mut names);
            let mut outer = Names::new();
            outer.extend(names);
            assert!(outer.is_poisoned());
        }
        let mut names = Names::new();
        names.tag(unencodable().finish_tag());
        assert!(names.is_poisoned());
        let mut names = Names::new();
        names.key(unencodable().finish_key());
        assert!(names.is_poisoned());
    }
}

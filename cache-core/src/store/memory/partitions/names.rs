//! The few names that there are, and sets of them.

use std::fmt;

/// Functions that call each other: `C` → `B` → `A`. The leaves `A` and `Z` read the data and have
/// the tag `T`; `B` and `C` only pass on what they got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    A,
    B,
    C,
    Z,
    T,
}

pub(super) const NAMES: [Name; 5] = [Name::A, Name::B, Name::C, Name::Z, Name::T];

/// Something for each name.
pub(super) type ByName<T> = [T; NAMES.len()];

impl Name {
    pub(super) const fn at(self) -> usize {
        self as usize
    }

    pub(super) fn is_key(self) -> bool {
        self != Name::T
    }

    /// The function that this one calls.
    pub(super) fn calls(self) -> Option<Name> {
        match self {
            Name::B => Some(Name::A),
            Name::C => Some(Name::B),
            _ => None,
        }
    }

    pub(super) fn tags(self) -> Names {
        if matches!(self, Name::A | Name::Z) { Names::of(&[Name::T]) } else { Names::default() }
    }
}

/// A set of names.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Names(u8);

impl Names {
    pub(super) const fn of(names: &[Name]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= 1 << names[at].at();
            at += 1;
        }
        Self(set)
    }

    pub(super) fn contains(self, name: Name) -> bool {
        self.0 & (1 << name.at()) != 0
    }

    pub(super) fn insert(&mut self, name: Name) {
        self.0 |= 1 << name.at();
    }

    pub(super) fn remove(&mut self, name: Name) {
        self.0 &= !(1 << name.at());
    }

    pub(super) fn with(self, other: Names) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Names) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Name> {
        NAMES.into_iter().filter(move |name| self.contains(*name))
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

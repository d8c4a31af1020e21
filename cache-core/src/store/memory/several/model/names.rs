//! The few names that there are, sets of them, and how a scenario spells them.

use std::fmt;

use crate::name;
use crate::store::Partitions;

/// Functions that call each other: `C` → `B` → `A`, and `D` → `A`. The leaves `A` and `Z` read the
/// data and have the tag `T`; `B`, `C` and `D` only pass on what they got. `E` reads the data too,
/// and declares that it depends on `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    A,
    B,
    C,
    D,
    E,
    Z,
    T,
}

pub(super) const NAMES: [Name; 7] = [Name::A, Name::B, Name::C, Name::D, Name::E, Name::Z, Name::T];

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
            Name::B | Name::D => Some(Name::A),
            Name::C => Some(Name::B),
            _ => None,
        }
    }

    /// What it depends on, beside what it calls.
    pub(super) fn declares(self) -> Names {
        match self {
            Name::A | Name::Z => Names::of(&[Name::T]),
            Name::E => Names::of(&[Name::A]),
            _ => Names::default(),
        }
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

/// Where names are at home. A key is stored at its home. A spread tag is at home everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) partitions: u16,
    /// Of a spread tag: one of its homes.
    pub(super) homes: ByName<u16>,
    pub(super) spread: Names,
}

/// The names as the store knows them: each is spelled so that it is at home where the layout says.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    pub(super) partitions: Partitions,
    names: ByName<name::Name>,
}

impl Spelling {
    pub(super) fn new(layout: &Layout) -> Self {
        let partitions = Partitions::new(layout.partitions);
        let names = NAMES.map(|name| {
            let spread = if !name.is_key() && layout.spread.contains(name) { "*" } else { "" };
            let texts = (0..).map(|number| format!("{spread}{name:?}{number}"));
            let at_home = |text: &String| partitions.home_of_key(text) == layout.homes[name.at()];
            let text = texts.into_iter().find(at_home).expect("some text is at home there");
            if name.is_key() { name::Name::key(&text) } else { name::Name::tag(&text) }.expect("a good name")
        });
        Self { partitions, names }
    }

    pub(super) fn name(&self, name: Name) -> &name::Name {
        &self.names[name.at()]
    }

    /// In the order in which a fill has them.
    pub(super) fn all(&self, names: Names) -> Vec<name::Name> {
        let mut names: Vec<_> = names.iter().map(|name| self.name(name).clone()).collect();
        names.sort();
        names
    }

    pub(super) fn home(&self, name: Name) -> u16 {
        self.partitions.home(self.name(name))
    }

    pub(super) fn at_home(&self, names: Names, partition: u16) -> Names {
        names.iter().filter(|name| self.partitions.is_home(self.name(*name), partition)).collect()
    }

    pub(super) fn set(&self, names: &[name::Name]) -> Names {
        NAMES.into_iter().filter(|name| names.contains(self.name(*name))).collect()
    }
}

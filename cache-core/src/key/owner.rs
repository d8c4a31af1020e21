//! Whose entries they are: the function in the source that a key was made for.

use std::any::TypeId;
use std::fmt;
use std::sync::OnceLock;

use crate::entry::Fingerprint;
use crate::observe::CountersMemo;

/// A cached function in the source, as the function itself says it, and as its companion does.
pub struct CachedFunction {
    /// Path and place in the source, by which the two are known to be one: not by where they stand
    /// in memory. All instantiations of a generic function have one place. A function of the same
    /// name in another crate, or in another version of the crate, has another one.
    pub(crate) name: &'static str,
    /// How its keys are made after the prefix. Keys of different shapes are no clash: functions may
    /// share a prefix so that one pattern finds the entries of all.
    pub(crate) shape: &'static str,
    pub(crate) loads: Loads,
    /// The first holding that was found to be its own. Few functions have a second one, and calls
    /// that find theirs here look no further.
    pub(crate) first: OnceLock<Holding>,
    pub(crate) counters: CountersMemo,
}

/// How many values one call of a function loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loads {
    One,
    /// With `each`: its entries are those of a function of one.
    Many,
}

/// Entries of one prefix and one shape of keys that a function can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The cache that they are in.
    pub(crate) owners: u64,
    /// What they hold.
    pub(crate) fingerprint: Fingerprint,
    /// The type that tells the keys of a method apart from those of other types.
    pub(crate) this: Option<TypeId>,
}

impl CachedFunction {
    /// A function of one key.
    pub const fn of_one(name: &'static str, shape: &'static str) -> Self {
        Self::new(name, shape, Loads::One)
    }

    /// A function of many keys.
    pub const fn of_many(name: &'static str, shape: &'static str) -> Self {
        Self::new(name, shape, Loads::Many)
    }

    const fn new(name: &'static str, shape: &'static str, loads: Loads) -> Self {
        Self { name, shape, loads, first: OnceLock::new(), counters: CountersMemo::new() }
    }

    /// The function, of a type whose name is in the key if it is given here.
    pub const fn of(&'static self, this: Option<TypeId>) -> Owner {
        Owner { function: self, this }
    }
}

impl fmt::Debug for CachedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Whose an entry is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub(crate) function: &'static CachedFunction,
    pub(crate) this: Option<TypeId>,
}

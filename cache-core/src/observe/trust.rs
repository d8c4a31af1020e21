//! Chooses the values that are tried before they are stored: whether their bytes decode to the same
//! value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::{TRIED_FIRST, TRIED_ONE_IN};

/// How far each type of one prefix is trusted to come back from its stored bytes unchanged. A
/// program has few such types.
#[derive(Default)]
pub(crate) struct Trust(Mutex<HashMap<TypeId, Record>>);

/// The trials of one type so far.
enum Record {
    /// So many values were tried, and all came back unchanged.
    Tried(u32),
    /// A value did not come back unchanged.
    Suspect,
}

impl Trust {
    /// Whether the next value of `T` is to be tried: one of the first values, one chosen by chance,
    /// or any value of a type that has failed.
    pub(crate) fn tries<T>(&self) -> bool {
        match self.lock().entry(typeid::of::<T>()).or_insert(Record::Tried(0)) {
            Record::Suspect => true,
            Record::Tried(tried) if *tried < TRIED_FIRST => {
                *tried += 1;
                true
            }
            // By chance and not by count: values that are loaded in a fixed order would always be
            // tried at the same places.
            Record::Tried(_) => fastrand::u32(..TRIED_ONE_IN) == 0,
        }
    }

    /// Notes that a value of `T` did not come back unchanged: from now on each value of `T` is
    /// tried.
    pub(crate) fn suspect<T>(&self) {
        self.lock().insert(typeid::of::<T>(), Record::Suspect);
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

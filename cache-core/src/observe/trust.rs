//! Which values are tried before they are stored: whether their bytes bring them back.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::{TRIED_FIRST, TRIED_ONE_IN};

/// How far the types of one prefix are trusted to come back from what is
/// stored of them. A program has few.
#[derive(Default)]
pub(crate) struct Trust(Mutex<HashMap<TypeId, Record>>);

/// What is known of one type.
enum Record {
    /// So many values were tried, and all came back.
    Tried(u32),
    /// One did not.
    Suspect,
}

impl Trust {
    /// Whether the next value of `T` is to be tried: one of the first, one by chance, or
    /// any of a type that has failed.
    pub(crate) fn tries<T>(&self) -> bool {
        match self.lock().entry(typeid::of::<T>()).or_insert(Record::Tried(0)) {
            Record::Suspect => true,
            Record::Tried(tried) if *tried < TRIED_FIRST => {
                *tried += 1;
                true
            }
            // By chance and not by count: what is loaded in a fixed order
            // would be tried at the same places.
            Record::Tried(_) => fastrand::u32(..TRIED_ONE_IN) == 0,
        }
    }

    /// A value of `T` did not come back: from now on each is tried.
    pub(crate) fn suspect<T>(&self) {
        self.lock().insert(typeid::of::<T>(), Record::Suspect);
    }

    // A panic while the lock is held leaves the map whole: every change to it is one operation.
    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

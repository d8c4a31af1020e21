//! The walk along declared dependencies: from a key to the keys that its entry depends on, and on
//! from those.
//!
//! The companion that makes a key also makes the keys in its `depends_on`, through their
//! companions. So functions that depend on themselves, or on each other, would call companions
//! without end.

use std::cell::RefCell;
use std::collections::HashSet;

use super::KeyText;
use crate::config::{DEPENDENCIES_DEPTH_MAX, DEPENDENCIES_MAX};
use crate::name::Names;

#[derive(Default)]
struct Trail {
    /// The keys that were met since the walk began.
    met: HashSet<Box<str>>,
    /// What the steps inside of the outermost one have found.
    found: Names,
    depth: usize,
}

thread_local! {
    static TRAIL: RefCell<Trail> = RefCell::default();
}

/// One companion that is collecting what its key's entry depends on.
///
/// The outermost one gets everything. The keys that are made inside of it know none of their names:
/// those would be handed on from step to step.
#[must_use]
pub struct WalkStep {
    goes_on: bool,
}

impl WalkStep {
    /// Goes to `key`. If the walk has become too long, the outermost key misses a name: an entry
    /// that cannot be reached through all that it depends on must not be stored.
    pub fn to(key: &KeyText) -> Self {
        TRAIL.with_borrow_mut(|trail| {
            trail.depth += 1;
            let is_too_long = trail.depth > DEPENDENCIES_DEPTH_MAX || trail.met.len() >= DEPENDENCIES_MAX;
            if is_too_long {
                trail.found.poison();
            }
            Self { goes_on: !is_too_long && trail.met.insert(key.so_far().into()) }
        })
    }

    /// Whether the walk goes on from this key, which it then meets for the first time.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Takes what this step has found, and returns what its key is to know.
    pub fn end(self, names: Names) -> Names {
        TRAIL.with_borrow_mut(|trail| {
            trail.found.extend(names);
            if trail.depth == 1 { std::mem::take(&mut trail.found) } else { Names::new() }
        })
    }
}

impl Drop for WalkStep {
    fn drop(&mut self) {
        TRAIL.with_borrow_mut(|trail| {
            trail.depth -= 1;
            if trail.depth == 0 {
                *trail = Trail::default();
            }
        });
    }
}

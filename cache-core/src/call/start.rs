//! How a call begins: which cache it uses, and whether it has anything to do with that cache.

use std::sync::Arc;

use super::call::{Call, Load, takes_refresh};
use super::coding::Coding;
use crate::key::{CachedFunction, Key, Policy};
use crate::paths::load::uncached::{Absence, UncachedLoad};
use crate::runtime::Runtime;

/// How a call goes on once its cache is known. Nothing was spelled or allocated for it yet.
pub enum Start<T> {
    /// The cache is disabled, or its store would refuse the call at once: the body runs as it would
    /// without the attribute.
    Load(Load<T>),
    /// The value may be stored.
    Look(Home),
}

/// The cache that a call uses.
pub struct Home(Arc<Runtime>);

impl<T> Start<T> {
    /// A call of `function`, whose entries have this prefix.
    pub(crate) fn of(
        runtime: &Arc<Runtime>,
        function: &'static CachedFunction,
        prefix: &str,
        coding: Coding<T>,
    ) -> Self {
        let Some(absence) = Absence::before_the_key(runtime) else { return Self::Look(Home(runtime.clone())) };
        // It loads anyway; and a call of another cache inside the body is not to.
        takes_refresh();
        let counters = function.counters.of(&runtime.counted, prefix);
        Self::Load(Load::uncached(UncachedLoad::new(counters, absence), coding))
    }
}

impl Home {
    /// The call, for the entry of `key`.
    pub fn call<T>(self, key: Key<T>, policy: Policy, coding: Coding<T>) -> Call<T> {
        Call::of(self.0, key, policy, coding)
    }
}

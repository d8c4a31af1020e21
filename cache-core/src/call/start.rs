//! How a call begins: which cache it uses, whether a copy of the value is at hand, and whether the
//! call has anything to do with that cache.

use std::sync::Arc;

use super::call::{AfterHit, Call, Load};
use super::coding::Coding;
use super::copying::{Copying, Nearby};
use super::refreshing::takes_refresh;
use crate::key::{CachedFunction, Key, NearPlace, Policy};
use crate::paths::load::uncached::{Absence, UncachedLoad};
use crate::runtime::Runtime;

/// How a call goes on once its cache is known. Nothing was spelled or allocated for it yet.
pub enum Start<T> {
    /// A copy of the value is here.
    Return(T),
    /// The cache is disabled, or its store would refuse the call at once: the body runs as it would
    /// without the attribute.
    Load(Load<T>),
    /// The value may be stored.
    Look(Home<T>),
}

/// The cache that a call uses.
pub struct Home<T> {
    runtime: Arc<Runtime>,
    after_hit: AfterHit<T>,
}

impl<T> Start<T> {
    /// A call of `function`, whose entries have this prefix. If it is `verified`, a hit of it is to
    /// be loaded again and compared.
    pub(crate) fn of(
        runtime: &Arc<Runtime>,
        function: &'static CachedFunction,
        prefix: &str,
        coding: Coding<T>,
        copying: Option<Copying<T>>,
        verified: bool,
        place: impl Fn(NearPlace) -> NearPlace,
    ) -> Self {
        let nearby = |copying| Nearby::look(runtime, copying, || place(NearPlace::new(function)));
        let after_hit = match copying {
            // A copy is verified as what it is a copy of: the call is served that.
            _ if verified => AfterHit::Verification,
            None => AfterHit::Nothing,
            Some(copying) => match nearby(copying) {
                Nearby::Copy(value) => return Self::Return(value),
                Nearby::None(plan) => plan.map_or(AfterHit::Nothing, AfterHit::Copy),
            },
        };
        let Some(absence) = Absence::before_the_key(runtime) else {
            return Self::Look(Home { runtime: runtime.clone(), after_hit });
        };
        // It loads anyway; and a call of another cache inside the body is not to.
        takes_refresh();
        let counters = function.counters.of(&runtime.counted, prefix);
        Self::Load(Load::uncached(UncachedLoad::new(counters, prefix, absence), coding))
    }
}

impl<T> Home<T> {
    /// The call, for the entry of `key`.
    pub fn call(self, key: Key<T>, policy: Policy, coding: Coding<T>) -> Call<T> {
        Call::of(self.runtime, key, policy, coding).followed_by(self.after_hit)
    }
}

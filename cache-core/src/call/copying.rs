//! Copies of values in this process, as one call takes and makes them.

use std::sync::Arc;
use std::time::Duration;

use super::refreshing::is_to_refresh;
use crate::ablation::{ProcessRule, keeps};
use crate::entry::Entry;
use crate::key::NearPlace;
use crate::observe::TellCall;
use crate::paths::read::CopyRight;
use crate::paths::subject::Subject;
use crate::runtime::near::Lifespan;
use crate::runtime::{Runtime, provenance};

/// How values of a type become copies. It is made where the bounds are checked.
pub struct Copying<T> {
    /// For how long, if the function or its type says so; else the store does.
    longest: Option<Duration>,
    get: fn(&Runtime, &NearPlace, Option<TellCall>) -> Option<T>,
    keep: fn(CopyRight, &Subject, &Entry, &NearPlace, Lifespan, &T),
}

impl<T: Clone + Send + Sync + 'static> Copying<T> {
    /// Copies that are served for so long at most. `None`: only of a store that keeps them for
    /// every function.
    pub(crate) fn within(longest: Option<Duration>) -> Self {
        Self {
            longest,
            get: |runtime, place, tell| runtime.near.get(place, tell),
            keep: |right, subject, entry, place, lifespan, value| {
                right.keep(subject, entry, place, lifespan, value.clone());
            },
        }
    }

    /// The `Clone` of `T` is no user's code, if it `is_shared`: it is an `Arc`.
    pub fn shared(self, is_shared: bool) -> Self {
        if !is_shared {
            return self;
        }
        let get = |runtime: &Runtime, place: &NearPlace, tell: Option<TellCall>| match tell {
            None => runtime.near.get_shared(place),
            Some(_) => runtime.near.get(place, tell),
        };
        Self { get, ..self }
    }
}

impl<T> Clone for Copying<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Copying<T> {}

/// Where a call looks for its copy.
pub(super) enum Nearby<T> {
    Copy(T),
    /// There is none that may be served.
    None(Option<CopyPlan<T>>),
}

/// A copy that a call makes if it is served a stored value.
pub(super) struct CopyPlan<T> {
    place: NearPlace,
    copying: Copying<T>,
    lifespan: Lifespan,
}

impl<T> Nearby<T> {
    /// Looks for the copy at `place`.
    ///
    /// Not inside a load, whose value other processes are served: a copy may be older than an
    /// invalidation that another process has seen the end of. Not while an invalidation is owed,
    /// which may concern it. And not for a call that is to load.
    pub(super) fn look(runtime: &Arc<Runtime>, copying: Copying<T>, place: impl FnOnce() -> NearPlace) -> Self {
        let lifespan = copying.longest.map(Lifespan::Near).or(runtime.near.of_store());
        let Some(lifespan) = lifespan else { return Self::None(None) };
        let is_alone = provenance::is_alone();
        let may_be_old = is_alone || !provenance::in_load() || !keeps(ProcessRule::LoadsBypassCopies);
        let owes = runtime.debts.is_owing() && keeps(ProcessRule::DebtBypasses);
        let may_serve = runtime.near.is_on() && !owes && may_be_old && !is_to_refresh();
        let Some(place) = may_serve.then(place).and_then(NearPlace::finish) else { return Self::None(None) };
        let tell = if is_alone { None } else { Some(provenance::record as TellCall) };
        match (copying.get)(runtime, &place, tell) {
            Some(value) => Self::Copy(value),
            None => Self::None(Some(CopyPlan { place, copying, lifespan })),
        }
    }
}

impl<T> CopyPlan<T> {
    pub(super) fn keep(self, right: CopyRight, subject: &Subject, entry: &Entry, value: &T) {
        let Self { place, copying, lifespan } = self;
        (copying.keep)(right, subject, entry, &place, lifespan, value);
    }
}

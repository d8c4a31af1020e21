//! Chooses the cache of a call: the cache that the attribute names, or the one of functions that
//! name none.

use std::sync::Arc;

use crate::cache::Cache;
use crate::call::{Coding, Copying, Invalidating, ManyCall, Mapping, Mode, Sampling, Start};
use crate::key::{CachedFunction, Key, NearPlace, Policy};
use crate::runtime::Runtime;

/// `None`: the cache of functions that name none.
pub(super) fn runtime_of(cache: Option<&Cache>) -> Arc<Runtime> {
    with_runtime_of(cache, Arc::clone)
}

fn with_runtime_of<R>(cache: Option<&Cache>, use_it: impl Fn(&Arc<Runtime>) -> R) -> R {
    match cache {
        Some(cache) => use_it(&cache.runtime),
        None => Cache::with_global_runtime(use_it),
    }
}

#[cfg(test)]
impl<T> crate::call::Call<T> {
    /// `None`: the cache of functions that name none.
    pub(crate) fn new(cache: Option<&Cache>, key: Key<T>, policy: Policy, coding: Coding<T>) -> Self {
        Self::of(runtime_of(cache), key, policy, coding)
    }
}

impl<T> Start<T> {
    /// `None`: the cache of functions that name none. `place` adds what tells the call from others
    /// of the function; it is called if a copy may be kept.
    pub fn new(
        cache: Option<&Cache>,
        function: &'static CachedFunction,
        prefix: &str,
        coding: Coding<T>,
        copying: Option<Copying<T>>,
        place: impl Fn(NearPlace) -> NearPlace,
    ) -> Self {
        with_runtime_of(cache, |runtime| Self::of(runtime, function, prefix, coding, copying, false, &place))
    }

    /// The same of a function whose hits can be verified. Apart from it, so that a function whose
    /// hits cannot does not pay for the question.
    pub fn sampled(
        sampling: Sampling,
        cache: Option<&Cache>,
        function: &'static CachedFunction,
        prefix: &str,
        coding: Coding<T>,
        copying: Option<Copying<T>>,
        place: impl Fn(NearPlace) -> NearPlace,
    ) -> Self {
        with_runtime_of(cache, |runtime| {
            Self::of(runtime, function, prefix, coding, copying, sampling.draws(runtime), &place)
        })
    }
}

impl<M, K, V> ManyCall<M, K, V> {
    /// `None`: the cache of functions that name none. An id that is given twice counts once.
    pub fn new(
        cache: Option<&Cache>,
        ids: &[K],
        key: impl FnMut(&K) -> Key<V>,
        policy: Policy,
        coding: Coding<V>,
        mapping: Mapping<M, K, V>,
    ) -> Self {
        Self::of(runtime_of(cache), ids, key, policy, coding, mapping)
    }
}

impl Invalidating {
    /// `None`: the cache of functions that name none. `function` is said where its invalidation
    /// fails.
    pub fn new(cache: Option<&Cache>, function: &'static str, mode: Mode) -> Self {
        Self::of(runtime_of(cache), function, mode)
    }
}

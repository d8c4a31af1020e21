//! Chooses the cache of a call: the cache that the attribute names, or the one of functions that
//! name none.

use std::sync::Arc;

use crate::cache::Cache;
use crate::call::{Call, Coding, Invalidating, ManyCall, Mapping, Mode};
use crate::key::{Key, Policy};
use crate::runtime::Runtime;

/// `None`: the cache of functions that name none.
pub(super) fn runtime_of(cache: Option<&Cache>) -> Arc<Runtime> {
    cache.map_or_else(Cache::global_runtime, |cache| cache.runtime.clone())
}

impl<T> Call<T> {
    /// `None`: the cache of functions that name none.
    pub fn new(cache: Option<&Cache>, key: Key<T>, policy: Policy, coding: Coding<T>) -> Self {
        Self::of(runtime_of(cache), key, policy, coding)
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

//! Chooses the cache of a call: the cache that the attribute names, or the one of functions that
//! name none.

use std::sync::Arc;

use crate::cache::Cache;
use crate::call::{BatchMap, Call, Coding, Invalidating, ManyCall, Mode};
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

impl<M: BatchMap> ManyCall<M> {
    /// `None`: the cache of functions that name none. An id that is given twice counts once.
    pub fn new(
        cache: Option<&Cache>,
        ids: &[M::Id],
        key: impl FnMut(&M::Id) -> Key<M::Value>,
        policy: Policy,
        coding: Coding<M::Value>,
    ) -> Self {
        Self::of(runtime_of(cache), ids, key, policy, coding)
    }
}

impl Invalidating {
    /// `None`: the cache of functions that name none. `function` is said where its invalidation
    /// fails.
    pub fn new(cache: Option<&Cache>, function: &'static str, mode: Mode) -> Self {
        Self::of(runtime_of(cache), function, mode)
    }
}

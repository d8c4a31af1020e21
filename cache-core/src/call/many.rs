//! One call of a cached function for many keys (`each = ids`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::coding::Coding;
use super::refreshing::takes_refresh;
use crate::key::{Key, Policy};
use crate::name::Names;
use crate::paths::load::LoadRun;
use crate::paths::load::batch::BatchLoading;
use crate::paths::load::uncached::{Absence, UncachedLoad};
use crate::paths::read::Hit;
use crate::paths::read::batch::Batch;
use crate::paths::subject::counters_of;
use crate::runtime::provenance::Inside;
use crate::runtime::{Runtime, Turn};

/// What a batch function returns: a map from ids to values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a map that `each` can fill",
    label = "not a map of ids and values",
    note = "return a `HashMap<K, V>` or a `BTreeMap<K, V>`, and let its `K` derive what that asks for: `Clone`, `PartialEq`, `Eq` and `Hash`, or `Clone`, `PartialEq`, `Eq`, `PartialOrd` and `Ord`"
)]
pub trait BatchMap:
    Default
    + Extend<(<Self as BatchMap>::Id, <Self as BatchMap>::Value)>
    + IntoIterator<Item = (<Self as BatchMap>::Id, <Self as BatchMap>::Value)>
{
    /// The id of one value.
    type Id: Clone;
    /// The value stored for one id.
    type Value;
    /// Each id once, in the order of its first appearance.
    fn distinct(ids: &[Self::Id]) -> Vec<Self::Id>;
    /// The value of an id.
    fn value(&self, id: &Self::Id) -> Option<&Self::Value>;
}

#[diagnostic::do_not_recommend]
impl<K: Eq + Hash + Clone, V, S: BuildHasher + Default> BatchMap for HashMap<K, V, S> {
    type Id = K;
    type Value = V;

    fn distinct(ids: &[K]) -> Vec<K> {
        let mut seen = HashSet::with_capacity(ids.len());
        ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
    }

    fn value(&self, id: &K) -> Option<&V> {
        self.get(id)
    }
}

#[diagnostic::do_not_recommend]
impl<K: Ord + Clone, V> BatchMap for BTreeMap<K, V> {
    type Id = K;
    type Value = V;

    fn distinct(ids: &[K]) -> Vec<K> {
        let mut seen = BTreeSet::new();
        ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
    }

    fn value(&self, id: &K) -> Option<&V> {
        self.get(id)
    }
}

/// What a call needs of the map that it returns, as functions. Like a [`Coding`] it is made where
/// the bounds are checked, so a map that lacks one is reported once.
pub struct Mapping<M, K, V> {
    empty: fn() -> M,
    insert: fn(&mut M, K, V),
    merge: fn(&mut M, M),
    value: for<'a> fn(&'a M, &K) -> Option<&'a V>,
    distinct: fn(&[K]) -> Vec<K>,
    copy: fn(&K) -> K,
}

impl<M: BatchMap> Mapping<M, M::Id, M::Value> {
    pub(crate) fn of_map() -> Self {
        Self {
            empty: M::default,
            insert: |map, id, value| map.extend([(id, value)]),
            merge: |map, others| map.extend(others),
            value: M::value,
            distinct: M::distinct,
            copy: M::Id::clone,
        }
    }
}

impl<M, K, V> Clone for Mapping<M, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, K, V> Copy for Mapping<M, K, V> {}

/// One call for many ids.
#[must_use]
pub struct ManyCall<M, K, V> {
    runtime: Arc<Runtime>,
    ids: Vec<K>,
    /// `None`: the cache is disabled, so no key was spelled.
    keys: Option<Vec<Key<V>>>,
    policy: Policy,
    coding: Coding<V>,
    mapping: Mapping<M, K, V>,
}

/// How a call for many ids goes on.
pub enum ManyStep<M, K, V> {
    /// All values are here.
    Return(M),
    /// The body has to run for some ids.
    Load(ManyLoad<M, K, V>),
}

/// The body of a batch function, about to run for the ids that nobody has stored or is loading. If
/// it is dropped before `fill_many` or [`failed`](Self::failed), its call was cancelled or
/// panicked, and followers take over.
#[must_use]
pub struct ManyLoad<M, K, V>(ManyLoadWay<M, K, V>);

/// What a load has to do with the cache.
enum ManyLoadWay<M, K, V> {
    /// What it has to do with any load.
    // Boxed: rare, and large.
    Through { many: Box<Many<M, K, V>>, loading: Box<BatchLoading> },
    /// Nothing, but that it is counted.
    Past { ids: Vec<K>, load: UncachedLoad, mapping: Mapping<M, K, V> },
}

struct Many<M, K, V> {
    runtime: Arc<Runtime>,
    ids: Vec<K>,
    found: M,
    batch: Batch,
    coding: Coding<V>,
    mapping: Mapping<M, K, V>,
}

impl<M, K, V> ManyCall<M, K, V> {
    /// Each id counts once.
    pub(crate) fn of(
        runtime: Arc<Runtime>,
        ids: &[K],
        key: impl FnMut(&K) -> Key<V>,
        policy: Policy,
        coding: Coding<V>,
        mapping: Mapping<M, K, V>,
    ) -> Self {
        let ids = (mapping.distinct)(ids);
        let is_past = !ids.is_empty() && Absence::before_the_key(&runtime) == Some(Absence::Store);
        let keys = (!is_past).then(|| ids.iter().map(key).collect());
        Self { runtime, ids, keys, policy, coding, mapping }
    }
}

/// Takes the stored values, and is told which ids to load. Without ids nothing is asked.
pub async fn lookup_many<M, K, V>(call: ManyCall<M, K, V>) -> ManyStep<M, K, V> {
    Turn.await;
    let ManyCall { runtime, ids, keys, policy, coding, mapping } = call;
    let refresh = takes_refresh();
    let Some(keys) = keys else {
        let load = UncachedLoad::of_many(counters_of(&runtime, &policy), &policy.prefix, ids.len());
        return ManyStep::Load(ManyLoad(ManyLoadWay::Past { ids, load, mapping }));
    };
    let fingerprint = (coding.fingerprint)(policy.version, policy.shape);
    let keys = keys.into_iter().map(|key| key.entry());
    let batch = Batch::begin(&runtime, keys, &policy, fingerprint, refresh);
    let mut many = Many { runtime, ids, found: (mapping.empty)(), batch, coding, mapping };
    while let Some(found) = many.batch.stored().await {
        many.take(found);
    }
    many.step().await
}

impl<M, K, V> Many<M, K, V> {
    /// A negative entry stands for an id that the map does not hold.
    fn take(&mut self, found: Vec<(usize, Hit)>) {
        let mut served = Vec::with_capacity(found.len());
        for (at, found) in found {
            match (self.coding.decode_option)(&found.entry) {
                Ok(value) => {
                    if let Some(value) = value {
                        let id = (self.mapping.copy)(&self.ids[at]);
                        (self.mapping.insert)(&mut self.found, id, value);
                    }
                    served.push((at, found));
                }
                Err(_) => {
                    self.batch.undecodable(at, &found);
                    self.batch.counters().trust.suspect::<Option<V>>();
                }
            }
        }
        self.batch.served(served);
    }

    async fn step(mut self) -> ManyStep<M, K, V> {
        while !self.batch.is_done() {
            // Boxed, as for one key.
            let gathered = Box::pin(self.batch.gather()).await;
            self.take(gathered.found);
            if !gathered.loads.is_empty() {
                let loading = Box::new(BatchLoading::new(&self.runtime, gathered.loads, self.batch.lost()));
                return ManyStep::Load(ManyLoad(ManyLoadWay::Through { many: Box::new(self), loading }));
            }
        }
        ManyStep::Return(self.found)
    }
}

impl<M, K, V> ManyLoad<M, K, V> {
    /// The ids to load, each once, in the order of the input.
    pub fn missing(&self) -> Vec<K> {
        match &self.0 {
            ManyLoadWay::Through { many, loading } => {
                loading.places().map(|at| (many.mapping.copy)(&many.ids[at])).collect()
            }
            ManyLoadWay::Past { ids, mapping, .. } => ids.iter().map(mapping.copy).collect(),
        }
    }

    /// Adds the names of each entry that are known before the body runs.
    pub fn known(&mut self, mut names: impl FnMut(&K) -> Names) {
        if let ManyLoadWay::Through { many, loading } = &mut self.0 {
            loading.declare(|at| names(&many.ids[at]));
        }
    }

    /// The body is about to run.
    pub fn begin(&mut self) -> LoadRun {
        match &mut self.0 {
            ManyLoadWay::Through { loading, .. } => loading.begin(),
            ManyLoadWay::Past { load, .. } => load.begin(),
        }
    }

    /// The body, to be awaited. Cached calls inside hand their names to every entry.
    pub fn body<F: Future>(&self, body: F) -> Inside<F> {
        match &self.0 {
            ManyLoadWay::Through { loading, .. } => loading.body(body),
            ManyLoadWay::Past { .. } => Inside::nothing(body),
        }
    }

    /// The body has run.
    pub fn end(&mut self, running: LoadRun) {
        match &mut self.0 {
            ManyLoadWay::Through { loading, .. } => loading.end(running),
            ManyLoadWay::Past { load, .. } => load.end(running),
        }
    }

    /// The body failed: nothing is stored.
    pub fn failed(self) {
        match self.0 {
            ManyLoadWay::Through { loading, .. } => loading.end_failed(),
            ManyLoadWay::Past { load, .. } => load.failed(),
        }
    }
}

/// Values that were loaded, on their way to the store.
struct ManyFilling<M, K, V> {
    many: Box<Many<M, K, V>>,
    loading: Box<BatchLoading>,
    loaded: M,
    /// The names of each entry, and whether its value is to be stored.
    declared: std::vec::IntoIter<(Names, bool)>,
}

impl<M, K, V> ManyFilling<M, K, V> {
    async fn send(self) -> ManyStep<M, K, V> {
        let Self { mut many, mut loading, loaded, mut declared } = self;
        let value_of = many.mapping.value;
        // No reference to a value lives across an await: values need not be `Sync`.
        while let Some(fillings) = loading.encode_some(|at| {
            let (names, is_wanted) = declared.next().unwrap_or_else(|| (Names::new(), false));
            let (coding, id, loaded) = (many.coding, &many.ids[at], &loaded);
            (names, is_wanted.then_some(move |subject: &_| (coding.encode_option)(subject, value_of(loaded, id))))
        }) {
            if !many.batch.fill(fillings).await {
                // As for one key: a store that does not answer is not waited for again.
                break;
            }
        }
        (many.mapping.merge)(&mut many.found, loaded);
        many.step().await
    }
}

/// Stores each value, or counts why not, and goes on with the ids that others were loading.
/// `declared` returns the names of an entry, and whether its value is to be stored. An id that was
/// not loaded has no value, and gets a negative entry at most. The future does not hold `declared`.
pub fn fill_many<M, K, V>(
    load: ManyLoad<M, K, V>,
    loaded: M,
    mut declared: impl FnMut(&K, Option<&V>) -> (Names, bool),
) -> impl Future<Output = ManyStep<M, K, V>> {
    let way = match load.0 {
        ManyLoadWay::Past { .. } => Err(loaded),
        ManyLoadWay::Through { mut many, loading } => {
            let value_of = many.mapping.value;
            let declared = loading.places().map(|at| declared(&many.ids[at], value_of(&loaded, &many.ids[at])));
            let declared = declared.collect::<Vec<_>>().into_iter();
            many.batch.charge(loading.lost());
            Ok(ManyFilling { many, loading, loaded, declared })
        }
    };
    async move {
        match way {
            Ok(filling) => filling.send().await,
            Err(loaded) => ManyStep::Return(loaded),
        }
    }
}

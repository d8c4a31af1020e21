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
use crate::paths::read::Hit;
use crate::paths::read::batch::Batch;
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
    keys: Vec<Key<V>>,
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
pub struct ManyLoad<M, K, V> {
    // Boxed: rare, and large.
    many: Box<Many<M, K, V>>,
    loading: Box<BatchLoading>,
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
        let keys = ids.iter().map(key).collect();
        Self { runtime, ids, keys, policy, coding, mapping }
    }
}

/// Takes the stored values, and is told which ids to load. Without ids nothing is asked.
pub async fn lookup_many<M, K, V>(call: ManyCall<M, K, V>) -> ManyStep<M, K, V> {
    Turn.await;
    let ManyCall { runtime, ids, keys, policy, coding, mapping } = call;
    let refresh = takes_refresh();
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
                return ManyStep::Load(ManyLoad { many: Box::new(self), loading });
            }
        }
        ManyStep::Return(self.found)
    }
}

impl<M, K, V> ManyLoad<M, K, V> {
    /// The ids to load, each once, in the order of the input.
    pub fn missing(&self) -> Vec<K> {
        self.loading.places().map(|at| (self.many.mapping.copy)(&self.many.ids[at])).collect()
    }

    /// Adds the names of each entry that are known before the body runs.
    pub fn known(&mut self, mut names: impl FnMut(&K) -> Names) {
        self.loading.declare(|at| names(&self.many.ids[at]));
    }

    /// The body is about to run.
    pub fn begin(&mut self) -> LoadRun {
        self.loading.begin()
    }

    /// The body, to be awaited. Cached calls inside hand their names to every entry.
    pub fn body<F: Future>(&self, body: F) -> Inside<F> {
        self.loading.body(body)
    }

    /// The body has run.
    pub fn end(&mut self, running: LoadRun) {
        self.loading.end(running);
    }

    /// The body failed: nothing is stored.
    pub fn failed(self) {
        self.loading.end_failed();
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
    let ManyLoad { mut many, mut loading } = load;
    let value_of = many.mapping.value;
    let names: Vec<_> = loading
        .places()
        .map(|at| {
            let id = &many.ids[at];
            declared(id, value_of(&loaded, id))
        })
        .collect();
    many.batch.charge(loading.lost());
    async move {
        let mut names = names.into_iter();
        // No reference to a value lives across an await: values need not be `Sync`.
        while let Some(fillings) = loading.encode_some(|subject, at| {
            let (names, is_wanted) = names.next().unwrap_or_else(|| (Names::new(), false));
            (names, is_wanted.then(|| (many.coding.encode_option)(subject, value_of(&loaded, &many.ids[at]))))
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

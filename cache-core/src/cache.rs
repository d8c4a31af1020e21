//! The handle that users hold.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::freshness::TtlClasses;
use crate::invalidation::{Invalidated, Invalidation};
use crate::key::{IntoKey, Key};
use crate::name::{IntoKeyName, IntoTag};
use crate::paths::write_through::Put;
use crate::paths::{invalidate, recovery};
use crate::runtime::tenants::Tenancy;
use crate::runtime::{Handle, Runtime, new_id, scoped};
use crate::store::Store;

mod closing;
mod operation;
mod seeing;
mod tenants;

/// Stands for an error of a type that cannot be printed, as far as is known.
pub(crate) const UNSAID: &str = "an error";

/// The cache that functions without a `cache = …` option use.
static GLOBAL: OnceLock<Cache> = OnceLock::new();

/// A cache: a store, and everything that this process knows about the store. Cheap to clone; clones
/// are the same cache.
///
/// # Consistency
/// Once an invalidation has returned `Ok`, no call that starts later, in any process, returns a
/// value whose load began before that invalidation began.
///
/// # Runtimes
/// A cache may be used from any number of tokio runtimes, such as those of `#[tokio::test]`s that
/// share the installed cache. Each runtime has connections of its own, so a call depends on the
/// runtime that polls it, and on no other runtime.
///
/// Redis needs a runtime with timers and I/O (`enable_all`). On a runtime without them calls load,
/// invalidations fail, and that is logged once at WARN. With `panic = "abort"` the process ends
/// there, for tokio panics where timers are missing.
///
/// # Example
/// ```
/// # use cache_core::Cache;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_core::Error> {
/// let cache = Cache::in_memory();
/// let first: Result<u32, std::io::Error> = cache.get_or_load("answer", || async { Ok(42) }).await;
/// assert_eq!(first.unwrap(), 42);
/// assert_eq!(cache.invalidate_key("answer").await?.entries, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cache {
    pub(crate) runtime: Arc<Runtime>,
    /// Only handles hold this: calls and background work hold the `Runtime` alone.
    _handle: Handle,
}

impl Cache {
    pub(crate) fn new(store: Option<Arc<dyn Store>>, config: Config, classes: TtlClasses, tenancy: Tenancy) -> Self {
        Self::with_id(new_id(store.as_deref()), store, config, classes, tenancy)
    }

    fn with_id(id: u128, store: Option<Arc<dyn Store>>, config: Config, classes: TtlClasses, tenancy: Tenancy) -> Self {
        let runtime = Arc::new(Runtime::new(id, store, config, Arc::new(RwLock::new(classes)), tenancy));
        recovery::heed_losses(&runtime);
        Self::of(runtime)
    }

    fn of(runtime: Arc<Runtime>) -> Self {
        let handle = Handle::new(&runtime);
        Self { runtime, _handle: handle }
    }

    /// A cache that holds nothing: every call loads, and no invalidation removes anything. For
    /// tests of code that is cached.
    ///
    /// # Cost
    /// A call of a cached function runs the body where it stands, and counts it. It is timed only
    /// if somebody [observes](crate::observe) it: a look at the clock costs more. No key is
    /// spelled, and nothing is allocated, but for the box of a body that may run in the background.
    /// A call for many ids (`each`) runs the body once, for all of them: it lists them, and boxes
    /// the body. Inside a load of another cache the call costs what a miss costs without the store.
    pub fn disabled() -> Self {
        Self::new(None, Config::default(), TtlClasses::default(), Tenancy::Disabled)
    }

    /// Another cache on the same store, like that of another process. For tests of code that runs
    /// in several processes.
    ///
    /// Peers share the entries, leases and invalidations. A peer has its own flights and background
    /// refreshes, so callers of two peers meet only at the lease. It has its own statistics, and
    /// owes its own invalidations after a failure. It has a handle of its own, so it goes on when
    /// the cache that it was made from is dropped. Its settings are those of this moment, TTL
    /// classes included.
    ///
    /// A call on one peer inside a load of another counts as a call on the same cache: the loaded
    /// entry depends on the called one, for both peers use the same names.
    ///
    /// On Redis peers share the connections, and with them the breaker. A second cache
    /// [opened](Self::open) at the same URL with the same namespace is a peer with connections of
    /// its own.
    ///
    /// # Example
    /// ```
    /// # use std::convert::Infallible;
    /// # use cache_core::Cache;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let here = Cache::in_memory();
    /// let there = here.peer();
    /// let load = || async { Ok::<_, Infallible>(42) };
    /// let one = here.get_or_load("answer", load);
    /// let other = there.get_or_load("answer", load);
    /// let both = tokio::join!(one, other);
    /// assert_eq!(both, (Ok(42), Ok(42)));
    /// assert_eq!(here.stats().total().loads + there.stats().total().loads, 1);
    /// # }
    /// ```
    pub fn peer(&self) -> Self {
        let Runtime { id, store, config, classes, tenants, .. } = &*self.runtime;
        let classes = classes.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self::with_id(*id, store.clone(), config.clone(), classes, tenants.tenancy.clone())
    }

    /// Makes this the cache of all functions that name no other. To be called once, before the
    /// first call of such a function. Tests that each need a cache of their own use
    /// [`scope`](Self::scope).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is an installed cache already, also if an earlier call made
    /// it (see [`global`](Self::global)): entries would be spread over both.
    pub fn install(&self) -> Result<Cache, Error> {
        GLOBAL.set(self.clone()).map_err(|_| {
            Error::new(ErrorKind::Config, "a cache is installed already: install once, before the first cached call")
        })?;
        Ok(self.clone())
    }

    /// Makes this the cache of all functions that name no other, for the calls that `future` makes.
    /// For tests in one process that each have a cache of their own: see
    /// [the guide](crate::guide::testing).
    ///
    /// A function uses the cache of its `cache` option, else that of the innermost scope around the
    /// call, else the installed one. The scope goes along into the refreshes and warmers that begin
    /// within it, and into tasks wrapped in [`in_current_load`](crate::in_current_load). Any other
    /// task that is spawned within it leaves it.
    ///
    /// A scope inside a cached function is a call of another cache: that function's value is not
    /// stored.
    ///
    /// # Cost
    /// A call finds out in some nanoseconds whether it is in a scope, and asks no store for that.
    ///
    /// # Example
    /// ```
    /// # #[cfg(feature = "macros")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use cache_core::{Cache, cached};
    /// #[cached(ttl = "60s")]
    /// async fn double(number: u64) -> u64 {
    ///     2 * number
    /// }
    ///
    /// let (one, other) = (Cache::in_memory(), Cache::in_memory());
    /// assert_eq!(one.scope(double(4)).await, 8);
    /// assert_eq!(one.peek(double::key(&4)).await.unwrap(), Some(8));
    /// assert_eq!(other.peek(double::key(&4)).await.unwrap(), None);
    /// # }
    /// # #[cfg(not(feature = "macros"))]
    /// # fn main() {}
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        // Boxed: an async block holds what it awaits twice.
        let scoped = Box::pin(scoped::within(Some(self.runtime.clone()), future));
        let handle = self.clone();
        async move {
            let output = scoped.await;
            drop(handle);
            output
        }
    }

    /// The cache of functions that name no other: that of the innermost [`scope`](Self::scope)
    /// around the caller, else the installed one. If there is neither, the first call makes one and
    /// logs that at WARN: at the URL in the environment variable `CACHE_URL` if that is set, else
    /// in memory.
    pub fn global() -> Cache {
        scoped::current().map_or_else(|| installed().clone(), Self::of)
    }

    /// What [`global`](Self::global) is a handle of. A hit needs no handle.
    pub(crate) fn with_global_runtime<R>(use_it: impl Fn(&Arc<Runtime>) -> R) -> R {
        scoped::with_current(&use_it).unwrap_or_else(|| use_it(&installed().runtime))
    }

    /// Removes entries by key, tag and pattern, and every entry that depends on them.
    ///
    /// # Consistency
    /// After `Ok` no call in any process returns a value of these entries whose load began before
    /// this was called.
    ///
    /// # Cancel safety
    /// Once polled, the invalidation runs to its end, also if the returned future is dropped.
    ///
    /// # Cost
    /// One round trip for every 256 names and for every 300 entries reached; patterns as in
    /// [`Invalidation::pattern`].
    ///
    /// # Errors
    /// If the store could not be reached or did not answer. The invalidation is then retried in the
    /// background until it succeeds. Until then this process bypasses the affected names, and other
    /// processes may serve old values. [`ErrorKind::Config`] or [`ErrorKind::Limit`] if a name can
    /// never name anything; all other names were invalidated.
    pub async fn invalidate(&self, invalidation: Invalidation) -> Result<Invalidated, Error> {
        let (targets, invalid) = invalidation.into_parts();
        let invalidated = invalidate::invalidate(&self.runtime, targets).await?;
        match invalid {
            Some(error) => Err(error),
            None => Ok(invalidated),
        }
    }

    /// Removes one entry, and every entry that depends on it. As [`invalidate`](Self::invalidate).
    pub async fn invalidate_key(&self, key: impl IntoKeyName) -> Result<Invalidated, Error> {
        self.invalidate(Invalidation::new().key(key)).await
    }

    /// Removes every entry with this tag, and every entry that depends on one of them. As
    /// [`invalidate`](Self::invalidate).
    pub async fn invalidate_tag(&self, tag: impl IntoTag) -> Result<Invalidated, Error> {
        self.invalidate(Invalidation::new().tag(tag)).await
    }

    /// Removes every entry whose key matches the pattern, and every entry that depends on one of
    /// them. As [`invalidate`](Self::invalidate); see [`Invalidation::pattern`].
    pub async fn invalidate_pattern(&self, pattern: impl Into<String>) -> Result<Invalidated, Error> {
        self.invalidate(Invalidation::new().pattern(pattern)).await
    }

    /// Removes every entry of this cache's namespace. As [`invalidate`](Self::invalidate).
    ///
    /// # Cost
    /// That of a [pattern](Invalidation::pattern): two walks over all keys in the store, of any
    /// namespace, with one round trip for every 300 keys.
    pub async fn clear(&self) -> Result<Invalidated, Error> {
        self.invalidate(Invalidation::everything()).await
    }

    /// The value stored under `key`, or the value that `load` returns, which is then stored. Does
    /// what `#[cached]` does, without a function.
    ///
    /// A text key is a literal logical key, and its entry lives for the cache's default lifetime; a
    /// companion's key (`get_flight::key(&42)`) brings the lifetime and the tags of its function. A
    /// value that a function has stored is found by its text key as well. A value that was stored
    /// under a text key is not served by a function: it lacks the function's tags. Cached calls
    /// inside `load` become dependencies of the entry.
    ///
    /// # Cost
    /// A hit is one round trip, and two while the entry under a typed key is of another version. A
    /// miss is three beside the load. One more for a value from 64 KiB on, and one for every 256
    /// names beyond the first 256; on a cluster one more if a tag or a dependency is at home in
    /// another partition.
    ///
    /// # Errors
    /// Those of `load` alone: a cache that cannot be reached is a cache that holds nothing.
    // Not an `async fn`: that would hold `load`, and all it captured, twice.
    pub fn get_or_load<T, E, F>(
        &self,
        key: impl IntoKey<T>,
        load: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        // A key that can name nothing makes the call one that is not cached.
        call::get_or_load(&self.runtime, key.into_key().unwrap_or_else(|_| Key::unencodable()), UNSAID, load)
    }

    /// The value stored under `key`, without loading.
    ///
    /// A typed key finds what its function stored for this version of the type, and nothing else. A
    /// text key finds every value that decodes as a `T`.
    ///
    /// # Cost
    /// One round trip, and two while the entry under a typed key is of another version.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer, or the key can name nothing.
    pub async fn peek<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>, Error> {
        call::peek(&self.runtime, key.into_key()?).await
    }

    /// Stores a value that the caller knows to be current, such as one it has just written to its
    /// database.
    ///
    /// First the entry under `key` is removed, with every entry that depends on it. Then the value
    /// is stored, unless one of its names was invalidated or written since this was called. Under a
    /// text key the value has no tags, so a function that caches under the same key does not serve
    /// the value, and loads.
    ///
    /// Call this while no other writer can have changed the value since it was written. Inside the
    /// transaction, with the row still locked, that holds; but the value is served before the
    /// `COMMIT`, and after a rollback the key must be invalidated. After the `COMMIT` a writer that
    /// committed later may already have put a newer value, which this one would replace. Where
    /// either matters, use [`#[write_through]`](macro@crate::write_through) on the function that
    /// commits, or invalidate.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the write either has no effect or runs to its
    /// end.
    ///
    /// # Cost
    /// Two round trips, and then as an invalidation for more than 300 dependents. On a cluster
    /// three, if a tag is at home in another partition. One more for a value from 64 KiB on, and
    /// one for every 256 names beyond the first 256.
    ///
    /// # Errors
    /// Those of [`invalidate`](Self::invalidate), and if the key can name nothing: nothing is done
    /// then. Also [`ErrorKind::Encode`] if the value cannot be encoded, or would not come back as
    /// it was, [`ErrorKind::Limit`] if it is too large or has too many names, and
    /// [`ErrorKind::Config`] if another function has the same prefix. In these three cases the old
    /// entry is removed.
    pub async fn put<T: Serialize + DeserializeOwned>(&self, key: impl IntoKey<T>, value: &T) -> Result<Put, Error> {
        call::put(&self.runtime, key.into_key(), value).await
    }

    /// Changes the lifetime of a data class. Entries that are stored already keep their lifetimes.
    pub fn set_ttl_class(&self, class: impl Into<String>, ttl: Duration) {
        self.runtime.classes.write().unwrap_or_else(PoisonError::into_inner).set(class.into(), ttl);
    }
}

fn installed() -> &'static Cache {
    GLOBAL.get_or_init(fallback)
}

fn fallback() -> Cache {
    let Ok(url) = std::env::var("CACHE_URL") else {
        tracing::warn!("no cache is installed: using one in memory, of this process alone");
        return Cache::in_memory();
    };
    match Cache::open(&url) {
        Ok(cache) => {
            tracing::warn!("no cache is installed: using the one at CACHE_URL");
            cache
        }
        Err(error) => {
            tracing::error!(%error, "CACHE_URL cannot be used: using a cache in memory, of this process alone");
            Cache::in_memory()
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("namespace", &self.runtime.config.namespace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(cache: &Cache, value: u32) -> u32 {
        cache.get_or_load("answer", || async move { Ok::<_, Error>(value) }).await.unwrap()
    }

    #[tokio::test]
    async fn cache_aside_loads_once_and_invalidation_removes() {
        let cache = Cache::in_memory();
        assert_eq!(answer(&cache, 1).await, 1);
        assert_eq!(answer(&cache, 2).await, 1);
        assert_eq!(cache.peek::<u32>("answer").await.unwrap(), Some(1));
        assert_eq!(cache.invalidate_key("answer").await.unwrap().entries, 1);
        assert_eq!(cache.peek::<u32>("answer").await.unwrap(), None);
        assert_eq!(answer(&cache, 3).await, 3);
        let put = cache.put("answer", &4u32).await.unwrap();
        assert!(put.stored && put.entries == 1, "{put:?}");
        assert_eq!(answer(&cache, 5).await, 4);
        let stats = cache.stats().prefix("answer");
        assert_eq!((stats.hits, stats.misses, stats.loads, stats.fills), (2, 2, 2, 3));
    }

    #[tokio::test]
    async fn a_disabled_cache_loads_every_time() {
        let cache = Cache::disabled();
        assert_eq!(answer(&cache, 1).await, 1);
        assert_eq!(answer(&cache, 2).await, 2);
        assert_eq!(cache.clear().await.unwrap().entries, 0);
        assert!(!cache.put("answer", &3).await.unwrap().stored);
    }

    #[test]
    fn a_call_inside_a_load_does_not_make_the_future_larger() {
        async fn inner(cache: &Cache) -> u32 {
            cache.get_or_load("inner", || async { Ok::<_, Error>(size_of_val(cache) as u32) }).await.unwrap()
        }
        async fn outer(cache: &Cache) -> u32 {
            cache.get_or_load("outer", || async { Ok::<_, Error>(inner(cache).await) }).await.unwrap()
        }
        let cache = Cache::in_memory();
        assert_eq!(size_of_val(&inner(&cache)), size_of_val(&outer(&cache)));
    }

    #[test]
    fn the_embedded_store_needs_no_runtime() {
        let cache = Cache::in_memory();
        let mut both = std::pin::pin!(async {
            answer(&cache, 1).await;
            cache.invalidate_key("answer").await.unwrap();
            answer(&cache, 2).await
        });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(matches!(both.as_mut().poll(&mut context), std::task::Poll::Ready(2)));
    }

    #[test]
    fn a_cache_is_installed_once_and_is_the_global_one() {
        let cache = Cache::in_memory();
        let installed = cache.install().unwrap();
        assert_eq!(installed.runtime.id, cache.runtime.id);
        assert_eq!(Cache::global().runtime.id, cache.runtime.id);
        assert_eq!(Cache::in_memory().install().unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(Cache::global().runtime.id, cache.runtime.id);
    }
}

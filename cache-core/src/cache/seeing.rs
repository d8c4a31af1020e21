//! What a cache tells of its entries and of what becomes of them, and changes nothing.

use std::future::Future;

use super::Cache;
use crate::error::{Error, ErrorKind};
use crate::invalidation::Invalidation;
use crate::name::IntoKeyName;
use crate::paths::explain::{self, Explanation};
use crate::paths::listing::Listing;
use crate::paths::preview::{self, Preview};
use crate::paths::trail::InvalidationTrail;
use crate::runtime::feed::InvalidationFeed;
use crate::runtime::provenance;
use crate::runtime::trace::Trace;
use crate::store::{Catalogue, StoreKey};

impl Cache {
    /// What is known of a key: its entry without the value, its names and their last invalidations,
    /// what depends on it, who loads it, what its adaptive TTL has learned, and why this process
    /// did not store the last value. For a person who wonders why a call was a miss, or was slow.
    ///
    /// A key from a companion (`get_flight::key(&42)`) and its text name the same entry. A key that
    /// can name nothing is an error.
    ///
    /// # Limits
    /// 256 names and 50 dependents are told, and all are counted. A process remembers of 1,024 keys
    /// why their last values were not stored; a hit costs nothing for that.
    ///
    /// # Cost
    /// One round trip, of O(names) for the server. It writes nothing, and reads the value's header
    /// and not the value. On a cluster two, the second to all other partitions at once: what
    /// depends on the key may be in any of them.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer, or the key can name nothing.
    ///
    /// # Example
    /// ```
    /// # use cache_core::Cache;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// # let cache = Cache::in_memory();
    /// cache.put("flight:42", &"DFW to BOS".to_owned()).await?;
    /// let explanation = cache.explain("flight:42").await?;
    /// assert_eq!(explanation.entry.as_ref().map(|entry| entry.payload_bytes), Some(12));
    /// println!("{explanation}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self, key: impl IntoKeyName) -> Result<Explanation, Error> {
        let key = key.into_key_name()?;
        match key.name() {
            Some(_) => explain::explain(&self.runtime, key.as_str()).await,
            None => Err(Error::new(ErrorKind::Encode, "the key names no entry: a part of it cannot be encoded")),
        }
    }

    /// The entries that [`invalidate`](Self::invalidate) would remove, exactly, without touching
    /// them: those that are named, and what depends on them, however indirectly. Among them is what
    /// an earlier invalidation of the same names has left, because its process died.
    ///
    /// Nothing is held while it looks: what other processes store and remove meanwhile may or may
    /// not be in it.
    ///
    /// # Limits
    /// 10,000 entries are told, 100,000 names are followed, and 10,000 looks are taken. At a limit
    /// it [stops](Preview::stop), and says where.
    ///
    /// # Cost
    /// The round trips of the invalidation, and one more. Each takes the server about as long as
    /// one chunk of the invalidation would, 2 ms at most. It writes nothing.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer, or a name can never name anything.
    ///
    /// # Example
    /// ```
    /// # use cache_core::{Cache, Invalidation};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// # let cache = Cache::in_memory();
    /// cache.put("flight:42", &"DFW to BOS".to_owned()).await?;
    /// let preview = cache.preview(Invalidation::new().pattern("flight:*")).await?;
    /// assert_eq!(preview.entries[0].key, "flight:42");
    /// println!("{preview}");
    /// assert_eq!(cache.peek::<String>("flight:42").await?.as_deref(), Some("DFW to BOS"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn preview(&self, invalidation: Invalidation) -> Result<Preview, Error> {
        match invalidation.into_parts() {
            (_, Some(error)) => Err(error),
            (targets, None) => preview::preview(&self.runtime, &targets).await,
        }
    }

    /// The logical keys of live entries that match a pattern (`*` any text, `?` one byte, `[ab]`
    /// one of these; [`escape_glob`](crate::escape_glob) takes text literally), page by page.
    ///
    /// Nothing is held between two pages. An entry that is there from the first page to the last is
    /// told, perhaps on two pages; one that comes or goes meanwhile may or may not be told. A key
    /// that ends in `~` and eight hex digits is the entry of another version of the program, beside
    /// that of the key before the `~`.
    ///
    /// # Cost
    /// See [`Listing::next_page`]: one round trip for each 1,000 keys of the database, by `SCAN`.
    /// It writes nothing.
    pub fn keys(&self, pattern: impl Into<String>) -> Listing {
        Listing::new(self.runtime.clone(), Catalogue::Keys, pattern.into())
    }

    /// The tags that match a pattern and lead to something, page by page: those of live entries,
    /// and for a while those of entries that have expired. Else as [`keys`](Self::keys).
    pub fn tags(&self, pattern: impl Into<String>) -> Listing {
        Listing::new(self.runtime.clone(), Catalogue::Tags, pattern.into())
    }

    /// The key of the server under which this lies, for programs that look at the server
    /// themselves: how much memory an entry takes, how long an index is. `None`: there is no
    /// server, or no such partition.
    ///
    /// # Example
    /// ```
    /// # use cache_core::{Cache, StoreKey};
    /// let cache = Cache::builder().url("redis://127.0.0.1").namespace("shop").build()?;
    /// let physical_key = cache.physical_key(StoreKey::Value("flight:42"));
    /// assert_eq!(physical_key.as_deref(), Some("shop:flight:42"));
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    pub fn physical_key(&self, of: StoreKey<'_>) -> Option<String> {
        self.runtime.store.as_ref()?.physical_key(of)
    }

    /// What every process invalidates on this store from the first look on, to be asked look by
    /// look: for whoever keeps outside what was made from cached values. The crate `cache-http`
    /// purges a CDN by it.
    ///
    /// # Example
    /// ```
    /// # use cache_core::{Cache, Cause};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// # let cache = Cache::in_memory();
    /// let mut trail = cache.follow_invalidations();
    /// assert!(trail.look().await?.is_everything(), "nothing is known of what was before");
    /// cache.peer().invalidate_tag("airport:DFW").await?;
    /// assert_eq!(trail.look().await?.names(), [Cause::Tag("airport:DFW".to_owned())]);
    /// assert!(trail.look().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow_invalidations(&self) -> InvalidationTrail {
        InvalidationTrail::new(self.runtime.clone())
    }

    /// Runs `future`, and says what its output was made from: the names of every cached call
    /// inside, and for how long all of it is fresh. For whoever keeps the output outside of this
    /// cache, as a CDN keeps a response.
    ///
    /// The calls are those of a load: none is served a stale value, a copy (`near`) or a hit that
    /// is verified. A task that is spawned inside is traced if [`in_current_load`] wraps it. What
    /// [`observe`] is given counts if `observe` is called inside:
    /// `cache.trace(async { observe(page()).await })`.
    ///
    /// [`in_current_load`]: crate::in_current_load
    /// [`observe`]: crate::observe
    ///
    /// # Cost
    /// That of a call inside a load: the names of every hit are read.
    ///
    /// # Example
    /// ```
    /// # use cache_core::{Cache, Cause};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let cache = Cache::in_memory();
    /// let load = || async { Ok::<_, std::convert::Infallible>(42) };
    /// let (answer, trace) = cache.trace(cache.get_or_load("answer", load)).await;
    /// assert_eq!(answer, Ok(42));
    /// assert_eq!(trace.names(), [Cause::Key("answer".to_owned())]);
    /// assert!(trace.fresh_for().is_some_and(|left| !left.is_zero()));
    /// # }
    /// ```
    pub fn trace<F: Future>(&self, future: F) -> impl Future<Output = (F::Output, Trace)> + use<F> {
        provenance::trace(self.runtime.id, self.runtime.config.names_max, future)
    }

    /// The invalidations and writes of this cache in this process from now on, each when it has
    /// ended: what it named, what it removed, how long it took, why it failed. Those of other
    /// processes are told there; those of [peers](Self::peer) by the peer.
    ///
    /// Dropped, the feed ends. It does not keep the cache alive.
    ///
    /// # Limits
    /// A listener that is more than 256 records behind [loses](InvalidationFeed::lost) the oldest.
    /// Of one invalidation 64 names and 32 prefixes are told, and all are counted.
    ///
    /// # Cost
    /// No round trip. While somebody listens, each invalidation copies the names that it tells;
    /// else it reads one number more. Nobody is waited for.
    ///
    /// # Example
    /// ```
    /// # use cache_core::Cache;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// # let cache = Cache::in_memory();
    /// cache.put("flight:42", &"DFW to BOS".to_owned()).await?;
    /// let mut feed = cache.subscribe_invalidations();
    /// cache.invalidate_key("flight:42").await?;
    /// let record = feed.next().await.expect("the cache is there");
    /// let flights = record.removed_by_prefix["flight"];
    /// assert_eq!((record.kind, record.removed, flights), ("names", 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_invalidations(&self) -> InvalidationFeed {
        self.runtime.feed.subscribe()
    }
}

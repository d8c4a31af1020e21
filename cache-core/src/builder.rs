//! How a cache is configured and opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::codec::{Compression, Format, Seal};
#[cfg(feature = "redis")]
use crate::config::PARTITIONS;
use crate::config::{CONNECTIONS_MAX, Config, DURATION_MAX, DURATION_MIN, LostWrites, NAME_BYTES_MAX, settings};
use crate::error::{Error, ErrorKind};
use crate::freshness::TtlClasses;
use crate::runtime::tenants::{Tenancy, TenantStores};
use crate::store::memory::MemoryStore;
#[cfg(feature = "tls")]
use crate::store::redis::Tls;
#[cfg(feature = "redis")]
use crate::store::redis::{Access, Credentials, CredentialsProvider, RedisPartitions, RedisStore};
use crate::store::{Partitions, Scheme, ScriptedStore, Store, StoreScript};

/// Settings of a cache that is not open yet. Made by [`Cache::builder`].
///
/// A duration is at least 1 ms; one of more than a hundred years counts as a hundred years. With a
/// lifetime below 1 ms nothing is stored.
///
/// # Example
/// ```
/// # use std::time::Duration;
/// use cache_core::Cache;
///
/// let cache = Cache::builder()
///     .url("memory://")
///     .namespace("shop")
///     .ttl_class("inventory", Duration::from_secs(60))
///     .default_ttl(Duration::from_secs(120))
///     .build()?;
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is opened before `build`"]
pub struct Builder {
    url: String,
    config: Config,
    classes: TtlClasses,
    #[cfg(feature = "redis")]
    access: Access,
}

macro_rules! setters {
    ($(
        $(#[$doc:meta])*
        $default:ident $name:ident: $type:ty = $number:literal $($unit:ident)?,
    )*) => {
        $($(#[$doc])*
        ///
        #[doc = concat!("Default: ", $number, $(" ", stringify!($unit),)? ".")]
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        })*
    };
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            url: "memory://".to_owned(),
            config: Config::default(),
            classes: TtlClasses::default(),
            #[cfg(feature = "redis")]
            access: Access::default(),
        }
    }

    /// Where entries live: `memory://` (default), `redis://`, `rediss://` (TLS: feature `tls`),
    /// `redis+unix://`, `redis-sentinel://` (`rediss-sentinel://`), or `redis-cluster://`
    /// (`rediss-cluster://`). `valkey` may stand for `redis`, and `unix://` for `redis+unix://`.
    /// Special characters in user and password are percent-encoded: `#` is `%23`.
    ///
    /// `memory://?partitions=16` spreads the entries over 16 partitions (a power of two, at most
    /// 1,024) which know of each other no more than the nodes of a cluster do: to run the tests of
    /// an application under the protocol of a cluster. It makes nothing faster.
    ///
    /// With TLS, `?ca=…&cert=…&key=…` names files of certificates, which are read when the cache is
    /// built ([`Tls`](crate::Tls) says it in code).
    ///
    /// # Sentinels
    /// `redis-sentinel://user:password@s1,s2:26380,s3/main/0` asks these sentinels, in turn, where
    /// the primary `main` is: whenever a connection is opened. User and password are those of the
    /// primary; the sentinels' own are `?sentinel_user=…&sentinel_pass=…`. The port is 26379 unless
    /// it stands there.
    ///
    /// Each connection is left as soon as the sentinel that it asked tells of another primary, also
    /// if the old one still takes itself for the primary; and one that cannot be opened is tried
    /// again at that moment. For that it keeps a connection to the sentinel, asks a silent one
    /// twice a second, and asks another sentinel if it is lost. What a failover may lose is said at
    /// [`on_lost_writes`](Self::on_lost_writes).
    ///
    /// # Clusters
    /// `redis-cluster://user:password@n1,n2:7000` asks any of these nodes, in any order, where all
    /// of them are; one that is down is no error. User and password are those of every node.
    /// `?partitions=64` says in how many partitions the entries are, each in a slot of its own: a
    /// power of two, at most 1,024, and 16 if it does not stand there. It is written down in the
    /// namespace, and stays the same as long as that is used. See
    /// [what it costs](crate::guide::cluster).
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// The text in front of every key of this cache in the store, which keeps the cache apart from
    /// other caches there. `cache` by default. Letters, digits, `-`, `_`, `.` and `/` are allowed.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.config.namespace = namespace.into();
        self
    }

    /// The lifetime of one data class, for functions with `class = "…"`. It may be changed while
    /// the cache is in use ([`Cache::set_ttl_class`]). A class that is in no table has the [default
    /// lifetime](Self::default_ttl), and that is logged once at WARN.
    ///
    /// # Example
    /// ```
    /// # use std::time::Duration;
    /// # use cache_core::Cache;
    /// let cache = Cache::builder()
    ///     .ttl_class("user_profile", Duration::from_secs(3600))
    ///     .ttl_class("user_settings", Duration::from_secs(1800))
    ///     .ttl_class("product_list", Duration::from_secs(300))
    ///     .ttl_class("inventory", Duration::from_secs(60))
    ///     .ttl_class("live_scores", Duration::from_secs(10))
    ///     .build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    pub fn ttl_class(mut self, class: impl Into<String>, ttl: Duration) -> Self {
        self.classes.set(class.into(), ttl);
        self
    }

    /// The lifetimes of many classes, such as a table read from a configuration file. Adds to the
    /// classes set before.
    pub fn ttl_classes(mut self, classes: TtlClasses) -> Self {
        self.classes.extend(classes.iter().map(|(class, ttl)| (class.to_owned(), ttl)));
        self
    }

    /// What to do when Redis comes back without writes that it had acknowledged: after a restart
    /// from an old RDB file or a truncated AOF, or after a failover to a replica that lagged
    /// behind. What was invalidated by those writes is there again. By default everything is
    /// [cleared](LostWrites::Clear).
    ///
    /// A process knows of a loss when it connects: the server's clock stands lower than this
    /// process has seen it, by a load, a write or an invalidation of its own. The first process
    /// that knows clears the namespace as [`Cache::clear`] does. Until that is done, it and every
    /// other process that knows call their functions, and serve nothing that is stored.
    ///
    /// To clear is the default, for no entry can be told from one that was invalidated. It costs
    /// one load for each key, as a server does that comes back empty. [`Keep`](LostWrites::Keep) is
    /// for data of which any age within the TTL will do.
    ///
    /// A loss goes unnoticed if no living process has loaded, written or invalidated after the lost
    /// writes: for example if all of them ended with the server, or have only had hits since.
    pub fn on_lost_writes(mut self, then: LostWrites) -> Self {
        self.config.lost_writes = then;
        self
    }

    /// How values are encoded whose function and type say no `codec`: [`Format::Json`] unless this
    /// says another one. What is stored already is read as it was written. See
    /// [the guide](crate::guide::codecs).
    pub fn codec(mut self, codec: Format) -> Self {
        self.config.storage.format = codec;
        self
    }

    /// How values of [`compress_bytes_min`](Self::compress_bytes_min) and more are compressed whose
    /// function and type say no `compress`: not at all, unless this says so.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.config.storage.compression = compression;
        self
    }

    /// A codec of your own that no function names any more, or not in this program: so that the
    /// entries that it wrote are read until their TTL ends.
    #[cfg(feature = "codec")]
    pub fn read_codec(mut self, codec: &'static dyn crate::codec::Codec) -> Self {
        self.config.storage.read.push(Format::Own(codec));
        self
    }

    /// Seals every value, and serves nothing that is not sealed: see [`Seal`].
    ///
    /// Processes with and without a seal have entries beside each other while both run, as two
    /// versions of a type have.
    pub fn seal(mut self, seal: impl Seal) -> Self {
        self.config.storage.seal = Some(Arc::new(seal));
        self
    }

    /// Whom to trust by TLS, and what to show of this process; for `rediss://` URLs. Without it
    /// Mozilla's authorities are trusted. Feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.access.tls = Some(tls);
        self
    }

    /// Asks for [`Credentials`] whenever a connection is opened, and again before they end
    /// ([`Credentials::valid_for`]): for tokens, and for passwords that rotate. The URL then has
    /// none.
    ///
    /// Each connection asks by itself, also at the same time: a provider that pays for its answers
    /// keeps the last one. An answer is waited for as long as a connection may take to be opened
    /// ([`connect_timeout`](Self::connect_timeout)). A provider that fails is asked again, and
    /// calls go on until the credentials have ended. Its error is logged, and must hold no secret.
    ///
    /// # Cost
    /// `AUTH` is one round trip beside the calls. Nothing waits for it.
    #[cfg(feature = "redis")]
    pub fn credentials<F, E>(mut self, provide: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.access.credentials = Some(CredentialsProvider::new(provide));
        self
    }

    /// For a cluster whose nodes announce addresses that lead nowhere from here, as behind NAT:
    /// where the node that announces `announced` is reached instead. `host:port` both, once for
    /// each node, 1,000 at most. The nodes in the URL are reached where that says.
    ///
    /// # Example
    /// ```
    /// # use cache_core::Cache;
    /// let cache = Cache::builder()
    ///     .url("redis-cluster://gateway.example:7001,gateway.example:7002")
    ///     .node_address("10.0.0.1:6379", "gateway.example:7001")
    ///     .node_address("10.0.0.2:6379", "gateway.example:7002")
    ///     .build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    #[cfg(feature = "redis")]
    pub fn node_address(mut self, announced: impl Into<String>, reached: impl Into<String>) -> Self {
        self.access.node_addresses.push((announced.into(), reached.into()));
        self
    }

    settings!(setters);

    /// Opens the cache.
    ///
    /// Does not need the server to be up, and does not wait for it: until the server is up, calls
    /// load. [`Cache::ready`] waits.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a URL or a setting that can never work.
    pub fn build(self) -> Result<Cache, Error> {
        let config = checked(self.config.clone())?;
        let (store, tenants) = self.open(&config)?;
        Ok(Cache::new(Some(store), config, self.classes, Tenancy::Landlord(tenants)))
    }

    /// As [`build`](Self::build), for a [scripted](Cache::scripted) cache with these settings.
    ///
    /// # Errors
    /// Those of `build`, and [`ErrorKind::Config`] for any URL but `memory://`.
    pub fn build_scripted(self) -> Result<(Cache, StoreScript), Error> {
        let config = checked(self.config)?;
        if !matches!(Scheme::of(&self.url)?, Scheme::Memory) {
            return Err(refusal("a scripted cache is inside this process: its URL is memory://"));
        }
        let (store, script) = ScriptedStore::new(&config);
        let store = Arc::new(store);
        let tenants = tenants_of(&store, |store, config| Arc::new(store.tenant(config)));
        Ok((Cache::new(Some(store), config, self.classes, Tenancy::Landlord(tenants)), script))
    }

    fn open(&self, config: &Config) -> Result<(Arc<dyn Store>, Arc<TenantStores>), Error> {
        match Scheme::of(&self.url)? {
            #[cfg(feature = "tls")]
            Scheme::Memory if self.access.tls.is_some() => Err(refusal(Tls::UNUSED)),
            #[cfg(feature = "redis")]
            Scheme::Memory if self.access.credentials.is_some() => {
                Err(refusal("the builder has a provider of credentials, but memory:// asks for none"))
            }
            #[cfg(feature = "redis")]
            Scheme::Memory if !self.access.node_addresses.is_empty() => {
                Err(refusal("the builder maps addresses of nodes, but memory:// has none"))
            }
            Scheme::Memory => {
                let partitions = Partitions::of_url(&self.url, Partitions::ONE)?;
                let open = move |config: &Config| Arc::new(MemoryStore::with_partitions(config, partitions));
                Ok((open(config), TenantStores::new(Box::new(move |config| open(config)))))
            }
            #[cfg(feature = "redis")]
            scheme if scheme.is_cluster() => {
                let partitions = Partitions::of_url(&self.url, Partitions::new(PARTITIONS))?;
                let store = Arc::new(RedisPartitions::open(&self.url, &self.access, config, partitions)?);
                let tenants = tenants_of(&store, |store, config| Arc::new(store.tenant(config)));
                Ok((store, tenants))
            }
            #[cfg(feature = "redis")]
            _ => {
                let store = Arc::new(RedisStore::open(&self.url, &self.access, config)?);
                let tenants = tenants_of(&store, |store, config| Arc::new(store.tenant(&config.namespace)));
                Ok((store, tenants))
            }
            #[cfg(not(feature = "redis"))]
            _ => Err(refusal("a Redis URL needs the feature `redis` of cache-core")),
        }
    }
}

/// Opens the tenants of a store over what the store has opened.
fn tenants_of<S: Store>(store: &Arc<S>, open: fn(&S, &Config) -> Arc<dyn Store>) -> Arc<TenantStores> {
    let store = store.clone();
    TenantStores::new(Box::new(move |config| open(&store, config)))
}

/// The ways to open a cache.
impl Cache {
    /// A cache inside this process: the same semantics, no server, at most 64 MiB
    /// ([`memory_bytes_max`](Builder::memory_bytes_max)).
    ///
    /// Its time is tokio's time. In a test that pauses tokio's time, TTLs, stale windows and early
    /// refreshes go with the test's own timers:
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// # use std::time::Duration;
    /// use cache_core::{Cache, cached};
    /// use tokio::time::{advance, sleep};
    ///
    /// #[cached(
    ///     prefix = "fare",
    ///     ttl = "1h",
    ///     stale_while_revalidate = "1h",
    ///     cache = cache,
    ///     skip(cache)
    /// )]
    /// async fn fare(cache: Cache, flight: u32) -> u32 {
    ///     sleep(Duration::from_secs(2)).await; // a slow source
    ///     flight * 10
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// fare(cache.clone(), 7).await;
    /// advance(Duration::from_secs(90 * 60)).await;
    /// assert_eq!(fare(cache.clone(), 7).await, 70); // stale, at once
    /// sleep(Duration::from_secs(3)).await;
    /// let stats = cache.stats();
    /// let fares = stats.prefix("fare");
    /// assert_eq!((fares.stale_hits, fares.refreshes, fares.loads), (1, 1, 2));
    /// # }
    /// # main() }
    /// ```
    pub fn in_memory() -> Self {
        Self::builder().build().expect("the default settings are valid")
    }

    /// A cache inside this process that behaves as one on a server, and a script that says what
    /// this server does wrong: for tests of what a program does while its cache fails. See
    /// [the guide](crate::guide::testing#when-the-store-fails).
    ///
    /// It has a breaker and deadlines, as a cache on Redis has, and each hit asks it: it keeps no
    /// copies, with `near` neither. It needs a tokio runtime with timers, and follows tokio's
    /// paused clock. [Peers](Self::peer) share the script.
    ///
    /// # Example
    /// ```
    /// # use std::convert::Infallible;
    /// # use cache_core::{Cache, StoreRequest};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (cache, script) = Cache::scripted();
    /// let load = || async { Ok::<_, Infallible>(42) };
    /// script.fail_next(1, StoreRequest::Read);
    /// assert_eq!(cache.get_or_load("answer", load).await, Ok(42)); // past the cache
    /// assert!(cache.peek::<u32>("answer").await.unwrap().is_none());
    /// # }
    /// ```
    pub fn scripted() -> (Self, StoreScript) {
        Self::builder().build_scripted().expect("the default settings are valid")
    }

    /// A cache at a URL, with the default settings.
    ///
    /// The server need not be up: until it is, calls load.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a URL that can never work.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::builder().url(url).build()
    }

    /// Begins with the settings: a [`Builder`].
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Builder").field("config", &self.config).field("classes", &self.classes).finish_non_exhaustive()
    }
}

/// The bounds of a setting of some type: every setting is checked here and nowhere else.
trait Setting: Sized {
    fn checked(self, name: &str) -> Result<Self, Error>;
}

impl Setting for Duration {
    /// A shorter time is too short for anything, and a longer one makes no difference.
    fn checked(self, name: &str) -> Result<Self, Error> {
        if self < DURATION_MIN {
            return Err(refusal(format!("{name} is at least {DURATION_MIN:?}: nothing would ever be stored in less")));
        }
        Ok(self.min(DURATION_MAX))
    }
}

impl Setting for u32 {
    fn checked(self, _: &str) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Setting for usize {
    fn checked(self, _: &str) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Setting for f64 {
    fn checked(self, name: &str) -> Result<Self, Error> {
        match (0.0..=1.0).contains(&self) {
            true => Ok(self),
            false => Err(refusal(format!("{name} is a share, from 0 to 1"))),
        }
    }
}

macro_rules! each_checked {
    ($(
        $(#[$doc:meta])*
        $default:ident $name:ident: $type:ty = $number:literal $($unit:ident)?,
    )*) => {
        fn each_checked(config: Config) -> Result<Config, Error> {
            $(let $name = config.$name.checked(stringify!($name))?;)*
            let Config { namespace, lost_writes, storage, .. } = config;
            Ok(Config { namespace, lost_writes, storage, $($name,)* })
        }
    };
}

settings!(each_checked);

fn checked(config: Config) -> Result<Config, Error> {
    let config = each_checked(config)?;
    let Config { namespace, connections, breaker_failures, lease, lease_wait, jitter, .. } = &config;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if namespace.is_empty() || !namespace.chars().all(allowed) {
        return Err(refusal("a namespace is made of letters, digits, `-`, `_`, `.` and `/`, at least one"));
    }
    if namespace.len() > NAME_BYTES_MAX {
        return Err(refusal("the namespace is too long"));
    }
    if !(1..=CONNECTIONS_MAX).contains(connections) {
        return Err(refusal(format!("connections is a number from 1 to {CONNECTIONS_MAX}")));
    }
    if *breaker_failures == 0 {
        return Err(refusal("breaker_failures is at least 1"));
    }
    if *jitter >= 1.0 {
        return Err(refusal("jitter is a share of the lifetime, below 1: nothing would be left of some"));
    }
    if lease_wait < lease {
        let message = "lease_wait is at least the lease, or waiters give up before they can take over";
        return Err(refusal(message));
    }
    Ok(config)
}

fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

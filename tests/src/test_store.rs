//! One store for one test.

use std::time::{Duration, Instant};

use cache_core::{Builder, Cache};
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;

use crate::{FOREVER, PATIENCE, ServerKind};

/// How long an [impatient](TestStore::impatient) cache waits for a load that a test holds.
const MOMENT: Duration = Duration::from_millis(100);

/// A store with a namespace that no other test uses.
#[derive(Debug)]
pub struct TestStore {
    kind: Option<ServerKind>,
    url: String,
    namespace: String,
    cache: OnceCell<Cache>,
}

impl TestStore {
    /// The embedded store.
    pub fn embedded() -> Self {
        Self::new(None, "memory://".to_owned())
    }

    /// The embedded store with four partitions, which keep the protocol of a cluster.
    pub fn four_partitions() -> Self {
        Self::new(None, "memory://?partitions=4".to_owned())
    }

    /// The embedded store with sixteen partitions.
    pub fn sixteen_partitions() -> Self {
        Self::new(None, "memory://?partitions=16".to_owned())
    }

    /// The shared Redis server.
    pub fn redis() -> Self {
        Self::new(Some(ServerKind::Redis), ServerKind::Redis.shared_url())
    }

    /// The shared Valkey server.
    pub fn valkey() -> Self {
        Self::new(Some(ServerKind::Valkey), ServerKind::Valkey.shared_url())
    }

    /// The shared Redis Cluster, with sixteen partitions.
    pub fn redis_cluster() -> Self {
        Self::cluster(ServerKind::Redis)
    }

    /// The shared Valkey cluster, with sixteen partitions.
    pub fn valkey_cluster() -> Self {
        Self::cluster(ServerKind::Valkey)
    }

    fn cluster(kind: ServerKind) -> Self {
        Self::new(Some(kind), format!("{}/?partitions=16", kind.shared_cluster_url()))
    }

    /// A server that a test has started.
    pub fn at(kind: ServerKind, url: String) -> Self {
        Self::new(Some(kind), url)
    }

    fn new(kind: Option<ServerKind>, url: String) -> Self {
        Self { kind, url, namespace: format!("t{:016x}", fastrand::u64(..)), cache: OnceCell::new() }
    }

    /// Which server it is; `None` is the embedded store.
    pub fn kind(&self) -> Option<ServerKind> {
        self.kind
    }

    /// What to open.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// This test's own.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Settings of a cache in this store and namespace. Each cache built from it has
    /// its own connections, flights and counters, as another process would; on the
    /// embedded store its own entries, too.
    ///
    /// Nothing depends on how fast the machine is: deadlines are long, leases and fences outlast
    /// the test. And no lifetime is shortened at random.
    pub fn builder(&self) -> Builder {
        let builder = Cache::builder().url(&self.url).namespace(&self.namespace).jitter(0.0);
        let builder = builder.operation_deadline(PATIENCE).connect_timeout(PATIENCE);
        builder.lease(FOREVER).lease_wait(FOREVER).fence_retention(FOREVER)
    }

    /// Settings of a cache that waits only for a moment for a load that is held. An
    /// invalidation frees the lease of a key that it names; it cannot know the leases of loads
    /// that it reaches in another way.
    pub fn impatient(&self) -> Builder {
        self.builder().lease(MOMENT).lease_wait(MOMENT)
    }

    /// The one cache of this test, ready.
    pub async fn cache(&self) -> Cache {
        self.cache.get_or_init(|| ready(self.builder())).await.clone()
    }

    /// A cache as another process has it, ready.
    ///
    /// # Panics
    /// On the embedded store, which no other process can see.
    pub async fn another_process(&self) -> Cache {
        assert!(self.kind.is_some(), "no other process sees the embedded store");
        ready(self.builder()).await
    }

    /// A driver connection, for assertions on bytes; on a cluster, to each of its nodes.
    ///
    /// # Panics
    /// On the embedded store.
    pub async fn raw(&self) -> Raw {
        assert!(self.kind.is_some(), "the embedded store has no bytes to look at");
        Raw::connect(&self.url).await
    }
}

/// Builds a cache and waits until its store answers.
///
/// # Panics
/// If the settings are refused, or nothing answers.
pub async fn ready(builder: Builder) -> Cache {
    let cache = builder.build().expect("valid settings");
    cache.ready(PATIENCE).await.expect("a store that answers");
    cache
}

/// Who may do everything. On the servers that all tests share whoever does not log in has no more
/// rights than the library needs.
const ADMIN: &str = "redis://admin:admin@";

/// A plain driver connection. Commands that this type does not name go through
/// [`connection`](Raw::connection).
///
/// On a cluster a command about a key goes to the node that serves the key, wherever that is. A
/// count is that of all nodes.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Of a server, or of the node of a cluster that is asked first.
    connection: MultiplexedConnection,
    /// The other nodes of the URL.
    others: Vec<MultiplexedConnection>,
}

impl Raw {
    /// Connects to a server, or to the nodes of a cluster that a URL names; as `admin` if there is
    /// one, for tests do to it what no cache does.
    ///
    /// # Panics
    /// If nothing answers there.
    pub async fn connect(url: &str) -> Self {
        let (scheme, places) = url.split_once("-cluster://").unwrap_or(("", ""));
        let nodes = places.split('/').next().unwrap_or_default().split(',').filter(|node| !node.is_empty());
        let mut connections = Vec::new();
        for node in nodes {
            connections.push(Self::connect_to(&format!("{scheme}://{node}")).await);
        }
        match connections.split_first() {
            Some((first, others)) => Self { connection: first.clone(), others: others.to_vec() },
            None => Self { connection: Self::connect_to(url).await, others: Vec::new() },
        }
    }

    async fn connect_to(url: &str) -> MultiplexedConnection {
        let as_admin = url.replacen("redis://", ADMIN, usize::from(!url.contains('@')));
        let connection = match Self::open(&as_admin).await {
            Err(error) if error.kind() == redis::ErrorKind::AuthenticationFailed => Self::open(url).await,
            opened => opened,
        };
        connection.unwrap_or_else(|error| panic!("no server at this URL: {error}"))
    }

    async fn open(url: &str) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(url).expect("a redis URL");
        // The driver gives up after half a second, which would hide what a
        // stalled command comes to in the end.
        let config = redis::AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// For everything else: `redis::cmd("…").query_async(raw.connection())`. Of a cluster it leads
    /// to one node.
    pub fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }

    /// The bytes of a string key.
    pub async fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.command("GET", &[key]).await
    }

    /// Writes a string key as somebody who bypasses the library would.
    pub async fn set(&mut self, key: &str, bytes: &[u8]) {
        self.ask::<()>(redis::cmd("SET").arg(key).arg(bytes)).await.expect("SET works");
    }

    /// Remaining lifetime as `PTTL` says it: -2 without the key, -1 without a lifetime.
    pub async fn ttl_ms(&mut self, key: &str) -> i64 {
        self.command("PTTL", &[key]).await
    }

    /// Asserts that a key was given this lifetime after `since`. What is left of it and what has
    /// passed make up the whole, however long a busy machine took in between.
    ///
    /// # Panics
    /// If it was given another one.
    pub async fn assert_ttl(&mut self, key: &str, ttl: Duration, since: Instant) {
        let left_ms = self.ttl_ms(key).await;
        let (ttl_ms, passed_ms) = (ttl.as_millis() as i64, since.elapsed().as_millis() as i64);
        let given_after = ttl_ms - left_ms.max(0);
        // Both count in whole milliseconds.
        assert!((0..=passed_ms + 2).contains(&given_after), "{key}: {left_ms} of {ttl_ms} ms left after {passed_ms}");
    }

    /// All physical keys of a namespace, sorted: values and bookkeeping.
    pub async fn keys(&mut self, namespace: &str) -> Vec<String> {
        // O(keys of the server), which the tests keep few.
        let pattern = if self.others.is_empty() { format!("{namespace}:*") } else { format!("{{{namespace}/*") };
        let mut keys = Vec::new();
        for mut node in self.nodes() {
            keys.extend(node.command::<Vec<String>>("KEYS", &[&pattern]).await);
        }
        keys.sort();
        keys
    }

    /// A number in the server's `INFO`; 0 if it is not told. Of a cluster, the sum.
    pub async fn info(&mut self, section: &str, name: &str) -> u64 {
        let mut sum = 0;
        for mut node in self.nodes() {
            sum += node.info_of_node(section, name).await;
        }
        sum
    }

    async fn info_of_node(&mut self, section: &str, name: &str) -> u64 {
        let text: String = self.command("INFO", &[section]).await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap_or("0");
        let digits = line.trim_start_matches("calls=").split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no number: {name}:{line}"))
    }

    /// How often the server was given a command since its statistics began.
    pub async fn calls_of(&mut self, command: &str) -> u64 {
        self.info("commandstats", &format!("cmdstat_{command}")).await
    }

    /// Any command whose arguments are text.
    ///
    /// # Panics
    /// If the server answers an error or another type.
    pub async fn command<T: redis::FromRedisValue>(&mut self, name: &str, arguments: &[&str]) -> T {
        let mut command = redis::cmd(name);
        for argument in arguments {
            command.arg(argument);
        }
        self.ask(&command).await.unwrap_or_else(|error| panic!("{name} fails: {error}"))
    }

    /// The nodes, each by itself.
    fn nodes(&self) -> impl Iterator<Item = Self> + use<> {
        let connections = [self.connection.clone()].into_iter().chain(self.others.clone());
        connections.map(|connection| Self { connection, others: Vec::new() })
    }

    /// Asks one node after the other until one does not say that another one serves the key.
    async fn ask<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> redis::RedisResult<T> {
        let mut answer = command.query_async(&mut self.connection).await;
        for node in &mut self.others {
            match &answer {
                Err(error) if error.code() == Some("MOVED") => {}
                _ => break,
            }
            answer = command.query_async(node).await;
        }
        answer
    }
}

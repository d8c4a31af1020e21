//! One store in one namespace, and the short forms that the tests are written in.

use super::*;
use crate::store::{HomeReading, Partitions};

#[cfg(feature = "redis")]
mod servers;

/// Of what a test stores without saying more.
pub(in crate::store) const TTL: Duration = Duration::from_secs(600);

pub(in crate::store) struct Rig {
    pub(in crate::store) store: Arc<dyn Store>,
    config: Config,
    backend: Backend,
}

enum Backend {
    Embedded(Arc<crate::store::memory::MemoryStore>),
    #[cfg(feature = "redis")]
    Redis {
        url: String,
        /// Without: the only one of the server.
        partitions: Option<Partitions>,
    },
}

impl Rig {
    /// The embedded store with so many partitions.
    pub(in crate::store) fn of_partitions(count: u16) -> Self {
        Self::embedded_over(Partitions::new(count), Config::default())
    }

    fn embedded_over(partitions: Partitions, config: Config) -> Self {
        Self::of_embedded(crate::store::memory::MemoryStore::with_partitions(&config, partitions), config)
    }

    /// The embedded store with so many partitions, without one rule.
    pub(in crate::store) fn breaking(rule: crate::store::rules::Rule, count: u16) -> Self {
        let (config, rules) = (Config::default(), crate::store::rules::Rules::all_but(rule));
        let partitions = Partitions::new(count);
        Self::of_embedded(crate::store::memory::MemoryStore::with_rules(&config, partitions, rules), config)
    }

    fn of_embedded(store: crate::store::memory::MemoryStore, config: Config) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), config, backend: Backend::Embedded(store) }
    }

    #[cfg(feature = "redis")]
    pub(in crate::store) async fn redis(variable: &str) -> Self {
        let url = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `cargo xtask test`"));
        let namespace = format!("conformance-{:016x}", fastrand::u64(..));
        let partitions = url.contains("-cluster:").then_some(Partitions::ONE);
        Self::redis_with(url, partitions, Config { namespace, connections: 1, ..Config::default() })
    }

    /// So many partitions on one server, or on a cluster.
    #[cfg(feature = "redis")]
    pub(in crate::store) async fn redis_of(variable: &str, count: u16) -> Self {
        let Self { config, backend, .. } = Self::redis(variable).await;
        let Backend::Redis { url, .. } = backend else { unreachable!("it was made for a Redis") };
        let rig = Self::redis_with(url, Some(Partitions::new(count)), config);
        rig.store.ready(10 * SECOND).await.unwrap();
        rig
    }

    #[cfg(feature = "redis")]
    fn redis_with(url: String, partitions: Option<Partitions>, config: Config) -> Self {
        let config = Config { operation_deadline: Duration::from_secs(10), ..config };
        let access = Default::default();
        let store: Arc<dyn Store> = match partitions {
            None => Arc::new(crate::store::redis::RedisStore::open(&url, &access, &config).unwrap()),
            Some(count) => Arc::new(crate::store::redis::RedisPartitions::open(&url, &access, &config, count).unwrap()),
        };
        Self { store, config, backend: Backend::Redis { url, partitions } }
    }

    /// The same namespace, through a client of its own.
    pub(in crate::store) fn another(&self) -> Arc<dyn Store> {
        match &self.backend {
            Backend::Embedded(store) => store.clone(),
            #[cfg(feature = "redis")]
            Backend::Redis { url, partitions } => Self::redis_with(url.clone(), *partitions, self.config.clone()).store,
        }
    }

    /// The same namespace, through a client that keeps fences and dead members for no time at all.
    pub(in crate::store) fn without_retention(self) -> Self {
        let config = Config { fence_retention: Duration::ZERO, ..self.config };
        match self.backend {
            Backend::Embedded(store) => Self::embedded_over(store.partitions(), config),
            #[cfg(feature = "redis")]
            Backend::Redis { url, partitions } => Self::redis_with(url, partitions, config),
        }
    }

    pub(in crate::store) fn retention(&self) -> Duration {
        self.config.fence_retention
    }

    /// Until the store's clock, in µs, has moved on.
    pub(in crate::store) async fn wait_a_tick(&self) {
        let before = std::time::Instant::now();
        while before.elapsed() < Duration::from_micros(100) {
            tokio::task::yield_now().await;
        }
    }

    pub(in crate::store) async fn lease(&self, key: &str, token: Token) -> LeaseReply {
        self.store
            .take_lease(
                key,
                LeaseRequest::waiting(token, Duration::from_secs(5), IfPresent::Return, Recall::Nothing),
                far(),
            )
            .await
            .unwrap()
    }

    /// Waits for the lease of `key` to end.
    pub(in crate::store) async fn until_granted(&self, key: &str) {
        let granted = async {
            while !matches!(self.lease(key, Token::new()).await, LeaseReply::Granted(_)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(10 * SECOND, granted).await.expect("the lease should have ended");
    }

    /// What a load of `key` that begins now is given.
    pub(in crate::store) async fn reading(&self, key: &str) -> ClockReading {
        self.reading_as(Token::new(), key).await
    }

    async fn reading_as(&self, token: Token, key: &str) -> ClockReading {
        let reply = self
            .store
            .take_lease(
                key,
                LeaseRequest::waiting(token, Duration::from_secs(5), IfPresent::Ignore, Recall::Nothing),
                far(),
            )
            .await
            .unwrap();
        match reply {
            LeaseReply::Granted(clock) | LeaseReply::Held { clock, .. } => clock,
            LeaseReply::Hit(_) => unreachable!("present values are ignored"),
        }
    }

    /// What a load of `key` would have been given at the time of a reading.
    pub(in crate::store) fn of_key(&self, key: &str, clock: &ClockReading) -> ClockReading {
        let own = |homes: &Arc<[HomeReading]>| {
            let partitions = Partitions::new(homes.len().try_into().unwrap());
            homes[usize::from(partitions.home_of_key(key))].clone()
        };
        match clock.homes.as_ref().map(own) {
            None => clock.clone(),
            Some(HomeReading { incarnation, seq }) => ClockReading { incarnation, seq, ..clock.clone() },
        }
    }

    /// By a load that holds no lease.
    pub(in crate::store) async fn try_fill_bytes(
        &self,
        key: &str,
        names: &[Name],
        clock: &ClockReading,
        payload: &[u8],
    ) -> FillReply {
        self.fill_as(Token::new(), key, names, clock, payload).await
    }

    pub(in crate::store) async fn fill_as(
        &self,
        token: Token,
        key: &str,
        names: &[Name],
        clock: &ClockReading,
        payload: &[u8],
    ) -> FillReply {
        let value = stored(names, payload);
        let fill = Fill { key, value, names, ttl: TTL, clock: &self.of_key(key, clock), token, learned: None };
        self.store.fill(fill, far()).await.unwrap()
    }

    /// By a load that holds no lease and has learned something.
    pub(in crate::store) async fn fill_teaching(
        &self,
        key: &str,
        names: &[Name],
        clock: &ClockReading,
        learned: Option<(Bytes, Duration)>,
    ) -> FillReply {
        let (value, ttl) = (stored(names, key.as_bytes()), Duration::from_secs(600));
        let clock = &self.of_key(key, clock);
        let fill = Fill { key, value, names, ttl, clock, token: Token::new(), learned };
        self.store.fill(fill, far()).await.unwrap()
    }

    pub(in crate::store) async fn try_fill(&self, key: &str, names: &[&str], clock: &ClockReading) -> FillReply {
        self.try_fill_bytes(key, &parse(names), clock, key.as_bytes()).await
    }

    pub(in crate::store) async fn fill(&self, key: &str, names: &[&str]) {
        let token = Token::new();
        let clock = self.reading_as(token, key).await;
        assert_eq!(self.fill_as(token, key, &parse(names), &clock, key.as_bytes()).await, FillReply::Stored);
    }

    /// With another hard TTL than [`TTL`].
    pub(in crate::store) async fn fill_for(&self, key: &str, names: &[&str], ttl: Duration) {
        let (names, clock) = (parse(names), self.reading(key).await);
        let value = stored(&names, key.as_bytes());
        let fill = Fill { key, value, names: &names, ttl, clock: &clock, token: Token::new(), learned: None };
        assert_eq!(self.store.fill(fill, far()).await.unwrap(), FillReply::Stored);
    }

    /// `m:0`, `m:1`, …
    pub(in crate::store) async fn fill_many(&self, count: usize, names: &[&str]) {
        let clock = self.store.read_clock("a", Recall::Nothing, far()).await.unwrap();
        for at in 0..count {
            assert_eq!(self.try_fill(&format!("m:{at}"), names, &clock).await, FillReply::Stored);
        }
    }

    pub(in crate::store) async fn write(&self, key: &str, names: &[&str], clock: &ClockReading) -> WriteReply {
        self.write_as(key, &parse(names), clock, None).await
    }

    pub(in crate::store) async fn write_teaching(
        &self,
        key: &str,
        clock: &ClockReading,
        learned: Option<(Bytes, Duration)>,
    ) -> WriteReply {
        self.write_as(key, &[], clock, learned).await
    }

    async fn write_as(
        &self,
        key: &str,
        names: &[Name],
        clock: &ClockReading,
        learned: Option<(Bytes, Duration)>,
    ) -> WriteReply {
        let (value, ttl) = (stored(names, key.as_bytes()), Duration::from_secs(600));
        let clock = &self.of_key(key, clock);
        let fill = Fill { key, value, names, ttl, clock, token: Token::new(), learned };
        let mut written = self.store.write(fill, None, far()).await.unwrap();
        let rest = std::mem::replace(&mut written.rest, Operation::new(&[], Intent::Invalidate));
        written.drained.removed += self.finish(rest).await;
        written.drained.pending = 0;
        written
    }

    /// The payload.
    pub(in crate::store) async fn get(&self, key: &str) -> Option<Bytes> {
        let value = self.store.get(key, far()).await.unwrap()?;
        let names_bytes = u32::from_le_bytes(value[52..56].try_into().unwrap()) as usize;
        Some(value.slice(56 + names_bytes..))
    }

    /// The first step of an operation whose client sends no other.
    pub(in crate::store) async fn chunk(&self, names: &[&str]) -> Removal {
        first_step(&*self.store, &parse(names), Intent::Invalidate).await.unwrap()
    }

    pub(in crate::store) async fn step(&self, operation: &mut Operation<'_>) -> Removal {
        self.store.step(operation, far()).await.unwrap()
    }

    /// To its end; the number of entries removed.
    pub(in crate::store) async fn invalidate(&self, names: &[&str]) -> u64 {
        self.operate(&parse(names), Intent::Invalidate).await
    }

    pub(in crate::store) async fn operate(&self, names: &[Name], intent: Intent) -> u64 {
        self.finish(self.store.begin(names, intent)).await
    }

    pub(in crate::store) async fn finish(&self, mut operation: Operation<'_>) -> u64 {
        let mut removed = 0;
        while !operation.is_done() {
            removed += self.step(&mut operation).await.removed;
        }
        self.store.settle(operation);
        self.have_settled().await;
        removed
    }

    pub(in crate::store) async fn sweep(&self, pattern: &str, scopes: &[SweepScope]) -> u64 {
        let mut removed = 0;
        for &scope in scopes {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let page = self.store.sweep(pattern, scope, at, far()).await.unwrap();
                removed += page.drained.removed + self.finish(page.rest).await;
                cursor = page.next;
            }
        }
        removed
    }

    /// What settles on a server is a task, whose scripts go over the connection of all others.
    async fn have_settled(&self) {
        #[cfg(feature = "redis")]
        if let Backend::Redis { partitions: Some(_), .. } = &self.backend {
            tokio::task::yield_now().await;
            self.store.look(crate::store::Look::Given(&[]), far()).await.unwrap();
        }
    }

    /// The entry expires, or is evicted; its memberships stay.
    pub(in crate::store) async fn lose_entry(&self, key: &str) {
        match &self.backend {
            Backend::Embedded(store) => store.lose_entry(key),
            #[cfg(feature = "redis")]
            Backend::Redis { .. } => {
                let key = self.store.physical_key(crate::store::StoreKey::Value(key)).unwrap();
                let mut raw = self.raw_of(&key).await;
                ::redis::cmd("DEL").arg(key).query_async::<()>(&mut raw).await.unwrap();
            }
        }
    }

    /// One partition of the embedded store loses everything.
    pub(in crate::store) fn lose_partition(&self, number: u16) {
        match &self.backend {
            Backend::Embedded(store) => store.lose_partition(number),
            #[cfg(feature = "redis")]
            Backend::Redis { .. } => unreachable!("a server has one partition"),
        }
    }

    /// Indexes and unfinished work that exist.
    pub(in crate::store) async fn bookkeeping(&self) -> usize {
        match &self.backend {
            Backend::Embedded(store) => store.bookkeeping(),
            #[cfg(feature = "redis")]
            Backend::Redis { .. } => {
                let glob = format!("*{}*:~index:*", self.config.namespace);
                // An index of marks alone is none.
                let count = "local count = 0
                    for _, index in ipairs(redis.call('KEYS', ARGV[1])) do
                      for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
                        if string.byte(member) ~= 126 then
                          count = count + 1
                          break
                        end
                      end
                    end
                    return count";
                let mut sum = 0;
                for mut raw in self.raws().await {
                    let eval = ::redis::cmd("EVAL").arg(count).arg(0).arg(&glob).clone();
                    sum += eval.query_async::<usize>(&mut raw).await.unwrap();
                }
                sum
            }
        }
    }
}

/// The first step of an operation.
pub(in crate::store) async fn first_step(store: &dyn Store, names: &[Name], intent: Intent) -> Result<Removal, Error> {
    store.step(&mut store.begin(names, intent), far()).await
}

pub(in crate::store) fn parse(names: &[&str]) -> Vec<Name> {
    let mut names: Vec<_> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
    names.sort();
    names
}

/// A stored entry as far as a store looks at it: see the layout in `entry`.
pub(in crate::store) fn stored(names: &[Name], payload: &[u8]) -> Bytes {
    let mut block = String::new();
    for name in names {
        block.push('\n');
        block.push_str(name.as_str());
    }
    if !names.is_empty() {
        block.push('\n');
    }
    let mut bytes = vec![0; 56];
    bytes[52..56].copy_from_slice(&(block.len() as u32).to_le_bytes());
    bytes.extend_from_slice(block.as_bytes());
    bytes.extend_from_slice(payload);
    bytes.into()
}

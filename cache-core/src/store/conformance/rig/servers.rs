//! What tests do to a store on a server, or on a cluster, beside its methods.

use super::*;

impl Rig {
    /// A command on a key of this namespace, given without the root.
    pub(in crate::store) async fn raw_command(&self, words: &[&str]) -> ::redis::Value {
        let mut command = ::redis::cmd(words[0]);
        command.arg(format!("{}{}", self.root(), words[1])).arg(&words[2..]);
        command.query_async(&mut self.raw().await).await.unwrap()
    }

    /// Names `tf0`, `tf1`, … with rising fences.
    pub(in crate::store) async fn add_fences(&self, count: usize, first: u64) {
        let mut raw = self.raw().await;
        for slice in (0..count).collect::<Vec<_>>().chunks(10_000) {
            let mut add = ::redis::cmd("ZADD");
            add.arg(format!("{}~clock", self.root()));
            slice.iter().for_each(|at| {
                add.arg(first + *at as u64).arg(format!("tf{at}"));
            });
            add.query_async::<()>(&mut raw).await.unwrap();
        }
    }

    pub(in crate::store) async fn script_flush(&self) {
        ::redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut self.raw().await).await.unwrap();
    }

    pub(in crate::store) async fn now_ms(&self) -> u64 {
        let (s, us): (u64, u64) = ::redis::cmd("TIME").query_async(&mut self.raw().await).await.unwrap();
        s * 1_000 + us / 1_000
    }

    /// What a client does before it uses a primary, if it talked to another one last; `seen` is the
    /// highest sequence number that it has seen.
    pub(in crate::store) async fn meet(&self, seen: u64) -> String {
        self.meet_on(&format!("!reign:{}", self.reign().await), seen).await
    }

    /// The same on a connection that has this mark.
    pub(in crate::store) async fn meet_on(&self, mark: &str, seen: u64) -> String {
        crate::store::redis::meet_of(&self.root(), (mark, seen), &mut self.raw().await).await
    }

    /// The server's.
    pub(in crate::store) async fn reign(&self) -> String {
        let told: String = ::redis::cmd("INFO").query_async(&mut self.raw().await).await.unwrap();
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        [field("run_id:"), field("master_replid:")].map(|id| &id[..16]).join("/")
    }

    /// As if another primary had written the clock: the marks of this one are not in it.
    pub(in crate::store) async fn take_over(&self) {
        self.reading("a").await;
        let mark = format!("!reign:{}", self.reign().await);
        assert_eq!(self.raw_command(&["ZREM", "~clock", &mark]).await, ::redis::Value::Int(1));
        self.raw_command(&["ZADD", "~clock", "-1", "!reign:another/primary"]).await;
    }

    /// One call of the background, which reaps only if none has done so within half of `pause`.
    pub(in crate::store) async fn reap(&self, pause: Duration) -> String {
        crate::store::redis::reap_of(&self.root(), pause, &mut self.raw().await).await
    }

    /// The same namespace, with a store of its own.
    pub(in crate::store) fn redis_store(&self, fence_retention: Duration) -> crate::store::redis::RedisStore {
        let Backend::Redis { url, .. } = &self.backend else { unreachable!("asked of a Redis alone") };
        let config = Config { fence_retention, ..self.config.clone() };
        crate::store::redis::RedisStore::open(url, &Default::default(), &config).unwrap()
    }

    /// The same namespace, by a process that takes it to have another number of partitions.
    pub(in crate::store) fn of_another_count(&self, count: u16) -> Arc<dyn Store> {
        let Backend::Redis { url, .. } = &self.backend else { unreachable!("asked of a Redis alone") };
        Self::redis_with(url.clone(), Some(Partitions::new(count)), self.config.clone()).store
    }

    /// The same namespace and partitions, with a store of its own.
    pub(in crate::store) fn partitions_store(&self) -> crate::store::redis::RedisPartitions {
        let Backend::Redis { url, partitions: Some(count) } = &self.backend else { unreachable!("it has several") };
        crate::store::redis::RedisPartitions::open(url, &Default::default(), &self.config, *count).unwrap()
    }

    /// What every key of the first of several partitions begins with.
    pub(in crate::store) fn root_of_first(&self) -> String {
        crate::store::redis::root_of("redis-cluster://x", &self.config.namespace)
    }

    pub(in crate::store) fn namespace(&self) -> &str {
        &self.config.namespace
    }

    /// What every key of the store begins with.
    pub(in crate::store) fn root(&self) -> String {
        let Backend::Redis { url, .. } = &self.backend else { unreachable!("asked of a Redis alone") };
        crate::store::redis::root_of(url, &self.config.namespace)
    }

    /// A connection to the server, or to the node of a cluster that has the first partition.
    pub(in crate::store) async fn raw(&self) -> ::redis::aio::MultiplexedConnection {
        self.raw_of(&format!("{}~never", self.root())).await
    }

    /// To the one that has this key.
    pub(in crate::store) async fn raw_of(&self, key: &str) -> ::redis::aio::MultiplexedConnection {
        for mut raw in self.raws().await {
            if ::redis::cmd("EXISTS").arg(key).query_async::<u32>(&mut raw).await.is_ok() {
                return raw;
            }
        }
        panic!("no node has the keys")
    }

    /// To the server, or to each node.
    pub(super) async fn raws(&self) -> Vec<::redis::aio::MultiplexedConnection> {
        let Backend::Redis { url, .. } = &self.backend else { unreachable!("asked of a Redis alone") };
        let nodes = url.strip_prefix("redis-cluster://").map(|places| places.split(','));
        let one = || vec![url.clone()];
        let urls = nodes.map_or_else(one, |places| places.map(|place| format!("redis://{place}")).collect());
        let open = async |url: &str| ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await;
        let mut raws = Vec::new();
        for url in urls {
            // Whoever does not log in has no more rights than the library needs.
            raws.push(match open(&url.replace("redis://", "redis://admin:admin@")).await {
                Err(error) if error.kind() == ::redis::ErrorKind::AuthenticationFailed => open(&url).await.unwrap(),
                opened => opened.unwrap(),
            });
        }
        raws
    }
}

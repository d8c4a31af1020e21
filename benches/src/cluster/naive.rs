//! A cluster as one would use it without a library: a set for each tag and for what depends on a
//! key, by the cluster client of `redis`. Nobody cleans the sets up, and a fill that an
//! invalidation has overtaken stores the old value.

use cache_tests::ClusterSet;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue};

use super::READY;
use super::contestant::{DEPENDENTS, Operation, TTL, VALUE_BYTES};

const PREFIX: &str = "naive:";
/// Keys that `SCAN` is to look at.
const PAGE: usize = 1_000;

#[derive(Clone)]
pub struct Naive {
    cluster: ClusterConnection,
    /// `SCAN` is for one node.
    nodes: Vec<MultiplexedConnection>,
}

impl Naive {
    pub async fn connect(set: &ClusterSet) -> Self {
        let seeds = set.nodes.iter().map(|node| node.url());
        let client = ClusterClient::builder(seeds).connection_timeout(READY).response_timeout(READY).build();
        let cluster = client.expect("URLs of a cluster").get_async_connection().await;
        let mut nodes = Vec::new();
        for node in &set.nodes {
            nodes.push(node.raw().await.connection().clone());
        }
        Self { cluster: cluster.expect("a cluster that answers"), nodes }
    }

    /// Returns how often the caller has waited.
    pub async fn make(&mut self, operation: Operation, id: u64) -> u64 {
        let key = operation.key(id, 0);
        match operation {
            Operation::Hit => {
                let value: Option<String> = self.ask(Cmd::get(stored(&key))).await;
                assert_eq!(value.expect("a hit").len(), VALUE_BYTES);
                1
            }
            Operation::Miss(_) => self.fill(&key, &operation.tags(id)).await,
            Operation::Key => {
                assert_eq!(self.ask::<u64>(Cmd::del(stored(&key))).await, 1);
                1
            }
            Operation::Tag(members) => {
                let set = set_of(&operation.tags(id)[0]);
                let mut keys: Vec<String> = self.ask(Cmd::smembers(&set)).await;
                keys.push(set);
                assert_eq!(self.ask::<u64>(Cmd::del(keys)).await, members + 1);
                2
            }
            Operation::Cascade => self.cascade(&key).await,
            Operation::Clear => self.clear().await,
        }
    }

    pub async fn fill(&mut self, key: &str, tags: &[String]) -> u64 {
        assert_eq!(self.ask::<Option<String>>(Cmd::get(stored(key))).await, None, "a miss");
        let store = Cmd::set_ex(stored(key), "x".repeat(VALUE_BYTES), TTL.as_secs());
        let sets = tags.iter().map(|tag| Cmd::sadd(set_of(tag), stored(key)));
        self.ask_at_once::<()>([store].into_iter().chain(sets)).await;
        2
    }

    pub async fn store_cascade(&mut self, id: u64) {
        let key = |member| Operation::Cascade.key(id, member);
        self.fill(&key(0), &[]).await;
        for middle in 1..=DEPENDENTS {
            self.fill(&key(middle), &[key(0)]).await;
            for leaf in 0..DEPENDENTS {
                self.fill(&key(middle * DEPENDENTS + 1 + leaf), &[key(middle)]).await;
            }
        }
    }

    /// Reads level by level what depends on what falls, then deletes it.
    async fn cascade(&mut self, key: &str) -> u64 {
        let (mut falling, mut level) = (Vec::new(), vec![stored(key)]);
        let mut waited = 0;
        while !level.is_empty() {
            let sets: Vec<String> = level.iter().map(|key| set_of(key.trim_start_matches(PREFIX))).collect();
            let found: Vec<Vec<String>> = self.ask_at_once(sets.iter().map(Cmd::smembers)).await;
            falling.extend(level.into_iter().chain(sets));
            level = found.into_iter().flatten().collect();
            waited += 1;
        }
        let keys_and_sets = 2 + 2 * DEPENDENTS + DEPENDENTS * DEPENDENTS;
        assert_eq!(self.ask::<u64>(Cmd::del(falling)).await, keys_and_sets);
        waited + 1
    }

    /// Walks through all nodes at once, and deletes what a page has.
    pub async fn clear(&mut self) -> u64 {
        let walks = self.nodes.clone().into_iter().map(|mut node| {
            let mut this = self.clone();
            async move {
                let (mut waited, mut cursor) = (0, 0);
                loop {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(PAGE);
                    let (next, keys): (u64, Vec<String>) = scan.query_async(&mut node).await.expect("a page");
                    waited += 1;
                    if !keys.is_empty() {
                        this.ask::<u64>(Cmd::del(keys)).await;
                        waited += 1;
                    }
                    if next == 0 {
                        return waited;
                    }
                    cursor = next;
                }
            }
        });
        join_all(walks).await.into_iter().max().unwrap_or_default()
    }

    async fn ask<T: FromRedisValue>(&mut self, command: Cmd) -> T {
        command.query_async(&mut self.cluster).await.expect("the cluster answers")
    }

    async fn ask_at_once<T: FromRedisValue>(&self, commands: impl Iterator<Item = Cmd>) -> Vec<T> {
        join_all(commands.map(|command| {
            let mut cluster = self.cluster.clone();
            async move { command.query_async(&mut cluster).await.expect("the cluster answers") }
        }))
        .await
    }
}

fn stored(key: &str) -> String {
    [PREFIX, key].concat()
}

fn set_of(name: &str) -> String {
    [PREFIX, "set:", name].concat()
}

//! By what addresses the nodes of a cluster are met: those that they announce, in their map of the
//! slots and when a slot has moved.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_core::{Cache, cached};
use cache_tests::{ClusterSet, Log, PRIMARIES, ServerOptions, TestStore, each_server, ready, slot_of, until};

const PARTITIONS: u16 = 16;
const TAGS: u32 = 4;
/// Of each tag.
const ITEMS: u32 = 8;

/// One process of an application.
#[derive(Clone)]
struct App {
    cache: Cache,
    source: Arc<AtomicU32>,
    loads: Arc<AtomicU32>,
}

#[cached(prefix = "item", ttl = "600s", cache = app.cache, skip(app), tags = ["of:{tag}"])]
async fn item(app: &App, at: u32, tag: u32) -> u32 {
    app.loads.fetch_add(1, Ordering::SeqCst);
    app.source.load(Ordering::SeqCst)
}

impl App {
    async fn another(&self, set: &ClusterSet, store: &TestStore) -> Self {
        Self { cache: open(set, store).await, ..self.clone() }
    }

    async fn check_returns(&self, version: u32) {
        for (at, tag) in items() {
            assert_eq!(item(self, at, tag).await, version);
        }
    }

    /// Whether all items are stored.
    async fn hits(&self, version: u32) -> bool {
        let before = self.loads.load(Ordering::SeqCst);
        self.check_returns(version).await;
        self.loads.load(Ordering::SeqCst) == before
    }
}

fn items() -> impl Iterator<Item = (u32, u32)> {
    (0..TAGS * ITEMS).map(|at| (at, at % TAGS))
}

async fn open(set: &ClusterSet, store: &TestStore) -> Cache {
    ready(store.builder().url(format!("{}/?partitions={PARTITIONS}", set.url()))).await
}

/// What is filled is served, and what one process invalidates falls for both: before slots have
/// moved, and after it.
async fn check_serves(set: &ClusterSet, store: &TestStore) {
    let app = App { cache: open(set, store).await, source: Arc::new(AtomicU32::new(1)), loads: Arc::default() };
    let other = app.another(set, store).await;
    for moved in [None, Some(3), Some(12)] {
        if let Some(partition) = moved {
            let from = set.owner(slot_of(partition)).await;
            set.move_slot(slot_of(partition), (from + 1) % PRIMARIES).await;
        }
        let version = app.source.load(Ordering::SeqCst);
        until(async || app.hits(version).await).await;
        app.source.store(version + 1, Ordering::SeqCst);
        assert!(other.hits(version).await, "nothing is invalidated yet");
        for tag in 0..TAGS {
            let fallen = other.cache.invalidate_tag(format!("of:{tag}")).await.unwrap();
            assert_eq!(fallen.entries, u64::from(ITEMS));
        }
        app.check_returns(version + 1).await;
        other.check_returns(version + 1).await;
    }
}

/// Checks that each node was met at this host, whatever stands in the URL.
fn check_met_at(host: &str, log: &Log) {
    let met: Vec<String> =
        log.text().lines().filter(|line| line.contains("serves a partition")).map(Into::into).collect();
    assert!(met.len() >= usize::from(PARTITIONS), "{met:?}");
    assert!(met.iter().all(|line| line.contains(&format!("node={host}:"))), "{met:#?}");
}

each_server! {
    async fn nodes_are_met_by_the_host_name_that_they_prefer(store: TestStore) {
        let options = |_| {
            let named = ServerOptions::new().line("cluster-announce-hostname localhost");
            named.line("cluster-preferred-endpoint-type hostname")
        };
        let set = ClusterSet::with(store.kind().unwrap(), options).await;
        set.named("localhost").await;
        assert!(!set.url().contains("localhost"));
        let (log, _listening) = Log::listen();
        check_serves(&set, &store).await;
        check_met_at("localhost", &log);
    }

    /// This machine has to have the loopback address of IPv6.
    async fn nodes_are_met_by_addresses_of_ipv6(store: TestStore) {
        let set = ClusterSet::at(store.kind().unwrap(), Ipv6Addr::LOCALHOST).await;
        let (log, _listening) = Log::listen();
        check_serves(&set, &store).await;
        check_met_at("[::1]", &log);
    }
}

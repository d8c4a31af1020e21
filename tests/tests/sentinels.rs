//! A primary that sentinels watch over: it is found through any of them, and left when they have
//! another one. Calls go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, ErrorKind};
use cache_tests::{DOWN_AFTER, Log, SentinelSet, Server, TestStore, each_server, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(url: &str) -> Cache {
    Cache::builder().url(url).build().unwrap()
}

async fn load(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async { Ok(value) }).await.unwrap()
}

/// Whether an entry is stored and served.
async fn serves(cache: &Cache) -> bool {
    let _ = cache.invalidate_key("probe").await;
    load(cache, "probe", 1).await;
    cache.peek::<u32>("probe").await.is_ok_and(|stored| stored == Some(1))
}

/// The server that has the cache's entries.
async fn has_entries(server: &Server) -> bool {
    !server.raw().await.keys("cache").await.is_empty()
}

/// Whether what is stored now stands at the second server and not at the first one, which is no
/// replica of it.
async fn serves_from_the_second_alone(cache: &Cache, set: &SentinelSet, number: &mut u32) -> bool {
    *number += 1;
    let key = format!("probe:{number}");
    load(cache, &key, 1).await;
    let mut found = Vec::new();
    for server in &set.servers {
        let keys = server.raw().await.keys("cache").await;
        found.push(keys.contains(&format!("cache:{key}")));
    }
    found == [false, true]
}

each_server! {
    async fn the_primary_is_found_through_any_sentinel(store: TestStore) {
        found_through_any(SentinelSet::start(store.kind().unwrap()).await).await;
    }

    async fn a_failover_that_is_asked_for_fails_no_call(store: TestStore) {
        failover_on_demand(SentinelSet::start(store.kind().unwrap()).await).await;
    }

    async fn a_primary_that_is_killed_is_replaced(store: TestStore) {
        killed_primary(SentinelSet::start(store.kind().unwrap()).await).await;
    }

    async fn a_primary_that_does_not_know_that_it_was_replaced_is_left(store: TestStore) {
        hidden_primary(SentinelSet::start(store.kind().unwrap()).await).await;
    }

    async fn a_sentinel_that_is_lost_is_replaced(store: TestStore) {
        lost_sentinel(SentinelSet::start(store.kind().unwrap()).await).await;
    }

    async fn what_the_sentinels_cannot_say_is_told(store: TestStore) {
        refusals(SentinelSet::start(store.kind().unwrap()).await).await;
    }
}

async fn found_through_any(mut set: SentinelSet) {
    let url = set.url();
    for down in [None, Some(0), Some(1)] {
        if let Some(down) = down {
            set.sentinels[down].stop();
        }
        let cache = open(&url);
        cache.ready(PATIENCE).await.unwrap();
        assert!(serves(&cache).await);
    }
    assert!(has_entries(&set.servers[0]).await);
    // A cache that has its connections asks nobody.
    let cache = open(&url);
    cache.ready(PATIENCE).await.unwrap();
    set.sentinels[2].stop();
    assert!(serves(&cache).await);
    let error = open(&url).ready(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

async fn failover_on_demand(set: SentinelSet) {
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let caller = tokio::spawn({
        let (cache, stop) = (cache.clone(), stop.clone());
        async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                // What a call returns is what its own load would give, or what was stored.
                assert_eq!(load(&cache, &format!("item:{}", calls % 50), 7).await, 7);
                calls += 1;
                // Without a store a call waits for nothing, and this task would run alone.
                tokio::task::yield_now().await;
            }
            calls
        }
    });
    set.fail_over().await;
    until(async || serves(&cache).await).await;
    stop.store(true, Ordering::Relaxed);
    assert!(caller.await.unwrap() > 100);
    assert!(cache.invalidate_key("item:1").await.is_ok());
}

async fn killed_primary(mut set: SentinelSet) {
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
    set.servers[0].stop();
    let killed = Instant::now();
    assert_eq!(load(&cache, "item:1", 7).await, 7, "calls go on");
    until(async || set.primary().await == 1).await;
    let replaced = killed.elapsed();
    until(async || serves(&cache).await).await;
    println!("down after {DOWN_AFTER:?}; replaced {replaced:?} after the kill; in use {:?} after it", killed.elapsed());
    assert!(has_entries(&set.servers[1]).await);
}

/// It takes itself for the primary, and its sockets stay open.
async fn hidden_primary(set: SentinelSet) {
    let (log, _listening) = Log::listen();
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
    set.hide(0).await;
    until(async || set.primary().await == 1).await;
    let (replaced, mut number) = (Instant::now(), 0);
    until(async || serves_from_the_second_alone(&cache, &set, &mut number).await).await;
    println!("left {:?} after it was replaced", replaced.elapsed());
    let role: String = set.servers[0].raw().await.command("INFO", &["replication"]).await;
    assert!(role.contains("role:master"), "nobody told it: {role}");
    assert!(log.text().contains("the sentinels have another primary"), "{}", log.text());
}

/// A sentinel that is lost is replaced by another one, which tells of the change.
async fn lost_sentinel(mut set: SentinelSet) {
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
    set.hide(0).await;
    set.sentinels[0].stop();
    set.sentinels.rotate_left(1);
    until(async || set.primary().await == 1).await;
    let mut number = 0;
    until(async || serves_from_the_second_alone(&cache, &set, &mut number).await).await;
}

async fn refusals(set: SentinelSet) {
    let sentinel = set.sentinels[0].address();
    let bare = Server::start(set.kind);
    let server = bare.address();
    let login = ":watcher@";
    for (url, expected) in [
        (format!("redis-sentinel://{login}{sentinel}/other"), "knows no primary of the name \"other\""),
        (format!("redis-sentinel://{server}/main"), "is no sentinel: redis://"),
        (format!("redis://{sentinel}"), "is a sentinel: redis-sentinel://"),
    ] {
        let error = open(&url).ready(PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    set.sentinels[0].raw().await.command::<()>("ACL", &["SETUSER", "default", "resetpass", ">pw"]).await;
    let url = format!("redis-sentinel://{login}{sentinel}/main");
    let error = open(&url).ready(PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("sentinel_pass"), "{error}");
    open(&format!("{url}?sentinel_pass=pw")).ready(PATIENCE).await.unwrap();
    let error = open(&format!("{url}?sentinel_pass=s3cr3t")).ready(PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("sentinel_pass") && !error.to_string().contains("s3cr3t"), "{error}");
}

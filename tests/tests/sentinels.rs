//! A primary that sentinels watch over: it is found through any of them, and left within a second
//! when they have another one. Calls go on meanwhile.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, ErrorKind};
use cache_tests::{DOWN_AFTER, Log, SentinelSet, Server, TestStore, each_server, redis, until};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(20);

/// A second is counted in turns. Each is a pause, and then an answer of the new primary and of a
/// sentinel: a machine that is busy, and lets this process or those servers wait, makes the turns
/// longer and breaks no promise. A pause that the library makes of itself goes on for as many
/// turns on every machine.
const TURN: Duration = Duration::from_millis(10);
const TURNS_A_SECOND: u32 = 100;

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

/// Whether an entry is stored at the second server, and served. Once that is a primary, nobody but
/// the cache writes to it.
async fn serves_from_the_second(cache: &Cache, set: &SentinelSet, key: &str) -> bool {
    load(cache, key, 1).await;
    let is_served = cache.peek::<u32>(key).await.is_ok_and(|stored| stored == Some(1));
    is_served && set.servers[1].raw().await.keys("cache").await.contains(&format!("cache:{key}"))
}

/// By an own connection, for a server that is promoted ends those that it has.
async fn is_primary(server: &Server) -> bool {
    let told = async {
        let mut connection = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").arg("replication").query_async::<String>(&mut connection).await
    };
    told.await.is_ok_and(|told| told.contains("role:master"))
}

/// Counts turns until it is dropped.
struct Turns {
    counted: Arc<AtomicU32>,
    counting: JoinHandle<()>,
}

impl Turns {
    async fn begin(set: &SentinelSet) -> Self {
        let (mut primary, mut sentinel) = (set.servers[1].raw().await, set.sentinels[0].raw().await);
        let counted = Arc::<AtomicU32>::default();
        let counting = tokio::spawn({
            let counted = counted.clone();
            async move {
                loop {
                    sleep(TURN).await;
                    primary.command::<String>("PING", &[]).await;
                    sentinel.command::<String>("PING", &[]).await;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { counted, counting }
    }

    fn so_far(&self) -> u32 {
        self.counted.load(Ordering::Relaxed)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.counting.abort();
    }
}

/// Waits until the second server has taken the first one's place. What the sentinels need for that
/// is theirs; when they have named it, the cache has a second.
async fn check_taken_over(cache: &Cache, set: &SentinelSet, what: &str, begun: Instant) {
    until(async || is_primary(&set.servers[1]).await).await;
    let (promoted, turns) = (begun.elapsed(), Turns::begin(set).await);
    let named_at = Cell::new(None);
    let turns_since = || named_at.get().map_or(0, |at| turns.so_far() - at);
    let named = async {
        until(async || set.primary().await == 1).await;
        named_at.set(Some(turns.so_far()));
        begun.elapsed()
    };
    let in_use = async {
        let mut number = 0;
        until(async || {
            number += 1;
            let serves = serves_from_the_second(cache, set, &format!("probe:{number}")).await;
            serves || turns_since() > TURNS_A_SECOND
        })
        .await;
        (begun.elapsed(), turns_since())
    };
    let (named, (in_use, turns)) = tokio::join!(named, in_use);
    println!(
        "{what}, {:?}, down after {DOWN_AFTER:?}: promoted {promoted:.2?}, named {named:.2?}, in use {in_use:.2?} \
         after it; {:.2?} and {turns} turns after it was named",
        set.kind,
        in_use.saturating_sub(named),
    );
    assert!(turns <= TURNS_A_SECOND, "{what}: in use {turns} turns after it was named");
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

    async fn a_sentinel_s_user_needs_two_commands_and_a_channel(store: TestStore) {
        rights(SentinelSet::start(store.kind().unwrap()).await).await;
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
    let begun = Instant::now();
    tokio::join!(set.fail_over(), check_taken_over(&cache, &set, "SENTINEL FAILOVER", begun));
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
    check_taken_over(&cache, &set, "SIGKILL", killed).await;
}

/// It takes itself for the primary, and its sockets stay open.
async fn hidden_primary(set: SentinelSet) {
    let (log, _listening) = Log::listen();
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
    let hidden = Instant::now();
    set.hide(0).await;
    check_taken_over(&cache, &set, "hidden from the sentinels", hidden).await;
    assert!(is_primary(&set.servers[0]).await, "nobody told it");
    assert!(log.text().contains("the sentinels have another primary"), "{}", log.text());
}

/// A sentinel that is lost is replaced by another one, which tells of the change.
async fn lost_sentinel(mut set: SentinelSet) {
    let cache = open(&set.url());
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
    let hidden = Instant::now();
    set.hide(0).await;
    set.sentinels[0].stop();
    set.sentinels.rotate_left(1);
    check_taken_over(&cache, &set, "hidden, and a sentinel is lost", hidden).await;
}

/// What `cache-core/docs/operating.md` says of it: this suffices, and nothing less does.
async fn rights(set: SentinelSet) {
    let url = format!("{}?sentinel_user=shop&sentinel_pass=pw", set.url());
    let rights = ["resetchannels", "-@all", "&+switch-master", "+subscribe", "+sentinel|get-master-addr-by-name"];
    let allow = async |rights: &[&str]| {
        for sentinel in &set.sentinels {
            let words = [&["SETUSER", "shop", "reset", "on", ">pw"], rights].concat();
            sentinel.raw().await.command::<()>("ACL", &words).await;
        }
    };
    for missing in 2..rights.len() {
        let mut fewer = rights.to_vec();
        fewer.remove(missing);
        allow(&fewer).await;
        let error = open(&url).ready(PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "without {}: {error}", rights[missing]);
        assert!(error.to_string().contains("the sentinel at"), "{error}");
    }
    allow(&rights).await;
    let cache = open(&url);
    cache.ready(PATIENCE).await.unwrap();
    assert!(serves(&cache).await);
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

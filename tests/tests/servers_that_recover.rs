//! Servers that cannot serve for a while, in their own words: what callers, `ready` and `health`
//! are told, and that nobody has to do anything once the server is well again. The page on
//! operating has the same as a table.

use std::time::Duration;

use cache_core::{Cache, ErrorKind, cached};
use cache_tests::{PATIENCE, Raw, Server, ServerOptions, TestStore, each_server, redis, until};

/// How long `ready` waits before it gives the reason of its last failure.
const SHORT: Duration = Duration::from_millis(300);

fn open(server: &Server) -> Cache {
    let builder = Cache::builder().url(server.url()).namespace("shop").jitter(0.0);
    builder.operation_deadline(PATIENCE).connect_timeout(PATIENCE).build().unwrap()
}

async fn ready(server: &Server) -> Cache {
    let cache = open(server);
    cache.ready(PATIENCE).await.unwrap();
    cache
}

async fn load(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

/// Whether a call finds what a call before it has stored.
async fn stores(cache: &Cache) -> bool {
    load(cache, "probe:1", 1).await;
    matches!(cache.peek::<u32>("probe:1").await, Ok(Some(1)))
}

/// What a new process is told, once it has an answer. What it cannot have is no error for good.
async fn new_process_is_told(server: &Server, word: &str) {
    let cache = open(server);
    until(async || {
        let error = cache.ready(SHORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        error.to_string().contains(word)
    })
    .await;
    assert!(cache.health().disconnected);
}

/// Also to a new process, which finds it fit: a hit is a read.
async fn hits_are_served(server: &Server, cache: &Cache) {
    let another = ready(server).await;
    assert!(another.health().is_good());
    for cache in [cache, &another] {
        assert_eq!(load(cache, "hit:1", 8).await, 7);
    }
}

/// Calls go on, and what must not be lost is owed.
async fn does_without(cache: &Cache, word: &str) {
    assert_eq!(load(cache, "a:1", 2).await, 2, "{word}: a call loads");
    let error = cache.invalidate_key("a:2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(word), "{error}");
    assert!(cache.health().owes_invalidations);
}

async fn recovers(cache: &Cache) {
    until(async || cache.health().is_good() && stores(cache).await).await;
}

async fn told(raw: &mut Raw, section: &str, field: &str) -> String {
    let text: String = raw.command("INFO", &[section]).await;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().to_owned()
}

/// A command that is answered when all is over, or never.
fn begin(server: &Server, name: &'static str, arguments: &'static [&'static str]) {
    let client = redis::Client::open(server.url()).unwrap();
    std::thread::spawn(move || {
        let _ = redis::cmd(name).arg(arguments).exec(&mut client.get_connection().unwrap());
    });
}

each_server! {
    /// `LOADING`: a server that reads its file.
    async fn a_server_that_loads_its_data_is_waited_for(store: TestStore) {
        let lines = ["enable-debug-command yes", "loading-process-events-interval-bytes 1024", "save 3600 1"];
        let options = lines.into_iter().fold(ServerOptions::new(), ServerOptions::line);
        let server = Server::with(store.kind().unwrap(), options);
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        raw.command::<()>("DEBUG", &["POPULATE", "10000", "filler", "100"]).await;
        raw.command::<()>("CONFIG", &["SET", "key-load-delay", "10000"]).await;
        begin(&server, "DEBUG", &["RELOAD"]);
        until(async || told(&mut raw, "persistence", "loading").await == "1").await;
        does_without(&cache, "LOADING").await;
        new_process_is_told(&server, "LOADING").await;
        raw.command::<()>("CONFIG", &["SET", "key-load-delay", "0"]).await;
        recovers(&cache).await;
    }

    /// `BUSY`: another program's script does not end.
    async fn a_server_that_a_script_holds_is_waited_for(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line("busy-reply-threshold 10"));
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        begin(&server, "EVAL", &["while true do end", "0"]);
        until(async || load_fails(&cache).await).await;
        does_without(&cache, "BUSY").await;
        new_process_is_told(&server, "BUSY").await;
        raw.command::<()>("SCRIPT", &["KILL"]).await;
        recovers(&cache).await;
    }

    /// `MISCONF`: a server that could not save its file, and takes no writes until it can.
    async fn a_server_whose_disk_fails_serves_what_it_has(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line("save 3600 1"));
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        load(&cache, "hit:1", 7).await;
        let in_the_way = server.directory().join("dump.rdb");
        std::fs::create_dir(&in_the_way).unwrap();
        std::fs::write(in_the_way.join("file"), "").unwrap();
        raw.command::<()>("BGSAVE", &[]).await;
        until(async || told(&mut raw, "persistence", "rdb_last_bgsave_status").await == "err").await;
        does_without(&cache, "MISCONF").await;
        hits_are_served(&server, &cache).await;
        std::fs::remove_dir_all(&in_the_way).unwrap();
        raw.command::<()>("BGSAVE", &[]).await;
        recovers(&cache).await;
    }

    /// `NOREPLICAS`: a primary that takes no writes without its replicas.
    async fn a_primary_without_its_replicas_serves_what_it_has(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        load(&cache, "hit:1", 7).await;
        raw.command::<()>("CONFIG", &["SET", "min-replicas-to-write", "1"]).await;
        does_without(&cache, "NOREPLICAS").await;
        hits_are_served(&server, &cache).await;
        raw.command::<()>("CONFIG", &["SET", "min-replicas-to-write", "0"]).await;
        recovers(&cache).await;
    }

    /// `OOM`: full, with an eviction policy that evicts nothing.
    async fn a_full_server_serves_what_it_has_and_removes(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        load(&cache, "hit:1", 7).await;
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        assert_eq!(load(&cache, "a:1", 2).await, 2);
        hits_are_served(&server, &cache).await;
        assert_eq!(cache.invalidate_key("hit:1").await.unwrap().entries, 1);
        assert!(!stores(&cache).await);
        assert!(cache.health().is_good());
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "0"]).await;
        recovers(&cache).await;
    }

    /// A connection from before writes what it finds out, before it fences and removes.
    async fn a_full_server_whose_reign_began_anew_removes(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let (cache, mut raw) = (ready(&server).await, server.raw().await);
        for of in [["127.0.0.1", "1"], ["NO", "ONE"]] {
            raw.command::<()>("REPLICAOF", &of).await;
        }
        ready(&server).await.invalidate_key("a:1").await.unwrap();
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        cache.invalidate_key("a:1").await.unwrap();
    }

    /// Or it would stay full.
    async fn what_has_died_leaves_a_full_server(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let cache = Cache::builder().url(server.url()).fence_retention(SHORT).operation_deadline(PATIENCE);
        let cache = cache.build().unwrap();
        cache.ready(PATIENCE).await.unwrap();
        let mut raw = server.raw().await;
        assert_eq!(brief(&cache, 1).await, 1);
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        let keys: u64 = raw.command("DBSIZE", &[]).await;
        assert!(keys > 1, "a membership is on record");
        until(async || raw.command::<u64>("DBSIZE", &[]).await == 1).await; // the clock
    }
}

#[cached(prefix = "brief", ttl = "1s", tags = ["group"], skip(cache), cache = cache)]
async fn brief(cache: &Cache, id: u32) -> u32 {
    id
}

/// Whether the store has failed a call.
async fn load_fails(cache: &Cache) -> bool {
    let errors = cache.stats().total().errors;
    load(cache, "probe:2", 1).await;
    cache.stats().total().errors > errors
}

//! A server that comes back without its last writes: what was invalidated by them is there again,
//! and whoever knows serves none of it.

use cache_core::{Cache, LostWrites};
use cache_tests::{Fault, FaultProxy, Raw, Server, ServerOptions, TestStore, each_server, ready, until};

/// One that keeps what it is told to save.
fn keeping(store: &TestStore) -> Server {
    Server::with(store.kind().unwrap(), ServerOptions::new().line("dbfilename dump.rdb"))
}

async fn save(server: &Server) {
    server.raw().await.command::<()>("SAVE", &[]).await;
}

/// Makes a server follow another one, and waits until it has what the other one has.
async fn follow(follower: &Server, leader: &Server) {
    let (mut raw, mut source) = (follower.raw().await, leader.raw().await);
    raw.command::<()>("REPLICAOF", &["127.0.0.1", &leader.address().port().to_string()]).await;
    until(async || replication(&mut raw, "master_link_status").await == "up").await;
    let written = replication(&mut source, "master_repl_offset").await;
    until(async || replication(&mut raw, "slave_repl_offset").await >= written).await;
}

async fn lead(server: &Server) {
    server.raw().await.command::<()>("REPLICAOF", &["NO", "ONE"]).await;
}

async fn replication(raw: &mut Raw, field: &str) -> String {
    let text: String = raw.command("INFO", &["replication"]).await;
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default().to_owned()
}

/// Two servers, of which the second one follows the first.
async fn pair(store: &TestStore) -> (Server, Server) {
    let start = || Server::with(store.kind().unwrap(), ServerOptions::new().line("repl-diskless-sync-delay 0"));
    let (first, second) = (start(), start());
    follow(&second, &first).await;
    (first, second)
}

/// Loads `value` if nothing is stored.
async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

async fn stored(cache: &Cache, key: &str) -> Option<u32> {
    cache.peek::<u32>(key).await.ok().flatten()
}

/// Calls until a new value is stored; none of the calls may be served the old one.
async fn is_never_served_1(cache: &Cache, key: &str) {
    until(async || {
        assert_eq!(get(cache, key, 2).await, 2, "{key}");
        stored(cache, key).await == Some(2)
    })
    .await;
}

/// The server has `a:1` = 1 and `b:1` = 1 when it is saved. Then `a:1` is invalidated.
async fn invalidated_after_the_save(server: &Server, cache: &Cache) {
    get(cache, "a:1", 1).await;
    get(cache, "b:1", 1).await;
    save(server).await;
    assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
}

each_server! {
    #![multi_thread]

    async fn what_was_invalidated_after_the_file_was_written_is_not_served(store: TestStore) {
        let mut server = keeping(&store);
        let cache = ready(store.builder().url(server.url())).await;
        invalidated_after_the_save(&server, &cache).await;
        server.restart();
        is_never_served_1(&cache, "a:1").await;
        until(async || !cache.health().owes_invalidations).await;
        assert_eq!(stored(&cache, "b:1").await, None, "nothing tells it from what was invalidated");
        get(&cache, "b:1", 3).await;
        assert_eq!(stored(&cache, "b:1").await, Some(3));
    }

    /// It has invalidated nothing, but has loaded since.
    async fn a_process_that_has_only_loaded_since_knows_too(store: TestStore) {
        let mut server = keeping(&store);
        let writer = ready(store.builder().url(server.url())).await;
        let reader = ready(store.builder().url(server.url())).await;
        invalidated_after_the_save(&server, &writer).await;
        assert_eq!(get(&reader, "a:1", 2).await, 2);
        drop(writer);
        server.restart();
        is_never_served_1(&reader, "a:1").await;
    }

    /// ★ New processes come first, and move the clock past what the others have seen.
    async fn a_process_that_comes_last_knows_all_the_same(store: TestStore) {
        let mut server = keeping(&store);
        let proxy = FaultProxy::start(server.address()).await;
        let last = ready(store.builder().url(proxy.url())).await;
        invalidated_after_the_save(&server, &last).await;
        proxy.set(Fault::Refuse).await;
        server.restart();
        let first = ready(store.builder().url(server.url())).await;
        assert_eq!(get(&first, "a:1", 2).await, 1, "it cannot know");
        first.invalidate_key("unrelated").await.unwrap();
        proxy.set(Fault::None).await;
        is_never_served_1(&last, "a:1").await;
        until(async || !last.health().owes_invalidations).await;
        assert_eq!(stored(&first, "b:1").await, None, "it is helped");
    }

    /// ★ A fleet would clear the namespace as often as it has processes.
    async fn what_one_process_has_cleared_another_does_not_clear_again(store: TestStore) {
        let mut server = keeping(&store);
        let proxy = FaultProxy::start(server.address()).await;
        let last = ready(store.builder().url(proxy.url())).await;
        let first = ready(store.builder().url(server.url())).await;
        invalidated_after_the_save(&server, &first).await;
        assert_eq!(get(&last, "a:1", 2).await, 2);
        proxy.set(Fault::Refuse).await;
        server.restart();
        until(async || get(&first, "a:1", 3).await == 3 && stored(&first, "a:1").await == Some(3)).await;
        until(async || !first.health().owes_invalidations).await;
        proxy.set(Fault::None).await;
        until(async || stored(&last, "a:1").await == Some(3)).await;
        assert!(!last.health().owes_invalidations);
        assert_eq!(stored(&first, "a:1").await, Some(3));
    }

    async fn a_server_that_lacks_nothing_keeps_what_it_has(store: TestStore) {
        let mut server = keeping(&store);
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        cache.invalidate_key("a:1").await.unwrap();
        get(&cache, "a:1", 2).await;
        save(&server).await;
        for _ in 0..2 {
            server.restart();
            until(async || stored(&cache, "a:1").await == Some(2)).await;
            assert!(!cache.health().owes_invalidations);
        }
    }

    /// ★ It is the same process, with the data of another one: only its history tells.
    async fn a_primary_that_followed_another_and_is_back_may_have_lost_writes(store: TestStore) {
        let (server, other) = pair(&store).await;
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        follow(&other, &server).await;
        lead(&other).await;
        assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
        follow(&server, &other).await;
        until(async || cache.health().disconnected).await;
        lead(&server).await;
        is_never_served_1(&cache, "a:1").await;
    }

    async fn a_primary_that_followed_another_and_lacks_nothing_keeps_what_it_has(store: TestStore) {
        let (server, other) = pair(&store).await;
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        cache.invalidate_key("b:1").await.unwrap();
        follow(&other, &server).await;
        lead(&other).await;
        follow(&server, &other).await;
        until(async || cache.health().disconnected).await;
        lead(&server).await;
        until(async || stored(&cache, "a:1").await == Some(1)).await;
        assert!(!cache.health().owes_invalidations);
    }

    async fn who_says_so_keeps_what_may_be_old(store: TestStore) {
        let mut server = keeping(&store);
        let cache = ready(store.builder().url(server.url()).on_lost_writes(LostWrites::Keep)).await;
        invalidated_after_the_save(&server, &cache).await;
        server.restart();
        until(async || stored(&cache, "a:1").await == Some(1)).await;
        assert!(!cache.health().owes_invalidations);
    }

    async fn another_cache_on_the_same_connections_serves_nothing_old_either(store: TestStore) {
        let mut server = keeping(&store);
        let cache = ready(store.builder().url(server.url())).await;
        let peer = cache.peer();
        invalidated_after_the_save(&server, &cache).await;
        server.restart();
        is_never_served_1(&peer, "a:1").await;
    }

    async fn a_full_server_can_be_met(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let first = ready(store.builder().url(server.url())).await;
        get(&first, "a:1", 1).await;
        server.raw().await.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        let second = ready(store.builder().url(server.url())).await;
        assert_eq!(stored(&second, "a:1").await, Some(1));
    }
}

//! A server that cannot serve the cache is told at once, with the command that it refuses; one that
//! lacks what can be done without serves all the same.

use std::time::Duration;

use cache_core::{Cache, Error, ErrorKind};
use cache_tests::{Log, Raw, Server, ServerOptions, TestStore, each_server};

const PATIENCE: Duration = Duration::from_secs(10);

fn open(url: &str) -> Cache {
    Cache::builder().url(url).namespace("shop").operation_deadline(PATIENCE).build().unwrap()
}

/// What `ready` says, and what is logged once at WARN.
async fn refusal(url: &str) -> Error {
    let (log, _listening) = Log::listen();
    let cache = open(url);
    let error = cache.ready(PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(cache.health().disconnected);
    let value = cache.get_or_load::<u32, (), _>("a:1", || async { Ok(1) }).await;
    assert_eq!(value, Ok(1), "calls load");
    assert_eq!(cache.invalidate_key("a:1").await.unwrap_err().kind(), ErrorKind::Config);
    let log = log.text();
    let warned = log.lines().filter(|line| line.contains(" WARN ") && line.contains(&error.to_string()));
    assert_eq!(warned.count(), 1, "{error}:\n{log}");
    error
}

/// Stores and removes, on every connection.
async fn check_serves(cache: &Cache) {
    cache.ready(PATIENCE).await.unwrap();
    assert!(cache.health().is_good(), "{:?}", cache.health());
    for at in 0..32 {
        let key = format!("a:{at}");
        cache.get_or_load::<u32, (), _>(key.as_str(), || async move { Ok(at) }).await.unwrap();
        assert_eq!(cache.peek::<u32>(key.as_str()).await.unwrap(), Some(at));
    }
    assert_eq!(cache.invalidate_pattern("a:*").await.unwrap().entries, 32);
    assert_eq!(cache.stats().total().errors, 0);
}

/// A new user who may do everything but this, with the URL to log in. Never the same one: a cache
/// that owes an invalidation goes on trying as the user that it has.
async fn user(server: &Server, rules: &[&str]) -> String {
    let mut raw = server.raw().await;
    let users: Vec<String> = raw.command("ACL", &["USERS"]).await;
    let name = format!("user{}", users.len());
    let all = ["SETUSER", &name, "on", ">pw", "~*", "&*", "+@all"];
    raw.command::<()>("ACL", &[&all, rules].concat()).await;
    server.url().replace("redis://", &format!("redis://{name}:pw@"))
}

/// What is left in the namespace.
async fn keys(server: &Server) -> Vec<String> {
    Raw::connect(&server.url()).await.keys("shop").await
}

each_server! {
    async fn a_node_of_a_cluster_is_refused(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line("cluster-enabled yes"));
        let error = refusal(&server.url()).await;
        let told = error.to_string();
        let url = server.url().replace("redis://", "redis-cluster://");
        assert!(told.contains("Redis Cluster") && told.contains(&url), "{told}");
    }

    async fn a_server_by_itself_is_refused_to_the_url_of_a_cluster(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let told = refusal(&server.url().replace("redis://", "redis-cluster://")).await.to_string();
        assert!(told.contains("no node of a cluster") && told.contains(&server.url()), "{told}");
    }

    async fn another_number_of_partitions_than_the_namespace_has_is_refused_with_both(store: TestStore) {
        let url = store.kind().unwrap().shared_cluster_url();
        let open = |partitions: u16| store.builder().url(format!("{url}/?partitions={partitions}")).build().unwrap();
        open(4).ready(PATIENCE).await.unwrap();
        let error = open(8).ready(PATIENCE).await.unwrap_err();
        let told = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(told.contains("has 4 partitions") && told.contains("have 8") && told.contains("?partitions=4"), "{told}");
        open(4).ready(PATIENCE).await.unwrap();
    }

    async fn a_command_that_was_renamed_away_is_named(store: TestStore) {
        for command in ["EVALSHA", "TIME", "ZMSCORE", "GETRANGE"] {
            let line = format!("rename-command {command} \"\"");
            let server = Server::with(store.kind().unwrap(), ServerOptions::new().line(line));
            let error = refusal(&server.url()).await;
            assert!(error.to_string().contains(command), "{error}");
        }
    }

    async fn a_permission_that_is_missing_is_named(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        for command in ["evalsha", "time", "zadd", "rename", "mget"] {
            let url = user(&server, &[&format!("-{command}")]).await;
            let error = refusal(&url).await;
            assert!(error.to_string().contains(&command.to_uppercase()), "{error}");
        }
        let error = refusal(&format!("{}/1", user(&server, &["-select"]).await)).await;
        assert!(error.to_string().contains("SELECT"), "{error}");
        assert_eq!(keys(&server).await, [""; 0], "a trial leaves nothing behind");
    }

    async fn a_user_for_other_keys_is_told_which_to_allow(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        for keys in ["~other:*", "%R~shop:*"] {
            let error = refusal(&user(&server, &["resetkeys", keys]).await).await;
            assert!(error.to_string().contains("keys"), "{keys}: {error}");
        }
    }

    async fn what_can_be_done_without_is_named_and_done_without(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        for (rules, missing) in [
            (&["-info"][..], "\"INFO\""),
            (&["-script"], "\"SCRIPT LOAD\""),
            (&["-client"], "\"CLIENT TRACKING, CLIENT SETNAME\""),
            (&["-@dangerous", "-script", "-client"], "\"CLIENT TRACKING, CLIENT SETNAME, SCRIPT LOAD, INFO\""),
        ] {
            server.raw().await.command::<()>("SCRIPT", &["FLUSH"]).await;
            let (log, _listening) = Log::listen();
            check_serves(&open(&user(&server, rules).await)).await;
            let log = log.text();
            let warned: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
            assert!(matches!(warned[..], [line] if line.contains(missing)), "{rules:?}: {warned:?}");
        }
        let (log, _listening) = Log::listen();
        check_serves(&open(&user(&server, &[]).await)).await;
        assert!(!log.text().contains(" WARN "), "{}", log.text());
    }

    /// `CONFIG` is never asked, and missed by nobody.
    async fn commands_that_were_renamed_away_are_done_without(store: TestStore) {
        for (commands, missing) in [
            (&["CONFIG"][..], None),
            (&["CLIENT"], Some("\"CLIENT TRACKING, CLIENT SETNAME\"")),
            (&["SCRIPT"], Some("\"SCRIPT LOAD\"")),
            (&["INFO", "CONFIG"], Some("\"INFO\"")),
        ] {
            let rename = |options: ServerOptions, command: &&str| options.line(format!("rename-command {command} \"\""));
            let options = commands.iter().fold(ServerOptions::new(), rename);
            let server = Server::with(store.kind().unwrap(), options);
            let (log, _listening) = Log::listen();
            check_serves(&open(&server.url())).await;
            let log = log.text();
            let warned: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
            assert_eq!(warned.len(), missing.iter().len(), "{commands:?}: {warned:?}");
            assert!(missing.is_none_or(|missing| warned[0].contains(missing)), "{commands:?}: {warned:?}");
        }
    }

    async fn fewer_connections_than_asked_for_serve_every_key(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line("maxclients 3"));
        let (log, _listening) = Log::listen();
        let builder = Cache::builder().url(server.url()).namespace("shop").operation_deadline(PATIENCE);
        check_serves(&builder.connections(4).build().unwrap()).await;
        assert!(log.text().contains("maxclients"), "{}", log.text());
    }

    async fn a_server_whose_memory_is_full_is_fit(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(1, "noeviction"));
        let cache = open(&server.url());
        cache.ready(PATIENCE).await.unwrap();
        assert!(cache.health().is_good(), "{:?}", cache.health());
    }
}

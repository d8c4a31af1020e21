//! Wrong settings are told at once, clearly, and without a credential.

use cache_core::{Cache, ErrorKind, Invalidation, cached};
use cache_tests::{Log, PATIENCE, Server, ServerOptions, TestStore, each_server, ready};

/// What the README tells users to allow.
fn least_privilege() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let (_, command) = readme.split_once("redis-cli ACL SETUSER shop ").expect("the README has a user");
    let (rules, _) = command.split_once("```").expect("its command ends");
    rules.split_whitespace().map(|rule| rule.trim_matches('\'')).filter(|rule| *rule != "\\").collect()
}

#[test]
fn a_wrong_url_is_told_without_its_password() {
    for url in [
        "http://user:hunter2@host",
        "redis://user:hunter2@host:notaport",
        "redis://user:hunter2@host:6379/notadb",
        "redis://user:hunter2#@host",
        "valkey://:#hunter2@host",
        "redis://",
        "hunter2",
        "",
    ] {
        let error = Cache::open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!told.contains("hunter2"), "{told}");
    }
}

each_server! {
    async fn a_wrong_password_is_a_configuration_error(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().password("hunter2"));
        ready(store.builder().url(server.url())).await;
        for wrong in [server.url().replace("hunter2", "swordfish"), server.url().replace(":hunter2@", "")] {
            let error = Cache::open(&wrong).unwrap().ready(PATIENCE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            let told = format!("{error} {error:?}");
            assert!(!told.contains("swordfish") && !told.contains("hunter2"), "{told}");
        }
    }

    async fn a_wrong_database_is_a_configuration_error(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let error = Cache::open(&format!("{}/99", server.url())).unwrap().ready(PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        ready(store.builder().url(format!("{}/3", server.url()))).await;
    }

    async fn a_unix_socket_serves_as_well(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().unix_socket().password("pw"));
        for scheme in ["redis+unix", "valkey+unix", "unix", "REDIS+UNIX"] {
            let cache = ready(store.builder().url(server.unix_url().replace("redis+unix", scheme))).await;
            cache.put("a:1", &1u32).await.unwrap();
            assert_eq!(cache.peek::<u32>("a:1").await.unwrap(), Some(1));
        }
    }

    async fn valkey_is_a_scheme_as_well(store: TestStore) {
        for scheme in ["valkey", "Redis"] {
            ready(store.builder().url(store.url().replace("redis", scheme))).await;
        }
    }

    async fn no_log_line_holds_a_credential_or_a_value(store: TestStore) {
        let mut server = Server::with(store.kind().unwrap(), ServerOptions::new().password("hunter2"));
        let (log, _listening) = Log::listen();
        let cache = ready(store.builder().url(server.url())).await;
        let load = || async { Ok::<String, ()>("very secret value".to_owned()) };
        cache.get_or_load("a:1", load).await.unwrap();
        server.stop();
        for _ in 0..10 {
            cache.get_or_load("a:1", load).await.unwrap();
        }
        cache.invalidate_key("a:1").await.unwrap_err();
        let wrong = Cache::open(&server.url().replace("hunter2", "swordfish")).unwrap();
        server.start_again();
        wrong.ready(PATIENCE).await.unwrap_err();
        let log = log.text();
        assert!(log.contains("cache_core"), "the outage was not logged:\n{log}");
        for secret in ["hunter2", "swordfish", "very secret value"] {
            assert!(!log.contains(secret), "{secret} in\n{log}");
        }
    }

    async fn a_least_privilege_user_can_do_everything(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut rules = vec!["SETUSER", "cacheuser", ">pw"];
        rules.extend(least_privilege());
        raw.command::<()>("ACL", &rules).await;
        let url = server.url().replace("redis://", "redis://cacheuser:pw@");
        let cache = ready(store.builder().url(&url).namespace("shop")).await;
        let load = || async { Ok::<String, ()>("x".repeat(100_000)) };
        cache.get_or_load("a:1", load).await.unwrap();
        assert_eq!(cache.peek::<String>("a:1").await.unwrap().map(|text| text.len()), Some(100_000));
        cache.put("a:2", &2u32).await.unwrap();
        let explained = cache.explain("a:1").await.unwrap();
        assert_eq!(explained.physical_key.as_deref(), Some("shop:a:1"));
        assert_eq!(explained.entry.map(|entry| entry.payload_bytes), Some(100_002));
        for named in [Invalidation::new().pattern("a:*"), Invalidation::new().key("a:1").key("a:2")] {
            assert_eq!(cache.preview(named).await.unwrap().entries.len(), 2);
        }
        assert!(cache.keys("a:*").next_page().await.is_ok_and(|page| page.is_some()));
        assert_eq!(cache.invalidate_pattern("a:*").await.unwrap().entries, 2);
        for shorter in [false, true] {
            assert_eq!(adaptive(&cache, 1).await, 1);
            // What was learned was read and written, or the second TTL would be the first.
            assert_eq!(raw.ttl_ms("shop:adaptive:1").await <= 3_600_000, shorter);
            assert_eq!(cache.invalidate_key(adaptive::key(&1)).await.unwrap().entries, 1);
        }
        cache.put("a:2", &2u32).await.unwrap();
        assert_eq!(cache.clear().await.unwrap().entries, 1);
        assert_eq!(cache.stats().total().errors, 0);
        // And nothing else: not even a look at other keys.
        let client = cache_tests::redis::Client::open(url).unwrap();
        let mut foreign = client.get_multiplexed_async_connection().await.unwrap();
        let denied = cache_tests::redis::cmd("GET").arg("other:1").query_async::<Option<String>>(&mut foreign).await;
        assert!(denied.is_err());
        let denied = cache_tests::redis::cmd("FLUSHALL").query_async::<()>(&mut foreign).await;
        assert!(denied.is_err());
    }
}

#[cached(prefix = "adaptive", adaptive_ttl = "1h..2h", skip(cache), cache = cache)]
async fn adaptive(cache: &Cache, id: u64) -> u64 {
    id
}

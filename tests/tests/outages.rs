//! Redis absent, frozen, cut off, restarted, full: every call answers, and
//! nothing old comes back after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_core::{Builder, Cache, ErrorKind, IntoKey, Invalidation, Key, Warmer, cached, write_through};
use cache_tests::{
    Fault, FaultProxy, Gate, PATIENCE, Probe, Raw, Server, ServerOptions, TestStore, each_server, ready, run, until,
};

/// What each operation costs a [hasty] cache once its server is silent.
const DEADLINE: Duration = Duration::from_millis(250);

/// For servers that fall silent. On a busy machine an operation may run into its deadline at any
/// time, so a test must not rest on what such a cache has stored; leases end soon, for one may
/// be granted and its answer lost.
fn hasty(url: &str) -> Builder {
    Cache::builder().url(url).operation_deadline(DEADLINE).jitter(0.0)
}

/// Loads `value` if nothing is stored.
async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

async fn stored(cache: &Cache, key: &str) -> Option<u32> {
    cache.peek::<u32>(key).await.ok().flatten()
}

/// Calls until the breaker of a frozen server opens.
async fn open_breaker(cache: &Cache) {
    until(async || {
        get(cache, "a:1", 1).await;
        cache.health().breaker_open
    })
    .await;
}

async fn used_memory(raw: &mut Raw) -> u64 {
    let info: String = raw.command("INFO", &["memory"]).await;
    info.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse().ok()).expect("a figure")
}

#[cached(prefix = "part", ttl = "60s", cache = cache, skip(cache))]
async fn part(cache: &Cache, id: u32) -> u32 {
    id
}

#[cached(prefix = "whole", ttl = "60s", cache = cache, skip(cache))]
async fn whole(cache: &Cache, id: u32) -> u32 {
    id
}

/// Made of so many parts.
#[write_through(whole(id), cache = cache)]
async fn set_whole(cache: &Cache, id: u32, parts: u32) -> u32 {
    for at in 0..parts {
        part(cache, id * 1_000 + at).await;
    }
    parts
}

/// A warmer of `item:…`, one at a time. `loaded` is told how many loads there were.
fn items(cache: &Cache, loaded: impl Fn(u64) + Clone + Send + Sync + 'static) -> (Warmer, Probe) {
    let (warmer, loads) = (Warmer::new(cache).concurrency(1), Probe::new());
    let (cache, counted) = (cache.clone(), loads.clone());
    warmer.loader("item", move |id| {
        let (cache, counted, loaded) = (cache.clone(), counted.clone(), loaded.clone());
        async move {
            let load = || async move {
                loaded(counted.mark());
                Ok::<u32, std::convert::Infallible>(7)
            };
            cache.get_or_load(format!("item:{id}").as_str(), load).await
        }
    });
    (warmer, loads)
}

/// A load that reads `old` before `meanwhile` happens and ends after it.
async fn load_across(cache: &Cache, key: &'static str, meanwhile: impl AsyncFnOnce()) {
    let gate = Gate::new();
    let load = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            let load = || async move {
                gate.pass().await;
                Ok::<u32, ()>(1)
            };
            cache.get_or_load(key, load).await
        }
    });
    gate.reached().await;
    meanwhile().await;
    gate.open_for_good();
    assert_eq!(load.await.unwrap(), Ok(1));
}

each_server! {
    #![multi_thread]

    async fn an_absent_server_is_used_once_it_appears(store: TestStore) {
        let mut server = Server::start(store.kind().unwrap());
        server.stop();
        let cache = store.builder().url(server.url()).build().unwrap();
        assert_eq!(get(&cache, "a:1", 1).await, 1);
        assert_eq!(cache.ready(Duration::from_millis(100)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        server.start_again();
        cache.ready(PATIENCE).await.unwrap();
        until(async || get(&cache, "a:1", 2).await == 2 && stored(&cache, "a:1").await == Some(2)).await;
    }

    async fn a_frozen_server_costs_a_call_no_more_than_the_deadline(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(hasty(&server.url())).await;
        server.pause();
        let begun = Instant::now();
        assert_eq!(get(&cache, "a:1", 1).await, 1);
        assert!(begun.elapsed() < DEADLINE * 40, "{:?}", begun.elapsed());
        // After the GET neither lease nor fill was tried, each for a deadline of its own.
        assert_eq!(cache.stats().total().errors, 1);
        server.resume();
    }

    async fn an_open_breaker_asks_nothing_of_the_server(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let cache = ready(hasty(&proxy.url())).await;
        server.pause();
        open_breaker(&cache).await;
        // A few of the calls are probes. Were all of them to ask, they would take 500 deadlines.
        let begun = Instant::now();
        for _ in 0..500 {
            assert_eq!(get(&cache, "a:1", 1).await, 1);
        }
        assert!(begun.elapsed() < DEADLINE * 100, "{:?}", begun.elapsed());
        assert!(cache.stats().total().errors >= 500);
        server.resume();
        until(async || {
            get(&cache, "a:2", 2).await;
            !cache.health().breaker_open && stored(&cache, "a:2").await == Some(2)
        })
        .await;
    }

    async fn ready_asks_the_server(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(hasty(&server.url())).await;
        server.pause();
        assert_eq!(cache.ready(DEADLINE).await.unwrap_err().kind(), ErrorKind::Unavailable);
        open_breaker(&cache).await;
        server.resume();
        cache.ready(PATIENCE).await.unwrap();
        assert!(!cache.health().breaker_open, "{:?}", cache.health());
    }

    async fn a_process_that_is_not_called_sees_the_end_of_an_outage(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(hasty(&server.url())).await;
        server.pause();
        open_breaker(&cache).await;
        server.resume();
        until(async || cache.health().is_good()).await;
    }

    async fn a_cache_is_no_good_without_a_connection(store: TestStore) {
        let mut server = Server::start(store.kind().unwrap());
        server.stop();
        let cache = store.builder().url(server.url()).build().unwrap();
        assert!(cache.health().disconnected && !cache.health().is_good());
        server.start_again();
        until(async || cache.health().is_good()).await;
        server.stop();
        until(async || cache.health().disconnected).await;
    }

    async fn warming_waits_for_a_server_that_is_slow_to_answer(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(hasty(&server.url())).await;
        let (warmer, loads) = items(&cache, |_| ());
        server.pause();
        let warming = tokio::spawn(async move { warmer.warm_keys((0..50).map(|id| format!("item:{id}"))).await });
        // In the time of two calls, a warm-up that does not wait would have begun to load.
        for _ in 0..2 {
            get(&cache, "a:1", 1).await;
        }
        assert_eq!(loads.count(), 0);
        server.resume();
        let warmed = warming.await.unwrap();
        assert_eq!((warmed.done, loads.count()), (50, 50));
    }

    async fn warming_ends_with_the_server(store: TestStore) {
        let server = Arc::new(Server::start(store.kind().unwrap()));
        let cache = ready(hasty(&server.url())).await;
        let freezes = server.clone();
        let (warmer, loads) = items(&cache, move |loads| {
            if loads == 10 {
                freezes.pause();
            }
        });
        let warmed = warmer.warm_keys((0..300).map(|id| format!("item:{id}"))).await;
        assert_eq!((warmed.done, warmed.failed), (loads.count(), 300 - loads.count()));
        assert!((10..20).contains(&loads.count()), "{} loads", loads.count());
        assert!(warmed.errors()[0].message.starts_with("the store is not ready"), "{:?}", warmed.errors()[0]);
        server.resume();
    }

    async fn a_server_that_is_away_holds_a_start_that_warms_up_for_no_longer_than_is_said(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        for fault in [Fault::Refuse, Fault::HalfOpen] {
            proxy.set(fault).await;
            let (warmer, loads) = items(&hasty(&proxy.url()).build().unwrap(), |_| ());
            let begun = Instant::now();
            let warmed = warmer.store_wait(DEADLINE).warm_keys(["item:1"]).await;
            assert_eq!((warmed.failed, loads.count()), (1, 0), "{fault:?}");
            assert!(begun.elapsed() < DEADLINE * 15, "{fault:?}: {:?}", begun.elapsed());
        }
        proxy.set(Fault::None).await;
        let (warmer, loads) = items(&store.builder().url(proxy.url()).build().unwrap(), |_| ());
        let warmed = warmer.store_wait(PATIENCE).warm_keys(["item:1"]).await;
        assert_eq!((warmed.done, loads.count()), (1, 1));
    }

    async fn many_first_calls_without_a_server_all_answer(store: TestStore) {
        let mut server = Server::start(store.kind().unwrap());
        server.stop();
        let cache = store.builder().url(server.url()).build().unwrap();
        let calls: Vec<_> = (0..200)
            .map(|at| {
                let cache = cache.clone();
                tokio::spawn(async move { get(&cache, &format!("a:{}", at % 7), at).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(cache.stats().total().hits, 0);
    }

    async fn lost_replies_and_garbage_let_calls_answer(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let cache = ready(hasty(&proxy.url()).connect_timeout(DEADLINE)).await;
        for fault in [Fault::LoseReplies, Fault::Garbage, Fault::CutAfter(3), Fault::HalfOpen, Fault::Refuse] {
            proxy.set(fault).await;
            for value in 0..3 {
                assert_eq!(get(&cache, &format!("a:{fault:?}:{value}"), value).await, value, "{fault:?}");
            }
        }
        proxy.set(Fault::None).await;
        until(async || get(&cache, "a:1", 9).await == 9 && stored(&cache, "a:1").await == Some(9)).await;
    }

    async fn a_restart_during_a_load_leaves_nothing_stale(store: TestStore) {
        let mut server = Server::start(store.kind().unwrap());
        let cache = ready(store.builder().url(server.url())).await;
        let other = ready(store.builder().url(server.url())).await;
        load_across(&cache, "a:1", async || {
            server.restart();
            other.ready(PATIENCE).await.unwrap();
            until(async || other.invalidate_key("a:1").await.is_ok()).await;
            until(async || cache.peek::<u32>("a:1").await.is_ok()).await;
        })
        .await;
        assert_eq!(stored(&other, "a:1").await, None);
        assert_eq!(get(&other, "a:1", 2).await, 2);
    }

    async fn a_flush_during_a_load_leaves_nothing_stale(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(store.builder().url(server.url())).await;
        load_across(&cache, "a:1", async || {
            cache.invalidate_key("a:1").await.unwrap();
            server.raw().await.command::<()>("FLUSHALL", &[]).await;
        })
        .await;
        assert_eq!(cache.stats().total().refused_fills, 1);
        assert_eq!(get(&cache, "a:1", 2).await, 2);
    }

    /// Like a failover to a replica that lags: it has the clock, and lacks the last fences.
    async fn a_server_restored_from_before_an_invalidation_refuses_older_loads(store: TestStore) {
        let mut server = Server::with(store.kind().unwrap(), ServerOptions::new().line("dbfilename dump.rdb"));
        let cache = ready(store.builder().url(server.url())).await;
        load_across(&cache, "a:1", async || {
            server.raw().await.command::<()>("SAVE", &[]).await;
            cache.invalidate_key("a:1").await.unwrap();
            server.restart();
            // A process that finds out what the server has lost owes a change until it is made.
            until(async || cache.peek::<u32>("a:1").await.is_ok() && !cache.health().owes_invalidations).await;
        })
        .await;
        assert_eq!(cache.stats().total().refused_fills, 1, "{}", cache.stats());
        assert_eq!(stored(&cache, "a:1").await, None);
    }

    async fn scripts_come_back_after_a_flush(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(store.builder().url(server.url())).await;
        for value in 0..3 {
            server.raw().await.command::<()>("SCRIPT", &["FLUSH"]).await;
            assert_eq!(get(&cache, "a:1", value).await, value);
            assert_eq!(stored(&cache, "a:1").await, Some(value));
            server.raw().await.command::<()>("SCRIPT", &["FLUSH"]).await;
            assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
        }
        assert_eq!(cache.stats().total().errors, 0);
    }

    async fn a_full_server_serves_and_invalidates_but_stores_nothing(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        let mut raw = server.raw().await;
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        assert_eq!(get(&cache, "a:2", 2).await, 2);
        assert_eq!(stored(&cache, "a:2").await, None);
        assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
        assert_eq!(cache.invalidate_pattern("a:*").await.unwrap().entries, 0);
        let closing = cache.close(Invalidation::new().key("a:2")).await.expect("a closing is no value");
        closing.open().await.unwrap();
        assert!(!cache.health().breaker_open, "a full server is not a dead one");
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "0"]).await;
        get(&cache, "a:2", 3).await;
        assert_eq!(stored(&cache, "a:2").await, Some(3));
    }

    /// A script that has written once is refused nothing: it must find out before.
    async fn a_full_server_stores_no_put_but_removes_what_it_replaces(store: TestStore) {
        const ROOM: u64 = 4 << 20;
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "noeviction"));
        let cache = ready(store.builder().url(server.url())).await;
        let mut raw = server.raw().await;
        let large = |key: &str, bytes: usize| (key.into_key().unwrap() as Key<String>, "x".repeat(bytes));
        for (key, value) in [large("small", 10_000), large("large", 100_000)] {
            assert!(cache.put(key, &value).await.unwrap().stored);
        }
        set_whole(&cache, 1, 300).await;
        assert_eq!(cache.peek(whole::key(&1)).await.unwrap(), Some(300));

        let used = used_memory(&mut raw).await;
        raw.command::<()>("CONFIG", &["SET", "maxmemory", &(used + ROOM).to_string()]).await;
        let mut stored = 0;
        for at in 0..2_000 {
            let (key, value) = large(&format!("filler:{at}"), 10_000);
            stored += u32::from(cache.put(key, &value).await.unwrap().stored);
        }
        assert!((100..500).contains(&stored), "{stored} values of 10 kB in 4 MiB");
        let above = used_memory(&mut raw).await.saturating_sub(used + ROOM);
        assert!(above < 1 << 20, "{above} bytes above the limit: fences may grow, values may not");

        raw.command::<()>("CONFIG", &["SET", "maxmemory", "1"]).await;
        for (key, value) in [large("small", 9_000), large("large", 90_000)] {
            let put = cache.put(key.clone(), &value).await.unwrap();
            assert_eq!((put.stored, put.entries), (false, 1), "{}", value.len());
            assert_eq!(cache.peek(&key).await.unwrap(), None, "{} bytes", value.len());
        }
        set_whole(&cache, 1, 299).await;
        assert_eq!(cache.peek(whole::key(&1)).await.unwrap(), None, "its many names are registered first");
        assert_eq!(cache.stats().total().failed_invalidations, 0);
        raw.command::<()>("CONFIG", &["SET", "maxmemory", "0"]).await;
        let (key, value) = large("large", 90_000);
        assert!(cache.put(key, &value).await.unwrap().stored);
    }

    async fn a_failed_invalidation_is_bypassed_and_made_good(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let cut_off = ready(store.builder().url(proxy.url())).await;
        let other = ready(store.builder().url(server.url())).await;
        get(&cut_off, "a:1", 1).await;
        get(&cut_off, "b:1", 1).await;
        proxy.set(Fault::Refuse).await;
        assert!(cut_off.invalidate_key("a:1").await.is_err());
        assert!(cut_off.health().owes_invalidations);
        // The write has happened, and this process knows it.
        assert_eq!(get(&cut_off, "a:1", 2).await, 2);
        assert!(cut_off.stats().prefix("a").bypasses > 0);
        assert_eq!(stored(&other, "a:1").await, Some(1), "the others cannot know");
        proxy.set(Fault::None).await;
        until(async || stored(&other, "a:1").await.is_none()).await;
        until(async || !cut_off.health().owes_invalidations).await;
        until(async || get(&cut_off, "a:1", 3).await == 3 && stored(&other, "a:1").await == Some(3)).await;
        assert_eq!(stored(&other, "b:1").await, Some(1), "nothing else fell");
    }

    async fn a_lost_reply_of_an_invalidation_is_made_good(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let cut_off = ready(hasty(&proxy.url())).await;
        let other = ready(hasty(&server.url()).operation_deadline(PATIENCE)).await;
        get(&other, "a:1", 1).await;
        assert_eq!(stored(&other, "a:1").await, Some(1));
        proxy.set(Fault::LoseReplies).await;
        assert!(cut_off.invalidate_key("a:1").await.is_err(), "its outcome is unknown");
        until(async || stored(&other, "a:1").await.is_none()).await;
        proxy.set(Fault::None).await;
        until(async || !cut_off.health().owes_invalidations).await;
        until(async || get(&cut_off, "a:1", 2).await == 2 && stored(&other, "a:1").await == Some(2)).await;
    }

    /// ★ The client sends one chunk, and then nothing ever again.
    async fn a_cascade_whose_client_died_is_finished_by_the_next(store: TestStore) {
        const MEMBERS: u64 = 1_000;
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let other = ready(store.builder().url(server.url())).await;
        for at in 0..MEMBERS {
            let key: Key<u64> = format!("m:{at}").into_key().unwrap();
            other.get_or_load::<u64, (), _>(key.with_tags(["T"]), || async { Ok(1) }).await.unwrap();
        }
        let dying = store.builder().url(proxy.url());
        let (chunk_sent, is_sent) = tokio::sync::oneshot::channel();
        let died = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let cache = ready(dying).await;
                proxy.set(Fault::LoseReplies).await;
                tokio::select! {
                    _ = cache.invalidate_tag("T") => unreachable!("it never learns of its first chunk"),
                    _ = is_sent => {}
                }
                // As a killed process leaves it: nothing of it runs any more.
                std::mem::forget(cache);
            });
            runtime.shutdown_background();
        });
        let mut raw = server.raw().await;
        let members = format!("{}:m", store.namespace());
        until(async || (raw.keys(&members).await.len() as u64) < MEMBERS).await;
        chunk_sent.send(()).unwrap();
        died.join().unwrap();
        let removed = other.invalidate_tag("T").await.unwrap().entries;
        assert!(removed > 0 && removed < MEMBERS, "{removed} were left");
        assert_eq!(raw.keys(&format!("{}:m", store.namespace())).await, [""; 0]);
    }

    async fn eviction_of_bookkeeping_is_reported(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "allkeys-lru"));
        let cache = ready(store.builder().url(server.url())).await;
        assert!(cache.health().evicts_bookkeeping);
        let told = |evicts: u8| format!("cache_evicts_bookkeeping{{cache=\"{}\"}} {evicts}\n", store.namespace());
        assert!(cache.stats().to_prometheus().contains(&told(1)));
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(64 << 20, "volatile-lru"));
        let cache = ready(store.builder().url(server.url())).await;
        assert!(cache.health().is_good(), "{:?}", cache.health());
        assert!(cache.stats().to_prometheus().contains(&told(0)));
    }
}

#[test]
fn a_call_without_redis_runs_the_function_each_time() {
    run(0, async {
        let loads = Probe::new();
        let cache = hasty("redis://127.0.0.1:1").build().unwrap();
        for _ in 0..3 {
            let loads = loads.clone();
            let load = || async move { Ok::<u64, ()>(loads.mark()) };
            assert!(cache.get_or_load("a:1", load).await.is_ok());
        }
        assert_eq!(loads.count(), 3);
    });
}

//! One cache, used from several tokio runtimes: each call depends on its own, whatever becomes of
//! the others. And runtimes that lack what a cache needs.

use cache_core::{Cache, cached};
use cache_tests::{Fault, FaultProxy, Log, Probe, Server, TestStore, count_panics, each_server, each_store, until};
use tokio::runtime::{Builder, Runtime};

#[cached(prefix = "square", ttl = "60s", skip(cache, loads), cache = cache)]
async fn square(cache: &Cache, loads: &Probe, of: u64) -> u64 {
    loads.mark();
    tokio::task::yield_now().await;
    of * of
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What one test of an application does.
async fn case(cache: &Cache, of: u64) {
    let loads = Probe::new();
    assert_eq!(square(cache, &loads, of).await, of * of);
    assert_eq!(square(cache, &loads, of).await, of * of);
    assert_eq!(loads.count(), 1, "the second call is a hit");
    assert_eq!(cache.invalidate_key(square::key(&of)).await.unwrap().entries, 1);
    assert_eq!(square(cache, &loads, of).await, of * of);
    assert_eq!(loads.count(), 2);
}

each_server! {
    /// Each test of a suite has a runtime of its own, and the one that
    /// was first waits for all of them.
    async fn a_suite_of_tests_shares_one_cache(store: TestStore) {
        const THREADS: u64 = 4;
        const CASES: u64 = 12;
        let cache = store.cache().await;
        case(&cache, 1_000).await;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let cache = &cache;
                scope.spawn(move || {
                    for at in 0..CASES {
                        let runtime = if at % 3 == 0 { multi_thread() } else { current_thread() };
                        runtime.block_on(case(cache, thread * CASES + at));
                    }
                });
            }
        });
        case(&cache, 1_001).await;
        let stats = cache.stats();
        assert_eq!((stats.total().errors, stats.total().failed_invalidations), (0, 0), "{stats}");
        assert!(cache.health().is_good(), "{:?}", cache.health());
    }

    async fn a_runtime_that_nobody_drives_any_more_holds_nobody_up(store: TestStore) {
        let cache = store.cache().await;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let still = current_thread();
                still.block_on(case(&cache, 1));
                current_thread().block_on(case(&cache, 2));
                still.block_on(case(&cache, 3));
            });
        });
        assert_eq!(cache.stats().total().errors, 0, "{}", cache.stats());
    }

    async fn an_invalidation_that_failed_on_one_runtime_is_made_good_on_another(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let proxy = FaultProxy::start(server.address()).await;
        let cache = Cache::builder().url(proxy.url()).jitter(0.0).build().unwrap();
        let loads = Probe::new();
        until(async || {
            square(&cache, &loads, 3).await;
            cache.peek(square::key(&3)).await.is_ok_and(|stored| stored == Some(9))
        })
        .await;
        proxy.set(Fault::Refuse).await;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                current_thread().block_on(async {
                    cache.invalidate_key(square::key(&3)).await.unwrap_err();
                })
            });
        });
        assert!(cache.health().owes_invalidations);
        proxy.set(Fault::None).await;
        until(async || {
            square(&cache, &loads, 3).await;
            !cache.health().owes_invalidations
        })
        .await;
    }
}

/// Everything that waits, renews, retries or runs in the background.
#[cached(prefix = "cube", ttl = "1ms", stale_while_revalidate = "60s", early_refresh, skip(cache), cache = cache)]
async fn cube(cache: Cache, of: u64) -> u64 {
    square(&cache, &Probe::new(), of).await * of
}

async fn every_kind_of_call(cache: &Cache) {
    let loads = Probe::new();
    for of in [2, 2, 3] {
        assert_eq!(square(cache, &loads, of).await, of * of);
        assert_eq!(cube(cache.clone(), of).await, of * of * of);
    }
    let together = (square(cache, &loads, 4), square(cache, &loads, 4), square(cache, &loads, 4));
    assert_eq!(tokio::join!(together.0, together.1, together.2), (16, 16, 16));
    let load = tokio::spawn({
        let cache = cache.clone();
        async move { square(&cache, &Probe::new(), 5).await }
    });
    assert_eq!(load.await.unwrap(), 25);
    drop(cache.put(square::key(&2), &4).await);
    drop(cache.peek(square::key(&2)).await);
    drop(cache.invalidate_key(square::key(&2)).await);
    drop(cache.invalidate_pattern("square:*").await);
    drop(cache.clear().await);
    cache.health();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

each_store! {
    async fn a_runtime_without_timers_or_io_calls_the_functions(store: TestStore) {
        let thread = std::thread::spawn(move || {
            let unfit = [(false, false, "no timers"), (false, true, "no timers"), (true, false, "no I/O")];
            for (timers, io, lacks) in unfit {
                let cache = store.builder().build().unwrap();
                let (log, _listening) = Log::listen();
                let panics = count_panics();
                let mut builder = Builder::new_current_thread();
                if timers {
                    builder.enable_time();
                }
                if io {
                    builder.enable_io();
                }
                builder.build().unwrap().block_on(every_kind_of_call(&cache));
                assert!(panics() <= 1, "{} panics without {lacks}", panics());
                let said = log.text().matches(lacks).count();
                match (store.kind(), timers) {
                    (None, true) => assert_eq!(said, 0),
                    _ => assert_eq!(said, 1, "{}", log.text()),
                }
            }
        });
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    }

    /// Also where the calls without timers came first.
    async fn a_runtime_without_timers_spoils_nothing_for_others(store: TestStore) {
        let cache = store.cache().await;
        let unfit = cache.clone();
        let thread = std::thread::spawn(move || {
            Builder::new_current_thread().build().unwrap().block_on(every_kind_of_call(&unfit));
        });
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
        until(async || {
            square(&cache, &Probe::new(), 9).await;
            !cache.health().owes_invalidations
        })
        .await;
        case(&cache, 7).await;
    }
}

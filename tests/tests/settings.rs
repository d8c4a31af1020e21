//! A setting or option at the end of its range is refused with its name, or works: no call panics,
//! and what was set to last long is cached on every store.

use std::time::{Duration, Instant};

use cache_core::{Builder, Cache, ErrorKind, Warmer, cached};
use cache_tests::{TestStore, count_panics, each_store, until};

const TTL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// The ends of the range, and what overflows on the way to a clock, to milliseconds, or to a float.
const DURATIONS: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_micros(999),
    Duration::from_millis(1),
    Duration::from_secs(60),
    Duration::from_secs(36_525 * 86_400),
    Duration::from_millis(u64::MAX / 2),
    Duration::from_millis(u64::MAX),
    Duration::MAX,
];
const COUNTS: [usize; 4] = [0, 1, usize::MAX / 2, usize::MAX];

/// Found and absent values, with the lifetimes that the caller says.
#[cached(
    prefix = "lives",
    ttl = ttl,
    negative_ttl = ttl,
    stale_while_revalidate = stale,
    stale_if_error = stale,
    skip(cache, ttl, stale),
    cache = cache
)]
async fn lives(cache: Cache, id: u64, ttl: Duration, stale: Duration) -> Result<Option<u64>, String> {
    _ = (cache, ttl, stale);
    Ok((id & 1 == 0).then_some(id))
}

/// Stale at once, with waits that the caller says.
#[cached(
    prefix = "waits",
    ttl = "1ms",
    stale_if_error = "1h",
    wait = time,
    load_timeout = time,
    skip(cache, time),
    cache = cache
)]
async fn waits(cache: Cache, id: u64, time: Duration) -> Result<u64, String> {
    _ = (cache, time);
    tokio::task::yield_now().await;
    Ok(id)
}

#[cached(prefix = "classed", class = "inventory", skip(cache), cache = cache)]
async fn classed(cache: &Cache, id: u64) -> u64 {
    id
}

/// With a refresh in the background, a lease that is renewed, and waiting callers. For the default
/// lifetime.
#[cached(prefix = "plain", class = "of nothing", stale_while_revalidate = "60s", early_refresh, skip(cache), cache = cache)]
async fn plain(cache: Cache, id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

/// Every kind of call. True if the second one was a hit.
async fn exercise(cache: &Cache) -> bool {
    let two = tokio::join!(plain(cache.clone(), 1), plain(cache.clone(), 1));
    assert_eq!(two, (1, 1));
    assert_eq!(plain(cache.clone(), 1).await, 1);
    let is_hit = cache.stats().total().hits > 0;
    drop(cache.put(plain::key(&2), &2).await);
    drop(cache.peek(plain::key(&2)).await);
    drop(cache.invalidate_key(plain::key(&1)).await);
    drop(cache.invalidate_pattern("plain:*").await);
    drop(cache.ready(SECOND / 10).await);
    cache.health();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    is_hit
}

/// Builds and calls. True if it was built, and something was a hit.
async fn try_out(name: &str, value: &str, builder: Builder) -> bool {
    let panics = count_panics();
    // What a cache with a deadline of a moment owes, it sends when the next one is tried.
    let builder = builder.namespace(format!("t{:016x}", fastrand::u64(..)));
    let is_hit = match builder.build() {
        Ok(cache) => exercise(&cache).await,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config, "{name} = {value}: {error}");
            assert!(error.to_string().contains(name), "{name} = {value}: {error}");
            false
        }
    };
    assert_eq!(panics(), 0, "{name} = {value}");
    is_hit
}

each_store! {
    async fn a_duration_at_the_end_of_its_range_is_refused_or_works(store: TestStore) {
        type Set = fn(Builder, Duration) -> Builder;
        let settings: [(&str, Set); 6] = [
            ("default_ttl", Builder::default_ttl),
            ("operation_deadline", Builder::operation_deadline),
            ("connect_timeout", Builder::connect_timeout),
            ("fence_retention", Builder::fence_retention),
            ("lease", |builder, lease| builder.lease(lease).lease_wait(Duration::MAX)),
            ("lease_wait", |builder, wait| builder.lease(TTL).lease_wait(wait)),
        ];
        for (name, set) in settings {
            for value in DURATIONS {
                let builder = set(store.builder().connections(1), value);
                let is_accepted = builder.clone().build().is_ok();
                assert!(!is_accepted || value >= Duration::from_millis(1), "{name} = {value:?}: nothing can ever be cached");
                let is_hit = try_out(name, &format!("{value:?}"), builder).await;
                assert!(is_hit || value < SECOND, "{name} = {value:?}: nothing is cached");
            }
        }
    }

    async fn a_number_at_the_end_of_its_range_is_refused_or_works(store: TestStore) {
        type Set = fn(Builder, usize) -> Builder;
        let settings: [(&str, Set); 7] = [
            ("breaker_failures", |builder, count| builder.breaker_failures(count.min(u32::MAX as usize) as u32)),
            ("connections", Builder::connections),
            ("value_bytes_max", Builder::value_bytes_max),
            ("names_max", Builder::names_max),
            ("recovery_names_max", Builder::recovery_names_max),
            ("refreshes_max", Builder::refreshes_max),
            ("memory_bytes_max", Builder::memory_bytes_max),
        ];
        for (name, set) in settings {
            for value in COUNTS {
                let is_hit = try_out(name, &value.to_string(), set(store.builder(), value)).await;
                assert!(is_hit || value < 2 || name == "connections", "{name} = {value}: nothing is cached");
            }
        }
        for value in [f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE, 0.0, 0.999, 1.0, f64::MAX, f64::NAN] {
            let is_hit = try_out("jitter", &value.to_string(), store.builder().jitter(value)).await;
            assert_eq!(is_hit, (0.0..1.0).contains(&value), "jitter = {value}");
        }
    }

    async fn settings_at_the_ends_of_their_ranges_work_together(store: TestStore) {
        for _ in 0..40 {
            let seed = fastrand::u64(..);
            let mut random = fastrand::Rng::with_seed(seed);
            let mut duration = || *random.choice(&DURATIONS[3..]).unwrap();
            let lease = duration();
            let builder = store.builder().connections(1).lease(lease).lease_wait(lease.max(duration()));
            let builder = builder.default_ttl(duration()).operation_deadline(duration());
            try_out("", &format!("seed {seed}"), builder.connect_timeout(duration()).fence_retention(duration())).await;
        }
    }

    async fn a_lifetime_at_the_end_of_its_range_is_kept_on_every_store(store: TestStore) {
        let cache = store.cache().await;
        let panics = count_panics();
        let mut id = 0;
        for ttl in DURATIONS {
            for stale in DURATIONS {
                // A value, and that there is none.
                for _ in 0..2 {
                    id += 1;
                    let expected = Ok((id & 1 == 0).then_some(id));
                    assert_eq!(lives(cache.clone(), id, ttl, stale).await, expected);
                    let hits = cache.stats().total().hits;
                    assert_eq!(lives(cache.clone(), id, ttl, stale).await, expected);
                    let is_hit = cache.stats().total().hits > hits;
                    assert!(is_hit || ttl < SECOND, "ttl = {ttl:?}, stale = {stale:?}: {id} is not cached");
                }
            }
            cache.set_ttl_class("inventory", ttl);
            id += 1;
            classed(&cache, id).await;
            let is_stored = cache.peek(classed::key(&id)).await.unwrap().is_some();
            assert!(is_stored || ttl < SECOND, "class = {ttl:?}: not stored");
        }
        assert_eq!(panics(), 0);
        assert_eq!(cache.stats().total().errors, 0, "{}", cache.stats());
    }

    async fn a_wait_of_any_length_works(store: TestStore) {
        let cache = store.cache().await;
        let panics = count_panics();
        for time in DURATIONS {
            for _ in 0..3 {
                let two = tokio::join!(waits(cache.clone(), 1, time), waits(cache.clone(), 1, time));
                assert_eq!(two, (Ok(1), Ok(1)), "{time:?}");
                let ended = Instant::now();
                until(async || ended.elapsed() > Duration::from_millis(2)).await;
            }
        }
        assert_eq!(panics(), 0);
    }

    async fn a_limit_or_pause_of_any_length_works(store: TestStore) {
        let cache = store.cache().await;
        let panics = count_panics();
        for value in DURATIONS {
            let warmed = Warmer::new(&cache).register("all", async || Ok::<(), String>(())).time_limit(value).run().await;
            assert!(warmed.is_complete() || value < SECOND, "time_limit = {value:?}: {:?}", warmed.errors());
            Warmer::new(&cache).schedule(value).shutdown().await;
            assert!(cache.ready(value).await.is_ok() || value < SECOND, "ready({value:?})");
            assert!(cache.shutdown(value).await.is_empty(), "shutdown({value:?})");
        }
        assert_eq!(panics(), 0);
    }
}

//! Calls that wait for nothing, one after the other on the thread of a runtime: other tasks of the
//! thread go on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, ErrorKind, cached, write_through};
use cache_tests::{PATIENCE, run, until};

#[cached(prefix = "number", ttl = "60s", cache = cache, skip(cache))]
async fn number(cache: &Cache, id: u64) -> u64 {
    id
}

/// An embedded store keeps no copies of what is no `Clone`.
#[cached(prefix = "decoded", ttl = "60s", cache = cache, skip(cache))]
async fn decoded(cache: &Cache, id: u64) -> Decoded {
    Decoded(id)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Decoded(u64);

#[cached(prefix = "many", ttl = "60s", cache = cache, skip(cache), each = ids)]
async fn many(cache: &Cache, ids: &[u64]) -> Result<HashMap<u64, u64>, Infallible> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

#[write_through(number(id), cache = cache)]
async fn write(cache: &Cache, id: u64) -> u64 {
    id
}

/// Calls until a timer of another task of this thread has fired.
async fn a_timer_fires_beside(what: &str, call: impl AsyncFn()) {
    let timer = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
    let begun = Instant::now();
    while !timer.is_finished() {
        call().await;
        assert!(begun.elapsed() < PATIENCE, "{what}: no other task has had a turn");
    }
}

#[test]
fn calls_of_an_embedded_or_a_disabled_cache_leave_turns_to_others() {
    run(0, async {
        for cache in [&Cache::in_memory(), &Cache::disabled()] {
            a_timer_fires_beside("a copy", async || _ = number(cache, 1).await).await;
            a_timer_fires_beside("a decoded value", async || _ = decoded(cache, 1).await).await;
            a_timer_fires_beside("many", async || _ = many(cache, &[1, 2]).await).await;
            let load = async || Ok::<_, Infallible>(1_u64);
            a_timer_fires_beside("a key", async || _ = cache.get_or_load("key", load).await).await;
            a_timer_fires_beside("a look", async || _ = cache.peek::<u64>("key").await).await;
            a_timer_fires_beside("a write through", async || _ = write(cache, 1).await).await;
            a_timer_fires_beside("a put", async || _ = cache.put("key", &1_u64).await).await;
        }
    });
}

#[test]
fn calls_past_an_open_breaker_leave_turns_to_others() {
    run(0, async {
        // Nobody listens there.
        let cache = Cache::builder().url("redis://127.0.0.1:9").build().unwrap();
        assert_eq!(cache.ready(Duration::from_millis(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        until(async || {
            number(&cache, 1).await;
            cache.health().breaker_open
        })
        .await;
        a_timer_fires_beside("a call past the store", async || _ = number(&cache, 1).await).await;
        a_timer_fires_beside("a look", async || _ = cache.peek::<u64>("key").await).await;
        a_timer_fires_beside("a put", async || _ = cache.put("key", &1_u64).await).await;
    });
}

//! Calls that wait for a load which waits for them: time alone parts them, and `wait` says when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Cache, cached};
use tokio::sync::Semaphore;
use tokio::time::Instant;

const WAIT: Duration = Duration::from_millis(1_500);

/// A pool of one connection.
#[derive(Clone)]
struct App {
    cache: Cache,
    pool: Arc<Semaphore>,
}

impl App {
    fn new() -> Self {
        Self { cache: Cache::in_memory(), pool: Arc::new(Semaphore::new(1)) }
    }
}

/// Uses the caller's connection, or takes one from the pool.
#[cached(prefix = "rate", ttl = "1h", wait = "1500ms", skip(app, has_connection), cache = app.cache)]
async fn rate(app: App, id: u64, has_connection: bool) -> u64 {
    let _connection = match has_connection {
        true => None,
        false => app.pool.acquire().await.ok(),
    };
    tokio::task::yield_now().await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_holds_what_the_load_needs_waits_for_it_in_vain_and_then_loads() {
    let app = App::new();
    let connection = app.pool.acquire().await.unwrap();
    let leader = tokio::spawn(rate(app.clone(), 1, false));
    tokio::task::yield_now().await;
    let begun = Instant::now();
    assert_eq!(rate(app.clone(), 1, true).await, 1);
    assert_eq!(begun.elapsed(), WAIT);
    assert_eq!(app.cache.stats().total().loads, 2);
    drop(connection);
    assert_eq!(leader.await.unwrap(), 1);
}

/// The way out.
#[tokio::test(start_paused = true)]
async fn a_caller_that_asks_the_cache_before_it_takes_the_connection_does_not_wait() {
    let app = App::new();
    let leader = tokio::spawn(rate(app.clone(), 1, false));
    let begun = Instant::now();
    assert_eq!(rate(app.clone(), 1, false).await, 1);
    let connection = app.pool.acquire().await.unwrap();
    drop(connection);
    assert_eq!((leader.await.unwrap(), begun.elapsed()), (1, Duration::ZERO));
    assert_eq!(app.cache.stats().total().loads, 1);
}

#[cached(prefix = "left", each = ids, ttl = "1h", wait = "1500ms", skip(cache), cache = cache)]
async fn left(cache: Cache, ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    tokio::task::yield_now().await;
    below(right(cache, &smaller(ids)).await?, ids)
}

#[cached(prefix = "right", each = ids, ttl = "1h", wait = "1500ms", skip(cache), cache = cache)]
async fn right(cache: Cache, ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    tokio::task::yield_now().await;
    below(Box::pin(left(cache, &smaller(ids))).await?, ids)
}

fn smaller(ids: &[u64]) -> Vec<u64> {
    ids.iter().filter_map(|id| id.checked_sub(1)).collect()
}

fn below(found: HashMap<u64, u64>, ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, id.checked_sub(1).map_or(0, |smaller| found[&smaller] + 1))).collect())
}

/// The left one leads 1 and 3 and asks for 0 and 2, which the right one leads, who asks for 1.
#[tokio::test(start_paused = true)]
async fn batches_that_ask_for_what_the_other_loads_wait_once_for_each_other() {
    let cache = Cache::in_memory();
    let begun = Instant::now();
    let (one, other) = tokio::join!(left(cache.clone(), &[1, 3]), right(cache.clone(), &[0, 2]));
    assert_eq!(one.unwrap(), HashMap::from([(1, 1), (3, 3)]));
    assert_eq!(other.unwrap(), HashMap::from([(0, 0), (2, 2)]));
    assert_eq!(begun.elapsed(), WAIT);
}

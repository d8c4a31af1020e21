//! The embedded store takes as much memory as it may, and no more: its own account against what it
//! requests of the allocator.

use std::alloc::System;

use cache_core::{Cache, IntoKey, Key};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an allocator needs for each allocation beside what was requested.
const ALLOCATION: usize = 16;
/// The account is an estimate: so far from the truth it may be.
const TOLERANCE: f64 = 0.15;

async fn fill(cache: &Cache, key: String, tags: &[String], bytes: usize) {
    let key: Key<String> = key.into_key().unwrap();
    let value = "x".repeat(bytes);
    cache.get_or_load::<String, (), _>(key.with_tags(tags), || async move { Ok(value) }).await.unwrap();
}

/// Fills a store of so many bytes to more than its limit, and compares.
async fn holds(what: &str, limit: usize, step: impl AsyncFn(&Cache, usize)) {
    let region = Region::new(ALLOCATOR);
    let cache = Cache::builder().memory_bytes_max(limit).jitter(0.0).build().unwrap();
    step(&cache, 0).await;
    let mut steps = 1;
    // Until twice as much was evicted as fits: that gives its room back.
    while cache.memory().is_some_and(|memory| memory.evictions <= 2 * memory.entries) {
        step(&cache, steps).await;
        steps += 1;
        // Tasks that have ended give their memory back.
        tokio::task::yield_now().await;
        assert!(steps < 1_000_000, "{what}: {:?}", cache.memory());
    }
    let used = region.change();
    let requested = used.bytes_allocated - used.bytes_deallocated;
    let allocations = used.allocations - used.deallocations;
    let taken = requested + allocations * ALLOCATION;
    let share = taken as f64 / limit as f64;
    println!("{what}, {limit}: {requested} bytes in {allocations} allocations, {share:.3} of the limit");
    assert!((share - 1.0).abs() < TOLERANCE, "{what}: {taken} bytes for a limit of {limit}");
}

/// One test, for the allocator counts for the whole process.
#[tokio::test]
async fn the_embedded_store_takes_what_it_says() {
    for limit in [1 << 20, 1_300_000, 1_600_000] {
        holds("small values", limit, async |cache, at| fill(cache, format!("k:{at}"), &[], 10).await).await;
        holds("large values", limit, async |cache, at| fill(cache, format!("k:{at}"), &[], 50_000).await).await;
        let shared: Vec<String> = (0..10).map(|tag| format!("shared tag {tag}")).collect();
        holds("shared tags", limit, async |cache, at| fill(cache, format!("k:{at}"), &shared, 100).await).await;
        holds("tags of their own", limit, async |cache, at| {
            let tags: Vec<String> = (0..5).map(|tag| format!("own tag {at} {tag}")).collect();
            fill(cache, format!("k:{at}"), &tags, 100).await;
        })
        .await;
        holds("replaced values", limit, async |cache, at| {
            fill(cache, format!("k:{}", at / 2), &shared[..2], 100).await;
            let key: Key<String> = format!("k:{}", at / 2).as_str().into_key().unwrap();
            cache.put(key.with_tags(&shared[..2]), &"y".repeat(90)).await.unwrap();
        })
        .await;
    }
}

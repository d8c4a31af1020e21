//! How often a call asks the allocator, beyond what the bare function does: exact numbers, so that
//! a call that begins to cost more shows on any machine. One test, for the allocator counts the
//! threads of all.

use std::alloc::System;
use std::future::Future;

use cache_core::{Cache, PrefixStats, cached};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[cached(prefix = "plain", ttl = "60s")]
async fn plain(id: u64) -> u64 {
    id + 1
}

#[cached(ttl = "60s", tags = ["user:{id}", "both:{id}:{result}", "of:{result}"], depends_on = [plain(&id)])]
async fn tagged(id: u64) -> Result<u64, String> {
    Ok(id + 1)
}

#[cached(ttl = "60s", stale_while_revalidate = "60s")]
async fn refreshed(id: u64) -> u64 {
    id + 1
}

#[cached(ttl = "60s")]
async fn outer(id: u64) -> u64 {
    plain(id).await + tagged(id).await.unwrap()
}

#[cached(ttl = "60s")]
async fn of_a_float(x: f64) -> u64 {
    u64::from(x.is_nan())
}

/// The allocations of one call, when calls before it have set up what is set up once.
async fn allocations<F: Future>(call: impl Fn() -> F) -> usize {
    for _ in 0..3 {
        call().await;
    }
    let before = ALLOCATOR.stats();
    call().await;
    let after = ALLOCATOR.stats();
    (after.allocations + after.reallocations) - (before.allocations + before.reallocations)
}

#[tokio::test]
async fn a_call_allocates_this_often_and_no_more() {
    let disabled = Cache::disabled();
    let calls = disabled.scope(async {
        assert_eq!(allocations(|| plain(1)).await, 0, "a disabled cache");
        assert_eq!(allocations(|| tagged(1)).await, 0, "a disabled cache, with names");
        assert_eq!(allocations(|| outer(1)).await, 0, "a disabled cache, nested");
        assert_eq!(allocations(|| of_a_float(f64::NAN)).await, 0, "a disabled cache, no key");
        // The box ends the chain of futures that the compiler looks through for `Send`.
        assert_eq!(allocations(|| refreshed(1)).await, 1, "a disabled cache, the body in a function of its own");
    });
    calls.await;
    assert_eq!((disabled.stats().prefix("plain").loads, disabled.stats().total().loads), (8, 28));
    let memory = Cache::in_memory();
    let calls = memory.scope(async {
        assert_eq!(allocations(|| plain(1)).await, 0, "a copy");
        assert_eq!(allocations(|| tagged(1)).await, 0, "a copy, with names");
        assert_eq!(allocations(|| of_a_float(f64::NAN)).await, 1, "an argument that cannot be encoded");
    });
    calls.await;
    assert_eq!((memory.stats().total().hits, memory.stats().total().bypasses), (6, 4));
    let bytes = Cache::builder().near_entries_max(0).build().unwrap();
    let calls = bytes.scope(async {
        assert_eq!(allocations(|| plain(1)).await, 3, "a hit that decodes");
        assert_eq!(allocations(|| tagged(1)).await, 3, "a hit that decodes, with names");
    });
    calls.await;
    // Nothing listens there, and no call is let through to try again for a while.
    let down = Cache::builder().url("redis://127.0.0.1:1").breaker_failures(1).build().unwrap();
    let calls = down.scope(async {
        while !down.health().breaker_open {
            plain(1).await;
        }
        let failed = down.stats();
        let counted = [allocations(|| plain(1)).await, allocations(|| tagged(1)).await];
        let all = down.stats();
        let grown = |counter: fn(&PrefixStats) -> u64| counter(all.total()) - counter(failed.total());
        (counted, grown(|stats| stats.loads), grown(|stats| stats.misses), grown(|stats| stats.errors))
    });
    assert_eq!(calls.await, ([0, 0], 8, 8, 8), "a store that refuses each call at once");
}

//! `Cache::scope`: tests of one process that each have a cache of their own.
//!
//! No test of this file installs a cache, so what leaves a scope is in the one in memory that the
//! first such call makes.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, Warmer, cached, in_current_load, invalidates, write_through};
use cache_tests::{FOREVER, Gate, TestStore, each_store};

/// Ids tell the tests apart that leave their scopes.
#[cached(prefix = "plain", ttl = "60s", skip(value))]
async fn plain(id: &str, value: u32) -> u32 {
    let _ = id;
    value
}

#[cached(prefix = "named", ttl = "60s", skip(cache, value), cache = cache)]
async fn named(cache: &Cache, id: &str, value: u32) -> u32 {
    let _ = id;
    value
}

#[invalidates(keys = [plain(id)])]
async fn change(id: &str) {}

#[write_through(plain(id))]
async fn write(id: &str, value: u32) -> u32 {
    let _ = id;
    value
}

/// What is stored in a cache.
async fn stored(cache: &Cache, id: &str) -> Option<u32> {
    cache.peek(plain::key(id)).await.expect("the store answers")
}

each_store! {
    async fn two_tests_at_once_do_not_see_each_others_entries(store: TestStore) {
        let (one, other) = (store.cache().await, Cache::in_memory());
        let (at_one, at_other) = (Gate::new(), Gate::new());
        let test = async |value: u32, mine: &Gate, others: &Gate| {
            assert_eq!(plain("twin", value).await, value);
            // Each goes on when the other is here as well.
            mine.open();
            others.pass().await;
            assert_eq!(plain("twin", 0).await, value, "a hit on its own entry");
            mine.open();
            others.pass().await;
            change("twin").await;
            assert_eq!(plain("twin", value + 1).await, value + 1, "its own entry is gone");
        };
        tokio::join!(one.scope(test(1, &at_one, &at_other)), other.scope(test(10, &at_other, &at_one)));
        assert_eq!((stored(&one, "twin").await, stored(&other, "twin").await), (Some(2), Some(11)));
        assert_eq!((one.stats().total().loads, other.stats().total().loads), (2, 2));
    }

    async fn the_innermost_scope_counts_and_ends_where_it_ends(store: TestStore) {
        let (outer, inner) = (store.cache().await, Cache::in_memory());
        outer
            .scope(async {
                inner.scope(plain("nested", 1)).await;
                assert_eq!(stored(&outer, "nested").await, None);
                plain("nested", 2).await;
                assert_eq!(stored(&Cache::global(), "nested").await, Some(2));
                inner.scope(async { assert_eq!(stored(&Cache::global(), "nested").await, Some(1)) }).await;
            })
            .await;
        assert_eq!((stored(&outer, "nested").await, stored(&inner, "nested").await), (Some(2), Some(1)));
    }

    async fn a_function_that_names_its_cache_uses_that(store: TestStore) {
        let (its_own, scoped) = (store.cache().await, Cache::in_memory());
        scoped.scope(named(&its_own, "named", 1)).await;
        assert_eq!(its_own.peek(named::key("named")).await.unwrap(), Some(1));
        assert_eq!(scoped.stats().total().loads, 0);
    }

    async fn writes_are_to_the_cache_of_the_scope(store: TestStore) {
        let (cache, other) = (store.cache().await, Cache::in_memory());
        other.scope(plain("written", 7)).await;
        cache
            .scope(async {
                plain("written", 1).await;
                write("written", 2).await;
                assert_eq!(plain("written", 0).await, 2);
                change("written").await;
                assert_eq!(stored(&cache, "written").await, None);
            })
            .await;
        assert_eq!(stored(&other, "written").await, Some(7));
    }

    async fn a_spawned_task_leaves_the_scope_unless_it_is_carried(store: TestStore) {
        let cache = store.cache().await;
        let outside = Cache::global();
        cache
            .scope(async {
                tokio::spawn(plain("left", 1)).await.unwrap();
                tokio::spawn(in_current_load(plain("carried", 1))).await.unwrap();
            })
            .await;
        assert_eq!((stored(&cache, "left").await, stored(&outside, "left").await), (None, Some(1)));
        assert_eq!((stored(&cache, "carried").await, stored(&outside, "carried").await), (Some(1), None));
    }

    async fn a_task_that_is_carried_is_in_the_load_and_in_the_scope(store: TestStore) {
        #[cached(ttl = "60s")]
        async fn whole() -> u32 {
            tokio::spawn(in_current_load(plain("part", 1))).await.unwrap()
        }
        let cache = store.cache().await;
        cache.scope(whole()).await;
        assert_eq!(cache.peek(whole::key()).await.unwrap(), Some(1));
        assert_eq!(cache.invalidate_key(plain::key("part")).await.unwrap().entries, 2, "it depends on its part");
    }

    /// The caches have the same names, and clocks of their own.
    async fn what_was_made_from_the_entries_of_two_scopes_is_not_stored(store: TestStore) {
        #[cached(ttl = "60s", skip(other), cache = Cache::global())]
        async fn mixed(other: &Cache) -> u32 {
            plain("mine", 1).await + other.scope(plain("theirs", 1)).await
        }
        let (cache, other) = (store.cache().await, Cache::in_memory());
        assert_eq!(cache.scope(mixed(&other)).await, 2);
        assert_eq!(cache.peek(mixed::key()).await.unwrap(), None);
        assert_eq!(cache.stats().total().unstored, 1);
        assert_eq!(cache.scope(async { plain("mine", 0).await }).await, 1, "its part is stored");
    }

    async fn a_run_of_warmers_fills_the_cache_of_its_scope(store: TestStore) {
        let cache = store.cache().await;
        let warmer = Warmer::new(&cache);
        warmer.register("one", || async { Ok::<_, Infallible>(plain("warmed", 1).await) });
        assert_eq!(cache.scope(warmer.run()).await.done, 1);
        assert_eq!(stored(&cache, "warmed").await, Some(1));
    }
}

/// A second after a fill its value is stale, and a call refreshes it.
#[cached(ttl = "1s", stale_while_revalidate = "1h", jitter = 0.0, skip(value))]
async fn refreshed(value: u32) -> u32 {
    plain(&format!("part of {value}"), value).await
}

/// Fills, and has what was filled refreshed with 2.
async fn refresh() {
    refreshed(1).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(refreshed(2).await, 1, "stale, and refreshed in the background");
    idle().await;
}

/// Lets the other tasks run until they wait for time, or for nothing.
async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_in_the_background_stays_in_the_scope_that_its_call_was_in() {
    let cache = Cache::in_memory();
    cache.scope(refresh()).await;
    assert_eq!(cache.peek(refreshed::key()).await.unwrap(), Some(2));
    assert_eq!(stored(&cache, "part of 2").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_a_handle_so_the_refreshes_of_its_calls_go_on() {
    let cache = Cache::in_memory();
    let another = cache.peer();
    let scope = cache.scope(refresh());
    drop(cache);
    scope.await;
    assert_eq!(another.peek(refreshed::key()).await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fills_the_cache_of_the_scope_that_it_was_made_in() {
    let cache = Cache::in_memory();
    let warmer = Warmer::new(&cache);
    let gate = Gate::new();
    let warmed = gate.clone();
    warmer.register("one", move || {
        let warmed = warmed.clone();
        async move {
            plain("scheduled", 1).await;
            warmed.pass().await;
            Ok::<_, Infallible>(())
        }
    });
    let schedule = cache.scope(async { warmer.schedule(FOREVER) }).await;
    gate.reached().await;
    assert_eq!(stored(&cache, "scheduled").await, Some(1));
    schedule.shutdown().await;
}

//! What stands in the server: bytes that are not ours, values over the limit,
//! bookkeeping that comes and goes.

use std::time::Duration;

use cache_core::{Cache, IntoKey, Key, StoreKey};
use cache_tests::{Gate, Raw, TestStore, each_deployment, each_server, each_store, ready, until};

async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

async fn fill_tagged(cache: &Cache, key: &str, tag: &str, ttl: Duration) {
    let key: Key<u64> = key.into_key().unwrap();
    let key = key.with_tags([tag]).with_ttl(ttl);
    cache.get_or_load::<u64, (), _>(key, || async { Ok(1) }).await.unwrap();
}

/// Where an entry is stored: on a cluster behind the root of the key's partition.
fn place(cache: &Cache, key: &str) -> String {
    cache.physical_key(StoreKey::Value(key)).expect("a store with physical keys")
}

async fn physical(cache: &Cache, raw: &mut Raw, key: &str) -> Vec<u8> {
    raw.get(&place(cache, key)).await.expect("the entry is stored")
}

each_deployment! {
    async fn an_entry_stands_under_namespace_and_logical_key(store: TestStore) {
        let cache = store.cache().await;
        get(&cache, "flight:42", 7).await;
        let (namespace, place) = (store.namespace(), place(&cache, "flight:42"));
        let root = place.strip_suffix(":flight:42").unwrap();
        assert!(root == namespace || root.starts_with(&format!("{{{namespace}/")), "{root}");
        let bytes = physical(&cache, &mut store.raw().await, "flight:42").await;
        assert_eq!(bytes[0], 2, "the format version comes first");
        assert_eq!(bytes[bytes.len() - 5], b'7', "the payload is JSON, and four bytes of checksum follow");
    }

    async fn an_entry_of_format_1_is_a_hit(store: TestStore) {
        let cache = store.cache().await;
        let mut raw = store.raw().await;
        get(&cache, "a:1", 1).await;
        let mut bytes = physical(&cache, &mut raw, "a:1").await;
        bytes.truncate(bytes.len() - 4);
        bytes[0] = 1;
        raw.set(&place(&cache, "a:1"), &bytes).await;
        assert_eq!(get(&cache, "a:1", 2).await, 1);
        assert_eq!(cache.stats().prefix("a").bad_entries, 0);
    }

    /// Corrupt, truncated, foreign, from the future: a miss, counted, overwritten.
    async fn bytes_that_are_not_ours_are_a_miss_and_overwritten(store: TestStore) {
        let cache = store.cache().await;
        let mut raw = store.raw().await;
        get(&cache, "a:1", 1).await;
        let good = physical(&cache, &mut raw, "a:1").await;
        let mut future = good.clone();
        future[0] = 99;
        let mut foreign = good.clone();
        foreign[4] ^= 0xff;
        let mut long_names = good.clone();
        long_names[52..56].copy_from_slice(&u32::MAX.to_le_bytes());
        // One bit, and another number.
        let mut flipped = good.clone();
        flipped[good.len() - 5] ^= 2;
        let truncated = good[..good.len() - 1].to_vec();
        let text = b"another program's text".to_vec();
        let cases = [Vec::new(), b"x".to_vec(), text, future, foreign, long_names, flipped, truncated];
        for (at, bytes) in cases.iter().enumerate() {
            raw.set(&place(&cache, "a:1"), bytes).await;
            let before = cache.stats().prefix("a");
            assert_eq!(get(&cache, "a:1", 2).await, 2, "case {at}");
            let after = cache.stats().prefix("a");
            assert!(after.bad_entries > before.bad_entries, "case {at} is not counted");
            assert_eq!(after.errors, before.errors, "case {at} is no error");
            assert_eq!(get(&cache, "a:1", 3).await, 2, "case {at} is not overwritten");
        }
    }

    async fn a_key_of_another_type_is_a_miss_and_overwritten(store: TestStore) {
        let cache = store.cache().await;
        let mut raw = store.raw().await;
        raw.command::<()>("LPUSH", &[&place(&cache, "a:1"), "x"]).await;
        assert_eq!(get(&cache, "a:1", 1).await, 1);
        assert_eq!(get(&cache, "a:1", 2).await, 1);
        assert_eq!(cache.stats().prefix("a").bad_entries, 1);
    }

}

each_server! {
    /// Whichever way an entry came to be stored. What invalidations rest on must not expire.
    async fn entries_and_leases_have_a_ttl_and_bookkeeping_has_none(store: TestStore) {
        let cache = store.cache().await;
        fill_tagged(&cache, "entry:filled", "T", Duration::from_secs(60)).await;
        cache.put("entry:put", &1).await.unwrap();
        cache.put("entry:large", &"x".repeat(200_000)).await.unwrap();
        cache.invalidate_tag("other").await.unwrap();
        let gate = Gate::new();
        let held = tokio::spawn({
            let (cache, gate) = (cache.clone(), gate.clone());
            let load = async move || {
                gate.pass().await;
                Ok::<u32, ()>(1)
            };
            async move { cache.get_or_load("entry:held", load).await }
        });
        gate.reached().await;
        let mut raw = store.raw().await;
        let (mut mortal, namespace) = (Vec::new(), store.namespace());
        for key in raw.keys(namespace).await {
            match raw.ttl_ms(&key).await {
                -1 => assert!(key.starts_with(&format!("{namespace}:~")), "{key}"),
                _ => mortal.push(key[namespace.len() + 1..].to_owned()),
            }
        }
        assert_eq!(mortal, ["entry:filled", "entry:large", "entry:put", "~lease:entry:held"]);
        gate.open();
        held.await.unwrap().unwrap();
    }

    /// `CACHE_TEST_FILLS` asks for more fills.
    async fn bookkeeping_goes_back_to_nearly_nothing_through_fills_alone(store: TestStore) {
        let fills: u64 = std::env::var("CACHE_TEST_FILLS").map_or(300, |fills| fills.parse().unwrap());
        let short = Duration::from_millis(200);
        // A dead member is reaped only after this time, and a load that takes longer does not fill.
        let cache = ready(store.builder().fence_retention(Duration::from_secs(2))).await;
        let workers: Vec<_> = (0..32u64)
            .map(|worker| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    for at in (worker..fills).step_by(32) {
                        fill_tagged(&cache, &format!("a:{at}"), &format!("tag:{at}"), short).await;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        // Fills of the same key again and again, which add nothing.
        let mut raw = store.raw().await;
        let due = format!("{}:~due", store.namespace());
        until(async || {
            for _ in 0..20 {
                fill_tagged(&cache, "b:1", "one", short).await;
                cache.invalidate_key("b:1").await.unwrap();
            }
            raw.command::<u64>("ZCARD", &[&due]).await <= 2
        })
        .await;
        let left = raw.keys(store.namespace()).await;
        assert!(left.len() < 10, "{left:?}");
    }
}

each_store! {
    /// A deploy that changes the type reads a miss, not garbage; so does one that changes it back.
    async fn another_type_under_the_same_key_is_a_miss(store: TestStore) {
        let cache = store.cache().await;
        assert_eq!(get(&cache, "a:1", 1).await, 1);
        let text = async || cache.get_or_load::<String, (), _>("a:1", || async { Ok("one".to_owned()) }).await.unwrap();
        assert_eq!((text().await, text().await), ("one".to_owned(), "one".to_owned()));
        assert_eq!((get(&cache, "a:1", 2).await, get(&cache, "a:1", 3).await), (2, 2));
        let stats = cache.stats().prefix("a");
        assert_eq!((stats.bad_entries, stats.hits), (2, 2));
    }

    async fn a_value_over_the_limit_is_returned_and_not_stored(store: TestStore) {
        let cache = store.builder().value_bytes_max(1_000).build().unwrap();
        let load = || async { Ok::<String, ()>("x".repeat(2_000)) };
        for _ in 0..2 {
            assert_eq!(cache.get_or_load("a:1", load).await.unwrap().len(), 2_000);
        }
        let stats = cache.stats().prefix("a");
        assert_eq!((stats.loads, stats.fills, stats.unstored), (2, 0, 2));
        assert_eq!(cache.put("a:1", &"x".repeat(2_000)).await.unwrap_err().kind(), cache_core::ErrorKind::Limit);
    }

    async fn a_large_value_is_stored_whole(store: TestStore) {
        let cache = store.cache().await;
        let text = "flight ".repeat(300_000);
        let load = || async { Ok::<String, ()>(text.clone()) };
        assert_eq!(cache.get_or_load("a:1", load).await.unwrap(), text);
        assert_eq!(cache.peek::<String>("a:1").await.unwrap().as_ref(), Some(&text));
        assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
    }

    async fn clear_removes_this_namespace_alone(store: TestStore) {
        let cache = store.cache().await;
        let neighbour = ready(store.builder().namespace(format!("{}-2", store.namespace()))).await;
        for at in 0..700 {
            get(&cache, &format!("a:{at}"), 1).await;
        }
        get(&neighbour, "a:1", 5).await;
        assert_eq!(cache.clear().await.unwrap().entries, 700);
        assert_eq!(neighbour.peek::<u32>("a:1").await.unwrap(), Some(5));
    }
}

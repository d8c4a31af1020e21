//! Faults that other caching libraries have had, and that no other file here is about.

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Gate, Log, TestStore, each_server, each_store};
use tokio::task::JoinSet;

async fn fill(cache: &Cache, key: &str, tag: &str, value: u64) {
    fill_at(cache, key, tag, value, None).await;
}

/// Fills after the gate has let it through.
async fn fill_at(cache: &Cache, key: &str, tag: &str, value: u64, gate: Option<&Gate>) {
    let key: Key<u64> = key.into_key().unwrap();
    let load = || async {
        if let Some(gate) = gate {
            gate.pass().await;
        }
        Ok::<_, String>(value)
    };
    cache.get_or_load(key.with_tags([tag]), load).await.unwrap();
}

async fn stored(cache: &Cache, key: &str) -> Option<u64> {
    cache.peek::<u64>(key).await.expect("the store answers")
}

each_store! {
    /// While a tag of many chunks falls, loads that began before its
    /// invalidation fill: none of them may stay.
    async fn a_tag_written_during_its_invalidation_keeps_nothing_from_before(store: TestStore) {
        let cache = store.cache().await;
        for at in 0..1_500 {
            fill(&cache, &format!("old:{at}"), "T", 0).await;
        }
        let before = Gate::new();
        let mut loads = JoinSet::new();
        for at in 0..50 {
            let (cache, gate) = (cache.clone(), before.clone());
            loads.spawn(async move { fill_at(&cache, &format!("late:{at}"), "T", 0, Some(&gate)).await });
        }
        for _ in 0..50 {
            before.reached().await;
        }
        let fills = async {
            for _ in 0..25 {
                before.open();
                tokio::task::yield_now().await;
            }
        };
        let (invalidated, ()) = tokio::join!(cache.invalidate_tag("T"), fills);
        assert!(invalidated.unwrap().entries >= 1_500);
        before.open_for_good();
        loads.join_all().await;
        for at in 0..50 {
            assert_eq!(stored(&cache, &format!("late:{at}")).await, None);
        }
        assert_eq!(cache.invalidate_tag("T").await.unwrap().entries, 0, "nothing was left in the tag");
    }

    /// The index of such a tag is gone, but not the fence.
    async fn an_emptied_tag_brings_nothing_back(store: TestStore) {
        let cache = store.cache().await;
        let gate = Gate::new();
        let late = tokio::spawn({
            let (cache, gate) = (cache.clone(), gate.clone());
            async move { fill_at(&cache, "late", "T", 1, Some(&gate)).await }
        });
        gate.reached().await;
        for round in 2..5 {
            fill(&cache, "other", "T", round).await;
            assert_eq!(cache.invalidate_tag("T").await.unwrap().entries, 1);
        }
        fill(&cache, "other", "T", 5).await;
        gate.open();
        late.await.unwrap();
        assert_eq!((stored(&cache, "late").await, stored(&cache, "other").await), (None, Some(5)));
    }

    /// Hits are what there are most of.
    async fn a_hit_writes_no_log_line(store: TestStore) {
        let cache = store.cache().await;
        let (log, _listening) = Log::listen();
        tracing::trace!("this test listens");
        fill(&cache, "a", "T", 1).await;
        for _ in 0..200 {
            fill(&cache, "a", "T", 2).await;
        }
        assert_eq!(cache.stats().total().hits, 200);
        cache.invalidate_tag("T").await.unwrap();
        let log = log.text();
        assert!(log.contains("this test listens"), "{log}");
        assert!(!log.contains("cache_core"), "neither a hit, a miss, a fill nor an invalidation is an event: {log}");
    }
}

each_server! {
    /// For processes that are killed see `stampede.rs`.
    async fn a_dropped_cache_leaves_no_lease_behind(store: TestStore) {
        let (cache, other) = (store.another_process().await, store.another_process().await);
        let gate = Gate::new();
        let load = tokio::spawn({
            let gate = gate.clone();
            async move { fill_at(&cache, "a", "T", 1, Some(&gate)).await }
        });
        gate.reached().await;
        load.abort();
        fill(&other, "a", "T", 2).await;
        assert_eq!(stored(&other, "a").await, Some(2));
    }
}

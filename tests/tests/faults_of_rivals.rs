//! Faults that other caching libraries have had, and that are not told elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Cache, IntoKey, Key, cached};
use cache_tests::{Data, Gate, TestStore, each_server, each_store};
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

mod first {
    /// Without a prefix: its path is one.
    #[cache_core::cached(ttl = "60s", cache = cache, skip(cache))]
    pub(crate) async fn get(cache: &cache_core::Cache, id: u64) -> String {
        format!("first {id}")
    }
}

mod second {
    #[cache_core::cached(ttl = "60s", cache = cache, skip(cache))]
    pub(crate) async fn get(cache: &cache_core::Cache, id: u64) -> String {
        format!("second {id}")
    }
}

/// Two instances of one generic function, told apart by their type alone.
#[cached(prefix = "largest", ttl = "60s", cache = cache, skip(cache))]
async fn largest<T: Bounded>(cache: &Cache) -> String {
    T::LARGEST.to_string()
}

trait Bounded {
    const LARGEST: u64;
}

impl Bounded for u8 {
    const LARGEST: u64 = u8::MAX as u64;
}

impl Bounded for u16 {
    const LARGEST: u64 = u16::MAX as u64;
}

each_store! {
    async fn two_functions_of_one_name_share_nothing(store: TestStore) {
        let cache = store.cache().await;
        for _ in 0..2 {
            assert_eq!(first::get(&cache, 1).await, "first 1");
            assert_eq!(second::get(&cache, 1).await, "second 1");
        }
        assert_eq!(cache.stats().total().hits, 2);
    }

    async fn two_instances_of_a_generic_function_share_nothing(store: TestStore) {
        let cache = store.cache().await;
        for _ in 0..2 {
            assert_eq!(largest::<u8>(&cache).await, "255");
            assert_eq!(largest::<u16>(&cache).await, "65535");
        }
        assert_eq!(cache.stats().total().hits, 2);
    }

    /// What is filled while a tag of many chunks falls was loaded before, during or after: only the last may stay.
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

    /// A tag whose index was emptied is not a tag without a history.
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
        let lines = Arc::new(AtomicU64::new(0));
        let counting = Counting { lines: lines.clone() };
        // With one subscriber alone, a thread without any that is first at an event decides that nobody listens.
        let _second = tracing::Dispatch::new(Counting { lines: Arc::default() });
        let _guard = tracing::subscriber::set_default(counting);
        tracing::error!("to see that lines are counted");
        assert_eq!(lines.swap(0, Ordering::SeqCst), 1);
        fill(&cache, "a", "T", 1).await;
        for _ in 0..200 {
            fill(&cache, "a", "T", 2).await;
        }
        assert_eq!(cache.stats().total().hits, 200);
        cache.invalidate_tag("T").await.unwrap();
        assert_eq!(lines.load(Ordering::SeqCst), 0, "neither a hit nor a miss, a fill or an invalidation is an event");
    }

    async fn a_value_that_loses_its_place_to_a_larger_type_is_a_miss_for_both(store: TestStore) {
        let cache = store.cache().await;
        fill(&cache, "a", "T", 7).await;
        let text = cache.get_or_load("a", || async { Ok::<_, String>("text".to_owned()) }).await;
        assert_eq!(text.as_deref(), Ok("text"));
        assert_eq!(stored(&cache, "a").await, None, "it is a text now");
        assert_eq!(cache.peek::<String>("a").await.unwrap().as_deref(), Some("text"));
    }
}

each_server! {
    /// The client dies between what its libraries would do in two steps: there is no such moment.
    async fn no_entry_is_ever_without_a_lifetime(store: TestStore) {
        let cache = store.cache().await;
        let data = Data::new();
        for at in 0..20 {
            fill(&cache, &format!("a:{at}"), "T", at).await;
            cache.put(format!("b:{at}"), &data.reads("none")).await.unwrap();
        }
        let large = "x".repeat(200_000);
        cache.put("large", &large).await.unwrap();
        let mut raw = store.raw().await;
        for key in raw.keys(store.namespace()).await {
            let bookkeeping = key.contains(":~");
            assert!(bookkeeping || raw.ttl_ms(&key).await > 0, "{key}");
        }
        assert_eq!(cache.invalidate_tag("T").await.unwrap().entries, 20);
    }

    /// For processes that are killed see `processes.rs`.
    async fn a_dropped_cache_leaves_no_lease_behind(store: TestStore) {
        let patient = || store.builder().lease(Duration::from_secs(50)).lease_wait(Duration::from_secs(50)).build().unwrap();
        let (cache, other) = (patient(), patient());
        for cache in [&cache, &other] {
            cache.ready(Duration::from_secs(10)).await.unwrap();
        }
        let gate = Gate::new();
        let load = tokio::spawn({
            let gate = gate.clone();
            async move { fill_at(&cache, "a", "T", 1, Some(&gate)).await }
        });
        gate.reached().await;
        load.abort();
        tokio::time::timeout(Duration::from_secs(5), fill(&other, "a", "T", 2)).await.expect("no lease is in its way");
        assert_eq!(stored(&other, "a").await, Some(2));
    }
}

struct Counting {
    lines: Arc<AtomicU64>,
}

impl tracing::Subscriber for Counting {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("cache_core") || metadata.target().starts_with(module_path!())
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.lines.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

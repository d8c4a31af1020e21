//! Invalidations that are written down by one process and done by another.

use std::convert::Infallible;

use cache_core::{Cache, Invalidation, Key, key, tag};
use cache_tests::{TestStore, each_deployment, each_store};

async fn fill(cache: &Cache, key: &str, tag: &str) {
    let key: Key<u32> = key!("{key}").with_tags([tag]);
    cache.get_or_load(key, || async { Ok::<_, Infallible>(1) }).await.unwrap();
}

each_store! {
    async fn an_intent_does_what_the_invalidation_would_have_done(store: TestStore) {
        let cache = store.cache().await;
        for (key, tag) in [("a", "one"), ("b", "two"), ("c", "one"), ("d", "three"), ("e", "four")] {
            fill(&cache, key, tag).await;
        }
        let intent = Invalidation::new().key("a").tag(tag!("two")).pattern("[de]").to_json().unwrap();
        for removed in [4, 0] {
            let invalidation = Invalidation::from_json(&intent).unwrap();
            assert_eq!(cache.invalidate(invalidation).await.unwrap().entries, removed, "twice does no harm");
        }
        assert_eq!(cache.peek::<u32>("c").await.unwrap(), Some(1));
    }
}

each_deployment! {
    /// The one thing that a relay in another process has is the text.
    async fn another_process_does_what_a_crashed_one_had_to(store: TestStore) {
        let (crashed, relay) = (store.cache().await, store.another_process().await);
        fill(&crashed, "old", "changed").await;
        let intent = Invalidation::new().tag("changed").to_json().unwrap();
        assert_eq!(relay.peek::<u32>("old").await.unwrap(), Some(1), "stale until the relay comes");
        let invalidated = relay.invalidate(Invalidation::from_json(&intent).unwrap()).await.unwrap();
        assert_eq!(invalidated.entries, 1);
        assert_eq!(crashed.peek::<u32>("old").await.unwrap(), None);
    }
}

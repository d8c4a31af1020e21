//! Tags that most entries have: at home in every partition of a cluster.

use std::convert::Infallible;

use cache_core::{Cache, cached};
use cache_tests::{ClusterSet, TestStore, each_layout, each_server, ready};

const PAGES: u32 = 40;

#[cached(prefix = "page", ttl = "60s", cache = cache, skip(cache), tags = ["*catalog", "page:{id}"])]
async fn page(cache: &Cache, id: u32) -> Result<u32, Infallible> {
    Ok(id)
}

#[cached(prefix = "sum", ttl = "60s", cache = cache, skip(cache))]
async fn sum(cache: &Cache) -> Result<u32, Infallible> {
    Ok(page(cache, 1).await? + page(cache, 2).await?)
}

#[cached(prefix = "spread", ttl = "60s", cache = cache, skip(cache), tags = ["*all"])]
async fn spread(cache: &Cache, id: u32) -> Result<u32, Infallible> {
    Ok(id)
}

#[cached(prefix = "plain", ttl = "60s", cache = cache, skip(cache), tags = ["all"])]
async fn plain(cache: &Cache, id: u32) -> Result<u32, Infallible> {
    Ok(id)
}

async fn stored(cache: &Cache) -> usize {
    let mut stored = 0;
    for id in 0..PAGES {
        stored += usize::from(cache.peek(page::key(&id)).await.unwrap().is_some());
    }
    stored
}

each_layout! {
    async fn what_has_a_spread_tag_falls_wherever_it_is_with_what_was_made_from_it(store: TestStore) {
        let cache = store.cache().await;
        for round in 0..2 {
            for id in 0..PAGES {
                page(&cache, id).await.unwrap();
            }
            sum(&cache).await.unwrap();
            assert_eq!(stored(&cache).await, PAGES as usize, "round {round}");
            assert_eq!(cache.invalidate_tag("*catalog").await.unwrap().entries, u64::from(PAGES) + 1);
            assert_eq!((stored(&cache).await, cache.peek(sum::key()).await.unwrap()), (0, None));
        }
    }

    async fn a_spread_tag_and_the_tag_without_the_star_are_two(store: TestStore) {
        let cache = store.cache().await;
        spread(&cache, 1).await.unwrap();
        plain(&cache, 1).await.unwrap();
        assert_eq!(cache.invalidate_tag("all").await.unwrap().entries, 1);
        assert_eq!(cache.peek(spread::key(&1)).await.unwrap(), Some(1));
        assert_eq!(cache.invalidate_tag("*all").await.unwrap().entries, 1);
    }
}

each_server! {
    /// Counted by the nodes. A plain tag is registered by each fill that is not at its home.
    async fn no_fill_registers_a_spread_tag(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let url = format!("{}/?partitions=16", set.url());
        let cache = ready(Cache::builder().url(url).namespace("shop")).await;
        let mut scripts = Vec::new();
        for spreads in [true, false] {
            let before = evaluated(&set).await;
            for id in 0..PAGES {
                let value = if spreads { spread(&cache, id).await } else { plain(&cache, id).await };
                value.unwrap();
            }
            scripts.push(evaluated(&set).await - before);
        }
        let fills = u64::from(PAGES);
        assert!(scripts[0] < 5 * fills / 2, "a lease and a fill: {scripts:?}");
        assert!(scripts[1] > 5 * fills / 2, "and a registration: {scripts:?}");
    }
}

async fn evaluated(set: &ClusterSet) -> u64 {
    let mut scripts = 0;
    // Replicas are sent the effects of scripts, and no scripts.
    for node in &set.nodes {
        scripts += node.raw().await.calls_of("evalsha").await;
    }
    scripts
}

//! Entries with many names: a list brings the tags of all its items.

use cache_core::{Cache, Cacheable, IntoKey, Key, cached, write_through};
use cache_tests::{Log, TestStore, each_layout, ready, run};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", tags = ["article:{self.id}", "author:{self.author}"])]
struct Article {
    id: u32,
    author: u32,
}

fn articles(count: u32) -> Vec<Article> {
    (0..count).map(|id| Article { id, author: id % 150 }).collect()
}

#[cached(prefix = "feed", cache = cache, skip(cache), tags = ["feeds"])]
async fn feed(cache: &Cache, count: u32) -> Vec<Article> {
    let _ = cache;
    articles(count)
}

/// Made of the feed.
#[cached(prefix = "front", ttl = "60s", cache = cache, skip(cache))]
async fn front(cache: &Cache, count: u32) -> usize {
    feed(cache, count).await.len()
}

#[write_through(feed(&count), cache = cache)]
async fn set_feed(cache: &Cache, count: u32) -> Vec<Article> {
    let _ = cache;
    articles(count)
}

async fn are_stored(cache: &Cache) -> (bool, bool) {
    let feed = cache.peek(feed::key(&200)).await.unwrap();
    (feed.is_some(), cache.peek(front::key(&200)).await.unwrap().is_some())
}

each_layout! {
    async fn a_list_of_two_hundred_is_stored_and_falls_with_each_kind_of_tag(store: TestStore) {
        let cache = store.cache().await;
        for tag in ["article:0", "article:199", "author:0", "author:149", "feeds"] {
            assert_eq!(front(&cache, 200).await, 200);
            assert_eq!(are_stored(&cache).await, (true, true), "{tag}");
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 2, "{tag}");
            set_feed(&cache, 200).await;
            assert_eq!(are_stored(&cache).await, (true, false), "{tag}");
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
            assert!(cache.put(feed::key(&200), &articles(200)).await.unwrap().stored);
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
        }
        assert_eq!(cache.stats().total().unstored, 0);
    }

    async fn more_names_than_allowed_are_not_stored(store: TestStore) {
        let cache = ready(store.builder().names_max(3)).await;
        for (count, stored) in [(3, true), (4, false)] {
            let key: Key<u32> = format!("a:{count}").into_key().unwrap();
            let key = key.with_tags((0..count).map(|tag| format!("t{tag}")));
            cache.get_or_load::<u32, (), _>(&key, || async { Ok(1) }).await.unwrap();
            assert_eq!(cache.peek(&key).await.unwrap().is_some(), stored, "{count}");
        }
    }
}

fn warnings(log: &Log) -> Vec<String> {
    log.text().lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
}

/// 3,000 articles have 3,000 tags of their own, 150 authors, and one tag of the function.
#[test]
fn too_many_names_are_said_once_with_the_prefix_and_how_many() {
    run(0, async {
        let (log, _guard) = Log::listen();
        let cache = Cache::builder().url("memory://").names_max(3_150).build().unwrap();
        assert_eq!(feed(&cache, 3_000).await.len(), 3_000);
        assert_eq!(feed(&cache, 3_000).await.len(), 3_000);
        let said = warnings(&log);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(r#"prefix="feed""#) && said[0].contains("at_least=3151"), "{}", said[0]);
        assert!(said[0].contains("coarser tag"), "{}", said[0]);
        assert_eq!(cache.stats().prefix("feed").unstored, 2);
        front(&cache, 3_000).await;
        let said = warnings(&log);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].contains(r#"prefix="front""#) && said[1].contains("at_least=3151"), "{}", said[1]);
    });
}

//! What stays in a server when nobody uses the cache any more.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Server, TestStore, each_server, until};

/// Entries live for so long, and the cache remembers for so long what died.
const BRIEF: Duration = Duration::from_millis(100);

async fn fill(cache: &Cache, key: String, names: usize) {
    let tags: Vec<String> = (0..names).map(|name| format!("{key}:{name}")).collect();
    let typed: Key<u64> = key.as_str().into_key().unwrap();
    let load = || async { Ok::<u64, Infallible>(1) };
    cache.get_or_load(&typed.with_tags(tags).with_ttl(BRIEF), load).await.unwrap();
}

each_server! {
    /// Each name is of one entry, so that no later fill comes by its index.
    async fn nothing_is_left_of_entries_that_have_died(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = Cache::builder().url(server.url()).fence_retention(BRIEF).build().unwrap();
        cache.ready(Duration::from_secs(10)).await.unwrap();
        let mut raw = server.raw().await;
        for names in [1, 5, 20] {
            for at in 0..500 {
                fill(&cache, format!("a:{at}"), names).await;
            }
            let invalidated = cache.invalidate_tag("a:499:0").await.unwrap().entries;
            assert!(invalidated <= 1);
            assert!(raw.command::<u64>("DBSIZE", &[]).await > 3, "{names} names");
            // The clock, with no fence.
            until(async || raw.command::<u64>("DBSIZE", &[]).await == 1).await;
            until(async || raw.command::<u64>("ZCOUNT", &["cache:~clock", "0", "+inf"]).await == 1).await;
        }
        assert!(cache.stats().total().fills > 1_000, "a busy machine may be too slow for some");
    }
}

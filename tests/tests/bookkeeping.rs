//! What stays in a server when nobody uses the cache any more.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, CacheContext, IntoKey, Key, StoreKey, cached};
use cache_tests::{Server, TestStore, each_server, until};

/// Entries live for so long, and the cache remembers for so long what died.
const BRIEF: Duration = Duration::from_millis(100);

async fn fill(cache: &Cache, key: String, names: usize) {
    let tags: Vec<String> = (0..names).map(|name| format!("{key}:{name}")).collect();
    let typed: Key<u64> = key.as_str().into_key().unwrap();
    let load = || async { Ok::<u64, Infallible>(1) };
    cache.get_or_load(&typed.with_tags(tags).with_ttl(BRIEF), load).await.unwrap();
}

#[derive(CacheContext)]
struct App {
    cache: Cache,
}

/// A function as the earlier version of a program has it.
#[cached(prefix = "row", ttl = BRIEF, tags = ["rows"], context = app)]
async fn earlier(app: &App, id: u64) -> u64 {
    id
}

/// The same one in the later version: its values are of another type.
mod deployed {
    use super::{App, BRIEF, cached};

    #[cached(prefix = "row", ttl = BRIEF, tags = ["rows"], context = app)]
    pub(super) async fn later(app: &App, id: u64) -> String {
        id.to_string()
    }
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

    /// Of two versions that had an entry each under every key, one goes on, and calls for one key.
    async fn a_version_that_is_gone_leaves_nothing_although_the_other_goes_on(store: TestStore) {
        const IDS: u64 = 200;
        let server = Server::start(store.kind().unwrap());
        let cache = Cache::builder().url(server.url()).fence_retention(BRIEF).build().unwrap();
        cache.ready(Duration::from_secs(10)).await.unwrap();
        let mut raw = server.raw().await;
        let tagged = cache.physical_key(StoreKey::Tagged("rows")).unwrap();
        let app = App { cache };
        for id in 0..IDS {
            earlier(&app, id).await;
            deployed::later(&app, id).await;
        }
        assert!(app.cache.stats().prefix("row").bad_entries > 0, "none was stored beside the other");
        // Its entry, the index of the tag, the clock, and what is to be reaped by when.
        until(async || {
            deployed::later(&app, 0).await;
            raw.command::<u64>("ZCARD", &[&tagged]).await <= 1 && raw.command::<u64>("DBSIZE", &[]).await <= 4
        })
        .await;
    }
}

//! Keys and tags made of values of any length: what was stored with a text is found and invalidated
//! with the same text.

use cache_core::{Cache, ErrorKind, cached, invalidates, key, tag};
use cache_tests::{TestStore, each_store};

#[cached(
    prefix = "search", ttl = "60s", cache = cache, skip(cache),
    tags = ["query:{query}", "both:{query}:{result}", "user:{user}"],
)]
async fn search(cache: &Cache, user: u32, query: String) -> usize {
    let _ = (cache, user);
    query.len()
}

/// Depends on a key and has tags, all made of text alone.
#[cached(
    prefix = "report", ttl = "60s", cache = cache, skip(cache), key = "{title}:{query}",
    tags = ["titles:{title}:{query}"], depends_on = ["saved:{query}"],
)]
async fn report(cache: &Cache, title: &str, query: &str) -> u8 {
    let _ = (cache, title, query);
    1
}

#[invalidates(tags = ["query:{query}"], cache = cache)]
async fn query_changed(cache: &Cache, query: &str) {}

#[invalidates(tags = ["both:{query}:{result}"], cache = cache)]
async fn result_changed(cache: &Cache, query: &str) -> usize {
    let _ = cache;
    query.len()
}

#[invalidates(keys = ["search:1:{query}"], cache = cache)]
async fn removed(cache: &Cache, query: &str) {}

#[invalidates(keys = ["saved:{query}"], cache = cache)]
async fn saved(cache: &Cache, query: &str) {}

/// Around the longest name; in any script, and of characters that are escaped.
fn texts() -> Vec<String> {
    let lengths = [200, 1_010, 1_020, 1_024, 1_100, 20_000];
    lengths.iter().flat_map(|length| ["x", "é", ":"].map(|text| text.repeat(*length))).collect()
}

async fn is_stored(cache: &Cache, query: &str) -> bool {
    cache.peek(search::key(&1, &query.to_owned())).await.unwrap().is_some()
}

each_store! {
    async fn a_tag_of_any_text_reaches_what_has_it(store: TestStore) {
        let cache = store.cache().await;
        for query in texts() {
            let (other, load) = (format!("{query}!"), |query: &str| search(&cache, 1, query.to_owned()));
            load(&other).await;
            for change in 0..3 {
                load(&query).await;
                assert!(is_stored(&cache, &query).await, "{}", query.len());
                match change {
                    0 => query_changed(&cache, &query).await,
                    1 => _ = result_changed(&cache, &query).await,
                    _ => assert_eq!(cache.invalidate_tag(tag!("query:{query}")).await.unwrap().entries, 1),
                }
                assert!(!is_stored(&cache, &query).await, "{change}: {}", query.len());
            }
            assert!(is_stored(&cache, &other).await, "another text's entry stays");
        }
        assert_eq!(cache.invalidate_tag("user:1").await.unwrap().entries, texts().len() as u64);
        assert_eq!(cache.stats().total().unstored, 0);
    }

    async fn a_key_of_any_text_names_its_entry(store: TestStore) {
        let cache = store.cache().await;
        for query in texts() {
            search(&cache, 1, query.clone()).await;
            removed(&cache, &query).await;
            assert!(!is_stored(&cache, &query).await, "{}", query.len());
            search(&cache, 1, query.clone()).await;
            assert_eq!(cache.invalidate_key(key!("search:1:{query}")).await.unwrap().entries, 1);
            let load = || async { Ok::<_, ()>(7) };
            assert_eq!(cache.get_or_load(key!("plain:{query}"), load).await, Ok(7));
            assert_eq!(cache.peek(key!("plain:{query}")).await.unwrap(), Some(7));
        }
    }

    async fn a_tag_and_a_dependency_of_several_long_texts_reach_what_has_them(store: TestStore) {
        let cache = store.cache().await;
        for (title, query) in texts().iter().zip(texts().iter().rev()) {
            report(&cache, title, query).await;
            assert_eq!(cache.invalidate_tag(tag!("titles:{query}:{title}x")).await.unwrap().entries, 0);
            assert_eq!(cache.invalidate_tag(tag!("titles:{title}:{query}")).await.unwrap().entries, 1);
            report(&cache, title, query).await;
            saved(&cache, query).await;
            assert_eq!(cache.peek(report::key(title, query)).await.unwrap(), None);
        }
    }

    async fn text_of_that_length_is_refused(store: TestStore) {
        let cache = store.cache().await;
        let text = "x".repeat(1_025);
        assert_eq!(cache.invalidate_tag(&text).await.unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(cache.invalidate_key(&text).await.unwrap_err().kind(), ErrorKind::Limit);
        // A tag that fits is spelled out, and found by its text.
        let (query, tag) = ("x".repeat(1_018), format!("query:{}", "x".repeat(1_018)));
        search(&cache, 1, query).await;
        assert_eq!(cache.invalidate_tag(&tag).await.unwrap().entries, 1);
    }
}

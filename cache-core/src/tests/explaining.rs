//! What is known of a key.

use super::*;
use crate::error::ErrorKind;
use crate::paths::explain::{Explanation, NameKind};

async fn explained(cache: &Cache, key: &str) -> Explanation {
    cache.explain(key).await.unwrap()
}

async fn why(cache: &Cache, key: &str) -> Option<(String, u64)> {
    explained(cache, key).await.unstored.map(|unstored| (unstored.reason, unstored.ago_ms))
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_explained_without_its_value() {
    let (cache, _) = rig();
    let key = || tagged("flight:New%20York:42", &["airport:JFK"]).with_ttl(Duration::from_secs(60));
    let slow = async {
        tokio::time::advance(Duration::from_millis(3)).await;
        123_456_789
    };
    load_key(&cache, key(), slow).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    let told = cache.explain(key()).await.unwrap();
    assert_eq!(told, explained(&cache, "flight:New%20York:42").await);
    assert_eq!((&*told.prefix, &told.parts[..]), ("flight", &["New%20York".to_owned(), "42".to_owned()][..]));
    let entry = told.entry.clone().unwrap();
    assert_eq!((entry.payload_bytes, entry.format, &*entry.codec, entry.fingerprint.len()), (9, 2, "json", 32));
    assert_eq!(entry.bytes, 56 + "\ntairport:JFK\n".len() as u64 + 9 + 4);
    assert_eq!((entry.age_ms, entry.fresh_for_ms, entry.kept_for_ms, entry.load_us), (10_000, 50_000, 50_000, 3_000));
    let names: Vec<_> = told.names.iter().map(|name| (name.kind, &*name.text, name.fence)).collect();
    assert_eq!(names, [(NameKind::Key, "flight:New%20York:42", None), (NameKind::Tag, "airport:JFK", None)]);
    assert_eq!((told.entry_names, told.dependents, told.unstored.as_ref()), (1, 0, None));
    let (words, json) = (told.to_string(), serde_json::to_string(&told).unwrap());
    assert!(words.contains("a value of 9 bytes") && words.contains("tag airport:JFK"), "{words}");
    assert!(json.contains(r#""age_ms":10000"#), "{json}");
    assert!(!words.contains("123456789") && !json.contains("123456789"), "{words} {json}");
    cache.invalidate_tag("airport:JFK").await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    let gone = explained(&cache, "flight:New%20York:42").await;
    assert_eq!((gone.entry, gone.names.len(), gone.names[0].fence_ago_ms), (None, 1, Some(2_000)));
    assert!(gone.names[0].fence.is_some_and(|fence| fence > gone.floor));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_not_stored_is_told_with_its_reason_until_one_is() {
    let (cache, _) = rig();
    let key = "flight:1";
    assert_eq!(why(&cache, key).await, None);
    load_key(&cache, tagged(key, &[]).with_ttl(Duration::ZERO), async { 0 }).await;
    let (reason, ago) = why(&cache, key).await.unwrap();
    assert!(reason.contains("not meant to be") && ago == 0, "{reason}");
    let during = async {
        cache.invalidate_key(key).await.unwrap();
        1
    };
    load(&cache, key, during).await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let (reason, ago) = why(&cache, key).await.unwrap();
    assert!(reason.contains("invalidate") && ago == 7_000, "{reason}");
    get(&cache, key, 2).await;
    assert_eq!(why(&cache, key).await, None, "it was stored");
    get(&cache, key, 3).await;
    assert_eq!(why(&cache, key).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_stored_is_told_as_well() {
    let store = Faulty::new();
    let cache = with(&store, |config| config.value_bytes_max = 100);
    cache.put("text", &"x".repeat(200)).await.unwrap_err();
    let told = explained(&cache, "text").await.unstored.unwrap();
    assert!(told.reason.contains("value_bytes_max") && told.way_out.is_some(), "{told:?}");
    cache.put("text", &"x".to_owned()).await.unwrap();
    assert_eq!(explained(&cache, "text").await.unstored, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_under_way_is_told_with_its_lease() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let call = spawn(&cache, "a", gate.body(1));
    gate.reached().await;
    let told = explained(&cache, "a").await;
    assert!(told.is_loading_here && told.lease.is_some_and(|lease| !lease.is_overtaken), "{told}");
    let elsewhere = explained(&on(&store), "a").await;
    assert!(!elsewhere.is_loading_here && elsewhere.lease.is_some(), "{elsewhere}");
    gate.open();
    call.await.unwrap();
    let ended = explained(&cache, "a").await;
    assert!(!ended.is_loading_here && ended.lease.is_none(), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn what_names_nothing_is_an_error_and_a_disabled_cache_holds_nothing() {
    let (cache, _) = rig();
    assert_eq!(cache.explain("").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(cache.explain(TextKey::unencodable()).await.unwrap_err().kind(), ErrorKind::Encode);
    assert_eq!(explained(&Cache::disabled(), "a:1").await.entry, None);
}

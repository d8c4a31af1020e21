use super::*;
use crate::key::Policy;
use crate::name::{Names, Template};
use crate::private::{Call, Step, coding};

async fn call<T: serde::Serialize + serde::de::DeserializeOwned>(
    cache: &Cache,
    key: &str,
    policy: Policy,
    value: T,
) -> T {
    let key = TextKey::literal(key).unwrap().typed();
    match Call::new(Some(cache), key, policy, coding()).lookup().await {
        Step::Return(value) | Step::ReturnAndRefresh(value, _) => value,
        Step::Load(mut load) => {
            let value = load.run(async { value }).await;
            load.fill(Some(&value), Names::new()).await;
            value
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_over_the_limit_is_returned_and_not_stored() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.value_bytes_max = 100);
    let long = "x".repeat(100);
    assert_eq!(call(&cache, "k", Policy::new("k"), long.clone()).await, long);
    assert_eq!(store.calls(Op::Fill), 0);
    assert_eq!(cache.stats().prefix("k").unstored, 1);
    assert_eq!(store.calls(Op::ReleaseLease), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_with_too_many_names_is_returned_and_not_stored() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.names_max = 2);
    load_key(&cache, tagged("two", &["a", "b", "a"]), async { 1 }).await;
    load_key(&cache, tagged("three", &["a", "b", "c"]), async { 1 }).await;
    assert_eq!((stored(&cache, "two").await, stored(&cache, "three").await), (Some(1), None));
    assert_eq!(cache.stats().prefix("three").unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_with_a_tag_that_cannot_be_written_is_not_stored() {
    let (cache, _) = rig();
    load_key(&cache, tagged("k", &["good", "bad\n"]), async { 1 }).await;
    assert_eq!(stored(&cache, "k").await, None);
    assert_eq!(cache.stats().prefix("k").unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_encoded_is_not_cached_and_counted() {
    let (cache, store) = rig();
    let key = || Template::of_key().text("k:").part(&f64::NAN).finish_key().typed();
    assert_eq!(load_key(&cache, key(), async { 1 }).await, 1);
    assert_eq!(load_key(&cache, key(), async { 2 }).await, 2);
    assert_eq!(store.all_calls(), 0);
    assert_eq!(cache.stats().total().bypasses, 2);
    let Ok(value) = cache.get_or_load("", || async { Ok::<_, Infallible>(3) }).await;
    assert_eq!(value, 3);
}

#[tokio::test(start_paused = true)]
async fn none_is_stored_for_its_negative_ttl_alone() {
    let (cache, store) = rig();
    let negative = || Policy::new("k").ttl(Duration::from_secs(60)).negative_ttl(Duration::from_secs(5));
    call::<Option<u32>>(&cache, "with", negative(), None).await;
    assert_eq!(store.last_ttl(), Some(Duration::from_secs(5)));
    assert_eq!(call::<Option<u32>>(&cache, "with", negative(), Some(1)).await, None);
    call::<Option<u32>>(&cache, "without", Policy::new("k"), None).await;
    assert_eq!(call(&cache, "without", Policy::new("k"), Some(1)).await, Some(1));
    assert_eq!(cache.stats().prefix("k").unstored, 0, "not a limit");
}

#[tokio::test(start_paused = true)]
async fn a_negative_entry_is_a_miss_for_a_type_without_none() {
    let (cache, _) = rig();
    call::<Option<u32>>(&cache, "k", Policy::new("k").negative_ttl(Duration::from_secs(5)), None).await;
    assert_eq!(call(&cache, "k", Policy::new("k"), 1u32).await, 1);
    assert_eq!(cache.stats().prefix("k").bad_entries, 1);
}

#[tokio::test(start_paused = true)]
async fn an_err_inside_a_plain_value_is_not_stored() {
    let (cache, store) = rig();
    _ = call::<Result<u32, String>>(&cache, "k", Policy::new("k"), Err("no".to_owned())).await;
    assert_eq!(store.calls(Op::Fill), 0);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_the_lifetime_and_never_lengthens_it() {
    let (cache, store) = rig();
    let mut seen = std::collections::BTreeSet::new();
    for key in 0..50 {
        call(&cache, &format!("k:{key}"), Policy::new("k").ttl(Duration::from_secs(100)).jitter(0.1), key).await;
        let ttl = store.last_ttl().unwrap();
        assert!((Duration::from_secs(90)..=Duration::from_secs(100)).contains(&ttl), "{ttl:?}");
        seen.insert(ttl);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_of_a_class_is_read_at_every_fill() {
    let (cache, store) = rig();
    cache.set_ttl_class("inventory", Duration::from_secs(60));
    call(&cache, "a", Policy::new("k").class("inventory"), 1).await;
    assert_eq!(store.last_ttl(), Some(Duration::from_secs(60)));
    cache.set_ttl_class("inventory", Duration::from_secs(10));
    call(&cache, "b", Policy::new("k").class("inventory"), 1).await;
    assert_eq!(store.last_ttl(), Some(Duration::from_secs(10)));
    call(&cache, "c", Policy::new("k").class("unknown"), 1).await;
    assert_eq!(store.last_ttl(), Some(Duration::from_secs(300)));
    assert!(!cache.runtime.warns_of_class_once("unknown"), "it was said already");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_of_zero_stores_nothing() {
    let (cache, store) = rig();
    call(&cache, "k", Policy::new("k").ttl(Duration::ZERO), 1).await;
    assert_eq!(store.calls(Op::Fill), 0);
}

#[test]
fn settings_that_can_never_work_are_refused() {
    let bad = [
        Cache::builder().namespace(""),
        Cache::builder().namespace("a:b"),
        Cache::builder().namespace("a{b}"),
        Cache::builder().jitter(1.0),
        Cache::builder().jitter(f64::NAN),
        Cache::builder().operation_deadline(Duration::ZERO),
        Cache::builder().lease(Duration::from_secs(5)),
        Cache::builder().connections(0),
        Cache::builder().url("http://localhost"),
        Cache::builder().url(""),
    ];
    for builder in bad {
        let settings = format!("{builder:?}");
        let error = builder.build().err().unwrap_or_else(|| panic!("accepted: {settings}"));
        assert_eq!(error.kind(), crate::error::ErrorKind::Config);
    }
}

#[test]
fn a_refused_url_does_not_show_its_password() {
    let error = Cache::open("reids://user:hunter2@host").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let builder = format!("{:?}", Cache::builder().url("redis://user:hunter2@host"));
    assert!(!builder.contains("hunter2"), "{builder}");
}

#[tokio::test(start_paused = true)]
async fn the_embedded_store_tells_what_it_holds_and_what_gave_way() {
    let cache = crate::Cache::builder().memory_bytes_max(10_000).build().unwrap();
    let empty = cache.memory().unwrap();
    assert_eq!((empty.entries, empty.bytes, empty.bytes_max, empty.evictions), (0, 0, 10_000, 0));
    for at in 0..3 {
        get(&cache, &format!("k:{at}"), at).await;
    }
    let some = cache.memory().unwrap();
    assert!(some.entries == 3 && some.evictions == 0 && (500..5_000).contains(&some.bytes), "{some:?}");
    for at in 3..100 {
        get(&cache, &format!("k:{at}"), at).await;
    }
    let full = cache.memory().unwrap();
    assert_eq!(full.entries + full.evictions, 100);
    assert!(full.entries > 10 && (8_000..=10_000).contains(&full.bytes), "{full:?}");
    cache.clear().await.unwrap();
    assert_eq!((cache.memory().unwrap().entries, cache.memory().unwrap().evictions), (0, full.evictions));
    assert_eq!(crate::Cache::disabled().memory(), None);
}

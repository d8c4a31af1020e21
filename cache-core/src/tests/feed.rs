//! The feed of invalidations.

use super::*;
use crate::config::{FEED_NAMES_MAX, FEED_RECORDS_MAX};
use crate::invalidation::{Cause, Invalidation};

#[tokio::test(start_paused = true)]
async fn an_invalidation_is_told_with_its_names_and_what_it_removed_of_each_prefix() {
    let (cache, _) = rig();
    for key in ["flight:1", "flight:2", "board:DFW"] {
        load_key(&cache, tagged(key, &["airport:DFW"]), async { 1 }).await;
    }
    let mut feed = cache.subscribe_invalidations();
    let invalidation = Invalidation::new().tag("airport:DFW").key("flight:9").pattern("route:*");
    cache.invalidate(invalidation).await.unwrap();
    let record = feed.next().await.unwrap();
    let named =
        [Cause::Key("flight:9".to_owned()), Cause::Tag("airport:DFW".to_owned()), Cause::Pattern("route:*".to_owned())];
    assert_eq!((record.kind, record.named_total, record.removed, &record.error), ("pattern", 3, 3, &None));
    assert!(record.named.len() == 3 && named.iter().all(|name| record.named.contains(name)), "{record:?}");
    let by_prefix: Vec<_> = record.removed_by_prefix.iter().map(|(prefix, removed)| (&**prefix, *removed)).collect();
    assert_eq!(by_prefix, [("board", 1), ("flight", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_write_and_a_clear_are_told() {
    let (cache, _) = rig();
    let mut feed = cache.subscribe_invalidations();
    cache.put("flight:1", &1).await.unwrap();
    cache.put("flight:1", &2).await.unwrap();
    cache.clear().await.unwrap();
    let records = [feed.next().await.unwrap(), feed.next().await.unwrap(), feed.next().await.unwrap()];
    let told = records.each_ref().map(|record| (record.kind, record.removed, record.removed_by_prefix.get("flight")));
    assert_eq!(told, [("write", 0, None), ("write", 1, Some(&1)), ("clear", 1, Some(&1))]);
    assert_eq!(records[0].named, [Cause::Key("flight:1".to_owned())]);
    assert_eq!(records[2].named, [Cause::Everything]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_its_reason_and_so_is_the_retry() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let mut feed = cache.subscribe_invalidations();
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    store.heal(Op::Invalidate);
    let failed = feed.next().await.unwrap();
    assert!(failed.error.is_some() && failed.removed == 0, "{failed:?}");
    let retried = feed.next().await.unwrap();
    assert_eq!((&retried.error, retried.removed, &retried.named), (&None, 1, &failed.named));
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_loses_the_oldest_and_is_told_how_many() {
    let (cache, _) = rig();
    let mut feed = cache.subscribe_invalidations();
    for key in 0..FEED_RECORDS_MAX + 3 {
        cache.invalidate_key(format!("k:{key}")).await.unwrap();
    }
    assert_eq!(feed.lost(), 0);
    assert_eq!(feed.next().await.unwrap().named, [Cause::Key("k:3".to_owned())]);
    assert_eq!(feed.lost(), 3);
}

#[tokio::test(start_paused = true)]
async fn names_are_told_up_to_a_limit_and_counted_beyond_it() {
    let (cache, _) = rig();
    let mut feed = cache.subscribe_invalidations();
    let keys = (0..FEED_NAMES_MAX + 5).map(|key| format!("k:{key}"));
    cache.invalidate(Invalidation::new().keys(keys)).await.unwrap();
    let record = feed.next().await.unwrap();
    assert_eq!((record.named.len(), record.named_total), (FEED_NAMES_MAX, FEED_NAMES_MAX as u64 + 5));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_ready_while_nobody_listens_and_a_feed_ends_with_its_cache() {
    let (cache, _) = rig();
    assert!(!cache.runtime.feed.is_heard());
    let mut feed = cache.subscribe_invalidations();
    assert!(cache.runtime.feed.is_heard());
    drop(cache.subscribe_invalidations());
    assert!(cache.runtime.feed.is_heard());
    drop(cache);
    assert_eq!(feed.next().await, None);
    let (cache, _) = rig();
    drop(cache.subscribe_invalidations());
    assert!(!cache.runtime.feed.is_heard());
}

use super::*;
use crate::error::ErrorKind;

#[tokio::test(start_paused = true)]
async fn put_replaces_the_entry_and_removes_what_was_made_of_it() {
    let (cache, store) = rig();
    load(&cache, "board", async { get(&cache, "k", 1).await }).await;
    let put = cache.put("k", &2u32).await.unwrap();
    assert!(put.stored);
    assert_eq!(put.entries, 2);
    assert_eq!((stored(&cache, "k").await, stored(&cache, "board").await), (Some(2), None));
    assert_eq!((store.calls(Op::ReadClock), store.calls(Op::Write)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_after_put_was_called_wins() {
    for invalidated in ["key", "tag"] {
        let (cache, store) = rig();
        let read = store.hold_answer(Op::ReadClock);
        let put = {
            let cache = cache.clone();
            tokio::spawn(async move { cache.put(tagged("k", &["t"]), &1).await })
        };
        read.reached().await;
        match invalidated {
            "key" => on(&store).invalidate_key("k").await.unwrap(),
            _ => on(&store).invalidate_tag("t").await.unwrap(),
        };
        read.open();
        assert!(!put.await.unwrap().unwrap().stored, "{invalidated}");
        assert_eq!(stored(&cache, "k").await, None, "{invalidated}");
        assert_eq!(cache.stats().prefix("k").refused_fills, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn two_concurrent_writers_end_in_a_miss() {
    let (cache, store) = rig();
    let first_read = store.hold_answer(Op::ReadClock);
    let first = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.put("k", &1u32).await })
    };
    first_read.reached().await;
    assert!(on(&store).put("k", &2u32).await.unwrap().stored);
    first_read.open();
    assert!(!first.await.unwrap().unwrap().stored);
    assert_eq!(stored(&cache, "k").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_fails_removes_the_old_value_in_the_end() {
    for op in [Op::ReadClock, Op::Write] {
        let (cache, store) = rig();
        get(&cache, "k", 1).await;
        store.fail(op);
        assert_eq!(cache.put("k", &2u32).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(get(&cache, "k", 3).await, 3, "{op:?}: the old value is bypassed");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(store.bytes("k").await.is_none(), "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_cannot_be_stored_removes_the_old_value() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.value_bytes_max = 100);
    get(&cache, "k", 1).await;
    assert_eq!(cache.put("k", &"x".repeat(100)).await.unwrap_err().kind(), ErrorKind::Limit);
    assert!(store.bytes("k").await.is_none());

    get(&cache, "k", 1).await;
    assert!(!cache.put("k", &None::<u32>).await.unwrap().stored);
    assert!(store.bytes("k").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_put_under_way_goes_on_without_its_caller() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let sent = store.hold(Op::Write);
    let caller = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.put("k", &2u32).await })
    };
    sent.reached().await;
    caller.abort();
    sent.open();
    idle().await;
    assert_eq!(stored(&cache, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_put_drains_a_cascade_to_its_end() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    for key in 0..1_000 {
        load(&cache, &format!("d:{key}"), async { load(&cache, "k", forbidden()).await }).await;
    }
    let put = cache.put("k", &2u32).await.unwrap();
    assert_eq!(put.entries, 1_001);
    assert!(store.calls(Op::Invalidate) > 0, "the test is too small");
    assert_eq!(stored(&cache, "k").await, Some(2), "draining the cascade must leave the new value");
}

/// A put that the store refuses: the entry is gone, and only the epoch keeps callers from the load that began before.
#[tokio::test(start_paused = true)]
async fn nobody_joins_a_load_from_before_a_put() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let before = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let read = store.hold_answer(Op::ReadClock);
    let put = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.put(tagged("k", &["t"]), &2).await })
    };
    read.reached().await;
    on(&store).invalidate_tag("t").await.unwrap();
    read.open();
    assert!(!put.await.unwrap().unwrap().stored);
    let begun = tokio::time::Instant::now();
    assert_eq!(get(&cache, "k", 3).await, 3);
    assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for a load that it may not share");
    gate.open();
    assert_eq!(before.await.unwrap(), 1);
    assert_eq!(stored(&cache, "k").await, Some(3), "the first load began before the write");
}

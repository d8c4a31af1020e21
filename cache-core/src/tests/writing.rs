use super::*;
use crate::error::ErrorKind;
use crate::private::{Around, Known, Target, coding, write_through};

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

/// A put that the store is going to refuse: the entry is gone then, and only the epoch keeps
/// callers from loads that began before.
async fn overtaken_put(cache: &Cache, store: &Faulty) -> JoinHandle<crate::Put> {
    let read = store.hold_answer(Op::ReadClock);
    let put = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.put(tagged("k", &["t"]), &2).await.unwrap() })
    };
    read.reached().await;
    on(store).invalidate_tag("t").await.unwrap();
    read.open();
    put
}

async fn loads_at_once(cache: &Cache) {
    let begun = tokio::time::Instant::now();
    assert_eq!(get(cache, "k", 3).await, 3);
    assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for a load that it may not share");
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_load_from_before_a_put() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let before = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let answer = store.hold_answer(Op::Write);
    let put = overtaken_put(&cache, &store).await;
    answer.reached().await;
    loads_at_once(&cache).await;
    answer.open();
    assert!(!put.await.unwrap().stored);
    gate.open();
    assert_eq!(before.await.unwrap(), 1);
    assert_eq!(stored(&cache, "k").await, Some(3), "the first load began before the write");
}

#[tokio::test(start_paused = true)]
async fn after_a_put_nobody_joins_a_load_that_began_while_it_was_sent() {
    let (cache, store) = rig();
    let sent = store.hold(Op::Write);
    let put = overtaken_put(&cache, &store).await;
    sent.reached().await;
    let gate = Gate::default();
    let meanwhile = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    sent.open();
    assert!(!put.await.unwrap().stored);
    loads_at_once(&cache).await;
    gate.open();
    assert_eq!(meanwhile.await.unwrap(), 1);
    assert_eq!(stored(&cache, "k").await, Some(3));
}

/// What `#[write_through]` becomes.
async fn write(cache: Cache, key: Key<u32>, body: impl Future<Output = Result<u32, ()>>) -> Result<u32, ()> {
    let writing = write_through(Some(&cache), Target::<_, Known, Known>::new(key, coding(), None), Around::Open).await;
    match writing.body(body).await {
        Ok(value) => {
            writing.finish(Some(&value)).await;
            Ok(value)
        }
        Err(()) => {
            writing.disarm();
            Err(())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_writes_in_two_round_trips() {
    let (cache, store) = rig();
    write(cache, tagged("k", &["t"]), async { Ok(1) }).await.unwrap();
    assert_eq!((store.calls(Op::ReadClock), store.calls(Op::Write), store.all_calls()), (1, 1, 2));
}

/// Whatever fails, the function does not, and the old value is gone in the end.
#[tokio::test(start_paused = true)]
async fn a_function_whose_write_fails_removes_the_old_value_in_the_end() {
    for failing in [&[Op::Write][..], &[Op::ReadClock, Op::Invalidate]] {
        let (cache, store) = rig();
        get(&cache, "k", 1).await;
        failing.iter().for_each(|op| store.fail(*op));
        assert_eq!(write(cache.clone(), tagged("k", &[]), async { Ok(2) }).await, Ok(2));
        assert_eq!(get(&cache, "k", 3).await, 3, "{failing:?}: the old value is bypassed");
        let stats = cache.stats();
        assert!(stats.prefix("k").errors > 0 && stats.total().failed_invalidations == 1, "{failing:?}");
        failing.iter().for_each(|op| store.heal(*op));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(store.bytes("k").await.is_none(), "{failing:?}");
    }
}

/// Without a reading nobody knows what overtook the write.
#[tokio::test(start_paused = true)]
async fn a_write_without_a_reading_removes_and_stores_nothing() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    store.fail(Op::ReadClock);
    write(cache.clone(), tagged("k", &[]), async { Ok(2) }).await.unwrap();
    assert_eq!((store.calls(Op::Write), stored(&cache, "k").await), (0, None));
    assert_eq!(cache.stats().total().failed_invalidations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panicked_removes_the_entry() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    tokio::spawn(write(cache, tagged("k", &[]), async { panic!("in the body") })).await.unwrap_err();
    idle().await;
    assert!(store.bytes("k").await.is_none());
}

/// The body has not begun, so nothing was written.
#[tokio::test(start_paused = true)]
async fn a_writer_dropped_before_its_body_changes_nothing() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let read = store.hold(Op::ReadClock);
    let call = tokio::spawn(write(cache.clone(), tagged("k", &[]), async { Ok(2) }));
    read.reached().await;
    call.abort();
    call.await.unwrap_err();
    idle().await;
    assert_eq!(stored(&cache, "k").await, Some(1));
}

/// A value that is too large is not stored, and what it replaces is removed.
#[tokio::test(start_paused = true)]
async fn a_written_value_beyond_a_limit_removes_the_old_one() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.names_max = 1);
    get(&cache, "k", 1).await;
    write(cache.clone(), tagged("k", &["a", "b"]), async { Ok(2) }).await.unwrap();
    assert!(store.bytes("k").await.is_none());
    assert_eq!(cache.stats().prefix("k").unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn the_caller_of_a_writer_does_not_lose_the_names_of_its_body() {
    let (cache, _) = rig();
    load(&cache, "outer", async {
        let body = async { Ok(get(&cache, "inner", 1).await) };
        write(cache.clone(), tagged("k", &[]), body).await.unwrap()
    })
    .await;
    cache.invalidate_key("inner").await.unwrap();
    assert_eq!((stored(&cache, "outer").await, stored(&cache, "k").await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_cache_runs_the_body_and_no_more() {
    let cache = Cache::disabled();
    assert_eq!(write(cache.clone(), tagged("k", &[]), async { Ok(2) }).await, Ok(2));
    assert_eq!(cache.stats().total(), &crate::observe::PrefixStats::default());
}

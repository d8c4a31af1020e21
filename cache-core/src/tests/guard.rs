use super::*;
use crate::invalidation::Invalidation;
use crate::private::{Invalidating, Mode};

/// What `#[invalidates(keys = ["k"], tags = [from the result])]` becomes.
async fn write(cache: Cache, mode: Mode, body: impl Future<Output = Result<(), ()>>) -> Result<(), ()> {
    let mut guard = Invalidating::new(Some(&cache), "write", mode);
    guard.known(Invalidation::new().key("k"));
    let result = body.await;
    match &result {
        Ok(()) => guard.complete(Invalidation::new().tag("result")).await,
        Err(()) => guard.disarm(),
    }
    result
}

async fn rig_with_entries() -> (Cache, Faulty) {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    load_key(&cache, tagged("tagged", &["result"]), async { 1 }).await;
    (cache, store)
}

async fn left(store: &Faulty) -> (bool, bool) {
    (store.bytes("k").await.is_some(), store.bytes("tagged").await.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_returned_invalidates_what_was_known_and_what_its_result_adds() {
    let (cache, store) = rig_with_entries().await;
    write(cache, Mode::Wait, async { Ok(()) }).await.unwrap();
    assert_eq!(left(&store).await, (false, false));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_was_never_polled_invalidates_nothing() {
    let (cache, store) = rig_with_entries().await;
    drop(write(cache, Mode::Wait, async { Ok(()) }));
    idle().await;
    assert_eq!(left(&store).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_inside_its_body_invalidates_what_is_known() {
    let (cache, store) = rig_with_entries().await;
    let call = tokio::spawn(write(cache, Mode::Wait, std::future::pending()));
    idle().await;
    call.abort();
    idle().await;
    assert_eq!(left(&store).await, (false, true));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panicked_invalidates_what_is_known() {
    let (cache, store) = rig_with_entries().await;
    tokio::spawn(write(cache, Mode::Wait, async { panic!("in the body") })).await.unwrap_err();
    idle().await;
    assert_eq!(left(&store).await, (false, true));
}

#[tokio::test(start_paused = true)]
async fn once_the_body_returned_a_dropped_caller_stops_nothing() {
    let (cache, store) = rig_with_entries().await;
    let sent = store.hold(Op::Invalidate);
    let call = tokio::spawn(write(cache, Mode::Wait, async { Ok(()) }));
    sent.reached().await;
    call.abort();
    sent.open();
    idle().await;
    assert_eq!(left(&store).await, (false, false));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_failed_invalidates_nothing() {
    let (cache, store) = rig_with_entries().await;
    write(cache, Mode::Wait, async { Err(()) }).await.unwrap_err();
    idle().await;
    assert_eq!(left(&store).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn in_the_background_nobody_waits() {
    let (cache, store) = rig_with_entries().await;
    let sent = store.hold(Op::Invalidate);
    write(cache, Mode::Background, async { Ok(()) }).await.unwrap();
    assert_eq!(left(&store).await, (true, true));
    sent.open();
    idle().await;
    assert_eq!(left(&store).await, (false, false));
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_nobody_but_is_counted_and_made_good() {
    let (cache, store) = rig_with_entries().await;
    store.fail(Op::Invalidate);
    write(cache.clone(), Mode::Wait, async { Ok(()) }).await.unwrap();
    assert_eq!(cache.stats().total().failed_invalidations, 1);
    assert_eq!(get(&cache, "k", 2).await, 2);
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(left(&store).await, (false, false));
}

//! Names that are closed around a change.

use super::*;
use crate::config::{CLOSING_LIFETIME, CLOSING_NAMES_MAX};
use crate::error::ErrorKind;
use crate::invalidation::Invalidation;
use crate::paths::closing::Closing;
use crate::private::{Around, Invalidating, Known, Mode, Target, coding, write_through};

mod confirming;

async fn close(cache: &Cache, tag: &str) -> Closing {
    cache.close(Invalidation::new().tag(tag)).await.unwrap()
}

/// A call of `k`, which has the tag `t`.
pub(super) async fn call(cache: &Cache, value: u32) -> u32 {
    load_key(cache, tagged("k", &["t"]), async move { value }).await
}

/// Whether the second load from now on is stored: the fill of the first one may be what ends marks
/// whose time is over.
pub(super) async fn stores_again(cache: &Cache) -> bool {
    call(cache, 8).await;
    call(cache, 9).await;
    stored(cache, "k").await.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_closing_is_one_round_trip_and_so_is_its_opening() {
    let (cache, store) = rig();
    call(&cache, 1).await;
    let before = store.all_calls();
    let closing = close(&cache, "t").await;
    assert_eq!((store.calls(Op::Close), store.all_calls() - before), (1, 1));
    closing.open().await.unwrap();
    assert_eq!((store.calls(Op::Open), store.all_calls() - before), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_and_store_nothing_while_their_names_are_closed() {
    let (cache, _) = rig();
    call(&cache, 1).await;
    let closing = close(&cache, "t").await;
    assert_eq!((call(&cache, 2).await, call(&cache, 3).await), (2, 3));
    let outer = load(&cache, "outer", async { call(&cache, 4).await }).await;
    assert_eq!((outer, stored(&cache, "k").await, stored(&cache, "outer").await), (4, None, None));
    assert_eq!(cache.stats().total().refused_fills, 4);
    assert_eq!(closing.open().await.unwrap().entries, 0);
    assert_eq!((call(&cache, 5).await, call(&cache, 6).await), (5, 5));
}

/// Both calls are of one process, in which the second could join the first.
#[tokio::test(start_paused = true)]
async fn nobody_joins_a_load_from_before_the_opening() {
    let (cache, _) = rig();
    let closing = cache.close(Invalidation::new().key("k")).await.unwrap();
    let gate = Gate::default();
    let before = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    closing.open().await.unwrap();
    loads(&cache, 2).await;
    gate.open();
    assert_eq!(before.await.unwrap(), 1);
    loads(&cache, 2).await;
}

async fn loads(cache: &Cache, value: u32) {
    assert_eq!(get(cache, "k", value).await, value);
}

#[tokio::test(start_paused = true)]
async fn marks_are_renewed_while_the_closing_is_held_and_not_longer() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    tokio::time::sleep(10 * CLOSING_LIFETIME).await;
    let renewals = store.calls(Op::Close) - 1;
    assert!((25..=30).contains(&renewals), "{renewals}");
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, None, "still closed");
    closing.open().await.unwrap();
    tokio::time::sleep(10 * CLOSING_LIFETIME).await;
    assert_eq!(store.calls(Op::Close) - 1, renewals);
}

/// ★ It would close the names again, and nobody opens them then.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_renewal_overtakes_the_opening() {
    for writes in [false, true] {
        let store = Faulty::new();
        let cache = with(&store, |config| {
            (config.closing_lifetime, config.operation_deadline) =
                (Duration::from_millis(1_500), Duration::from_secs(60));
        });
        let (gate, cached) = (Gate::default(), cache.clone());
        let body = gate.body(1);
        let mut change = tokio::spawn(async move {
            if writes {
                write(&cached, body).await;
            } else {
                let closing = cached.close(Invalidation::new().key("k")).await.unwrap();
                body.await;
                closing.open().await.unwrap();
            }
        });
        gate.reached().await;
        let renewal = store.block(Op::Close);
        let meet = || {
            let renewal = renewal.clone();
            tokio::task::spawn_blocking(move || _ = renewal.wait())
        };
        meet().await.unwrap();
        gate.open();
        let overtaken = tokio::time::timeout(Duration::from_millis(200), &mut change).await;
        meet().await.unwrap();
        assert!(overtaken.is_err(), "opened while a renewal was under way");
        change.await.unwrap();
        call(&cache, 2).await;
        assert_eq!(stored(&cache, "k").await, Some(2), "nothing is closed");
    }
}

/// As when its process is gone, or cannot reach the store.
#[tokio::test(start_paused = true)]
async fn marks_that_nobody_renews_end_with_their_lifetime() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    store.fail(Op::Close);
    let gate = Gate::default();
    let (other, began_before) = (cache.peer(), gate.body(1));
    let before = tokio::spawn(async move { load_key(&other, tagged("k", &["t"]), began_before).await });
    gate.reached().await;
    tokio::time::sleep(CLOSING_LIFETIME + DEADLINE).await;
    gate.open();
    before.await.unwrap();
    assert_eq!(stored(&cache, "k").await, None, "its load began while the names were closed");
    assert!(stores_again(&cache).await);
    closing.open().await.unwrap();
    assert_eq!(stored(&cache, "k").await, None, "who opens too late removes what was stored meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_closes_again_what_was_lost() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    store.fail(Op::Close);
    tokio::time::sleep(CLOSING_LIFETIME + DEADLINE).await;
    assert!(stores_again(&cache).await);
    store.heal(Op::Close);
    tokio::time::sleep(CLOSING_LIFETIME / 2).await;
    assert_eq!(stored(&cache, "k").await, None);
    call(&cache, 2).await;
    assert_eq!(stored(&cache, "k").await, None);
    closing.open().await.unwrap();
}

/// Whether it was written is not known.
#[tokio::test(start_paused = true)]
async fn a_dropped_closing_opens_in_the_background() {
    let (cache, store) = rig();
    drop(close(&cache, "t").await);
    idle().await;
    assert_eq!(store.calls(Op::Open), 1);
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_while_it_closes_leaves_nothing_closed() {
    let (cache, store) = rig();
    let answer = store.hold_answer(Op::Close);
    let caller = tokio::spawn({
        let cache = cache.clone();
        async move { close(&cache, "t").await.open().await }
    });
    answer.reached().await;
    caller.abort();
    caller.await.unwrap_err();
    answer.open();
    idle().await;
    assert_eq!(store.calls(Op::Open), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_while_it_opens_opens_all_the_same() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    let sent = store.hold(Op::Open);
    let caller = tokio::spawn(closing.open());
    sent.reached().await;
    caller.abort();
    caller.await.unwrap_err();
    sent.open();
    idle().await;
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_reached_closes_nothing_and_nothing_is_owed() {
    let (cache, store) = rig();
    store.fail(Op::Close);
    let error = cache.close(Invalidation::new().tag("t")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!cache.health().owes_invalidations);
    assert_eq!(cache.stats().total().failed_invalidations, 0);
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_fails_is_owed() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    store.fail(Op::Open);
    store.fail(Op::Invalidate);
    assert_eq!(closing.open().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(cache.health().owes_invalidations);
    assert_eq!((call(&cache, 1).await, call(&cache, 2).await), (1, 2), "what is owed is not served");
    store.heal(Op::Invalidate);
    tokio::time::sleep(CLOSING_LIFETIME).await;
    assert!(!cache.health().owes_invalidations);
    assert!(stores_again(&cache).await);
}

/// A process that ends between the COMMIT and the opening.
#[tokio::test(start_paused = true)]
async fn what_is_closed_when_a_process_ends_is_still_to_be_invalidated() {
    let (cache, _) = rig();
    let closing = close(&cache, "t").await;
    let owed = cache.shutdown(Duration::from_secs(1)).await;
    assert!(owed.to_json().unwrap().contains(r#""tags":["t"]"#));
    closing.open().await.unwrap();
    assert!(cache.shutdown(Duration::from_secs(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_closed_is_an_error_and_does_nothing() {
    let (cache, store) = rig();
    let many = (0..=CLOSING_NAMES_MAX).map(|number| number.to_string());
    for (invalidation, kind, says) in [
        (Invalidation::new().tag("t").pattern("k:*"), ErrorKind::Config, "pattern"),
        (Invalidation::everything(), ErrorKind::Config, "everything"),
        (Invalidation::new().tags(many), ErrorKind::Limit, "4096 names"),
        (Invalidation::new().tag("t").tag(""), ErrorKind::Config, "empty"),
    ] {
        let error = cache.close(invalidation).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(store.all_calls(), 0);
    cache.close(Invalidation::new()).await.unwrap().open().await.unwrap();
    assert_eq!(store.all_calls(), 0, "nothing is closed");
    let closing = Cache::disabled().close(Invalidation::new().tag("t")).await.unwrap();
    closing.open().await.unwrap();
}

/// What `#[invalidates(…, around)]` becomes.
async fn change<T>(cache: &Cache, body: impl Future<Output = T>) -> T {
    let mut guard = Invalidating::new(Some(cache), "change", Mode::Wait);
    guard.known(Invalidation::new().tag("t"));
    guard.close().await;
    let outcome = body.await;
    guard.complete(Invalidation::new().tag("of the result")).await;
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_function_closes_what_is_known_before_its_body_and_invalidates_the_rest_after() {
    let (cache, store) = rig();
    load_key(&cache, tagged("other", &["of the result"]), async { 1 }).await;
    change(&cache, async {
        call(&cache, 1).await;
        assert_eq!((stored(&cache, "k").await, stored(&cache, "other").await), (None, Some(1)));
    })
    .await;
    assert_eq!(stored(&cache, "other").await, None);
    let calls = [Op::Close, Op::Open, Op::Invalidate].map(|op| store.calls(op));
    assert_eq!(calls, [1, 1, 1]);
    call(&cache, 2).await;
    assert_eq!(stored(&cache, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_names_cannot_be_closed_runs_and_invalidates_after() {
    let (cache, store) = rig();
    store.fail(Op::Close);
    change(&cache, call(&cache, 1)).await;
    assert_eq!((store.calls(Op::Open), store.calls(Op::Invalidate)), (0, 1));
    assert_eq!(stored(&cache, "k").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_dropped_in_its_body_opens_what_it_closed() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let function = tokio::spawn({
        let (cache, body) = (cache.clone(), gate.body(1));
        async move { change(&cache, body).await }
    });
    gate.reached().await;
    function.abort();
    function.await.unwrap_err();
    idle().await;
    assert_eq!((store.calls(Op::Close), store.calls(Op::Open)), (1, 1));
}

/// What `#[write_through(…, around)]` becomes.
async fn write(cache: &Cache, body: impl Future<Output = u32>) -> u32 {
    let target = Target::<_, Known, Known>::new(tagged("k", &["t"]), coding(), None);
    let writing = write_through(Some(cache), target, Around::Closed).await;
    let value = writing.body(body).await;
    writing.finish(Some(&value)).await;
    value
}

#[tokio::test(start_paused = true)]
async fn a_writer_stores_its_value_although_its_key_was_closed_around_it() {
    let (cache, store) = rig();
    call(&cache, 1).await;
    let other = cache.peer();
    let meanwhile = async move {
        call(&other, 2).await;
        stored(&other, "k").await
    };
    write(&cache, async {
        assert_eq!(tokio::spawn(meanwhile).await.unwrap(), None);
        3
    })
    .await;
    assert_eq!(stored(&cache, "k").await, Some(3));
    let calls = [Op::Close, Op::ReadClock, Op::Write, Op::Open, Op::Invalidate].map(|op| store.calls(op));
    assert_eq!(calls, [1, 1, 1, 0, 0], "the write opens");
    cache.invalidate_key("k").await.unwrap();
    call(&cache, 4).await;
    assert_eq!(stored(&cache, "k").await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_writer_opens_whatever_becomes_of_its_write() {
    for failing in [Op::Write, Op::ReadClock] {
        let (cache, store) = rig();
        store.fail(failing);
        write(&cache, async { 1 }).await;
        tokio::time::sleep(CLOSING_LIFETIME).await;
        assert!(!cache.health().owes_invalidations, "{failing:?}");
        assert!(stores_again(&cache).await, "{failing:?}");
    }
    let (cache, store) = rig();
    let gate = Gate::default();
    let writer = tokio::spawn({
        let (cache, body) = (cache.clone(), gate.body(1));
        async move { write(&cache, body).await }
    });
    gate.reached().await;
    writer.abort();
    writer.await.unwrap_err();
    idle().await;
    assert_eq!(store.calls(Op::Open), 1);
}

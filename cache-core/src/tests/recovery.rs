use super::*;
use crate::config::RECOVERY_PAUSE_MAX;
use crate::error::ErrorKind;
use crate::invalidation::Invalidation;

#[tokio::test(start_paused = true)]
async fn a_failed_invalidation_is_an_error_and_is_made_good() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    store.fail(Op::Invalidate);
    assert_eq!(cache.invalidate_key("k").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.stats().total().failed_invalidations, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let attempts = store.calls(Op::Invalidate);
    assert!((10..40).contains(&attempts), "{attempts} attempts in a minute");
    assert!(store.bytes("k").await.is_some());
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(store.bytes("k").await.is_none());
    assert!(!cache.runtime.debts.is_owing());
    let attempts = store.calls(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.calls(Op::Invalidate), attempts, "it is over");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_before_a_debt_is_not_served_after_it() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let looking = store.hold(Op::Get);
    let call = spawn(&cache, "k", async { 2 });
    looking.reached().await;
    cache
        .runtime
        .debts
        .incur(crate::invalidation::Targets { clear: true, ..Default::default() }, crate::store::ClosingId::new());
    looking.open();
    assert_eq!(call.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_without_an_answer_is_a_failed_one() {
    let (cache, store) = rig();
    store.hang(Op::Invalidate);
    assert_eq!(cache.invalidate_key("k").await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(cache.runtime.debts.is_owing());
}

/// What is stored under `k` with tag `t` is not served while `invalidation` is owed, and
/// `unaffected` still is.
async fn bypassed(invalidation: Invalidation) {
    let (cache, store) = rig();
    load_key(&cache, tagged("k", &["t"]), async { 1 }).await;
    get(&cache, "unaffected", 1).await;
    store.fail(Op::Invalidate);
    store.fail(Op::Sweep);
    cache.invalidate(invalidation).await.unwrap_err();
    assert_eq!(load_key(&cache, tagged("k", &["t"]), async { 2 }).await, 2);
    assert_eq!(load_key(&cache, tagged("k", &["t"]), async { 3 }).await, 3, "a bypassing call must not fill");
    assert_eq!(load(&cache, "unaffected", forbidden()).await, 1);
    assert_eq!(cache.stats().prefix("k").bypasses, 2);
    store.heal(Op::Invalidate);
    store.heal(Op::Sweep);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(load_key(&cache, tagged("k", &["t"]), async { 4 }).await, 4);
    assert_eq!(load_key(&cache, tagged("k", &["t"]), forbidden()).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_invalidation_is_owed_is_bypassed() {
    bypassed(Invalidation::new().key("k")).await;
}

#[tokio::test(start_paused = true)]
async fn a_hit_with_a_tag_whose_invalidation_is_owed_is_bypassed() {
    bypassed(Invalidation::new().tag("t")).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_matches_a_pattern_that_is_owed_is_bypassed() {
    bypassed(Invalidation::new().pattern("[k]*")).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_owed_names_become_one_clear() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.recovery_names_max = 3);
    get(&cache, "k", 1).await;
    store.fail(Op::Invalidate);
    cache.invalidate(Invalidation::new().keys(["a", "b", "c", "d"])).await.unwrap_err();
    assert_eq!(get(&cache, "k", 2).await, 2, "a clear affects every key");
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.runtime.debts.is_owing());
    assert!(store.bytes("k").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_same_name_is_owed_once() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.recovery_names_max = 3);
    get(&cache, "unaffected", 1).await;
    store.fail(Op::Invalidate);
    for _ in 0..10 {
        cache.invalidate_key("k").await.unwrap_err();
    }
    assert_eq!(load(&cache, "unaffected", forbidden()).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_settles_only_what_was_owed_when_it_began() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    store.heal(Op::Invalidate);
    let answered = store.hold_answer(Op::Invalidate);
    answered.reached().await; // the attempt is done, and its answer on the way
    get(&on(&store), "k", 1).await;
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    answered.open();
    idle().await;
    assert!(cache.runtime.debts.is_owing());
    assert_eq!(get(&cache, "k", 2).await, 2);
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(store.bytes("k").await.is_none());
}

/// An answer that was on its way while the owed invalidation was made good is older than that
/// invalidation, and so is the call that asked: it must not be served what it bypassed before.
#[tokio::test(start_paused = true)]
async fn an_answer_from_before_an_invalidation_was_made_good_is_not_served_after_it() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.operation_deadline = Duration::from_secs(60));
    load_key(&cache, tagged("k", &["t"]), async { 1 }).await;
    store.fail(Op::Invalidate);
    cache.invalidate_tag("t").await.unwrap_err();
    let answered = store.hold_answer(Op::Get);
    let call = tokio::spawn({
        let cache = cache.clone();
        async move { load_key(&cache, tagged("k", &["t"]), async { 2 }).await }
    });
    answered.reached().await; // the old value is on its way
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.runtime.debts.is_owing());
    answered.open();
    assert_eq!(call.await.unwrap(), 2);
    assert_eq!(load_key(&cache, tagged("k", &["t"]), async { 3 }).await, 3, "the call did not fill");
}

#[test]
fn a_debt_incurred_without_a_runtime_is_retried_from_the_next_call() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    let mut guard = crate::private::Invalidating::new(Some(&cache), "write", crate::private::Mode::Wait);
    guard.known(Invalidation::new().key("k"));
    drop(guard);
    assert!(cache.runtime.debts.is_owing());
    store.heal(Op::Invalidate);
    paused_runtime().block_on(async {
        assert_eq!(get(&cache, "k", 1).await, 1);
        tokio::time::sleep(Duration::from_secs(10)).await;
    });
    assert!(!cache.runtime.debts.is_owing());
}

#[test]
fn a_retry_that_died_with_its_runtime_is_taken_up_by_the_next_call() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    let first = paused_runtime();
    first.block_on(async { cache.invalidate_key("k").await.unwrap_err() });
    drop(first);
    store.heal(Op::Invalidate);
    paused_runtime().block_on(async {
        get(&cache, "k", 1).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    });
    assert!(!cache.runtime.debts.is_owing());
}

#[test]
fn a_retry_whose_runtime_nobody_polls_is_taken_up_by_the_next_call() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    let stalled = paused_runtime();
    stalled.block_on(async { cache.invalidate_key("k").await.unwrap_err() });
    store.heal(Op::Invalidate);
    paused_runtime().block_on(async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        get(&cache, "k", 1).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    });
    assert!(!cache.runtime.debts.is_owing());
    drop(stalled);
}

#[test]
fn a_retry_that_stands_still_in_its_middle_is_taken_up_within_seconds() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    let stalled = paused_runtime();
    stalled.block_on(async {
        cache.invalidate_key("k").await.unwrap_err();
        store.heal(Op::Invalidate);
        store.hold(Op::Invalidate).reached().await;
    });
    paused_runtime().block_on(async {
        tokio::time::sleep(4 * RECOVERY_PAUSE_MAX).await;
        get(&cache, "k", 1).await;
        tokio::time::sleep(RECOVERY_PAUSE_MAX).await;
    });
    assert!(!cache.runtime.debts.is_owing());
    drop(stalled);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_takes_long_is_not_doubled() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    store.heal(Op::Invalidate);
    store.never_done();
    store.slow(Duration::from_millis(200));
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        get(&cache, "k", 1).await;
    }
    assert!(store.calls(Op::Invalidate) > 100, "one attempt that goes on");
    assert_eq!(store.at_once_max(Op::Invalidate), 1);
}

/// Other processes serve what it would remove, also while this one is not called.
#[test]
fn a_retry_that_died_with_its_runtime_is_taken_up_by_whoever_looks_at_the_health() {
    let (cache, store) = rig();
    store.fail(Op::Invalidate);
    paused_runtime().block_on(async { cache.invalidate_key("k").await.unwrap_err() });
    store.heal(Op::Invalidate);
    paused_runtime().block_on(async {
        assert!(cache.health().owes_invalidations);
        tokio::time::sleep(RECOVERY_PAUSE_MAX).await;
        assert!(!cache.health().owes_invalidations);
    });
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

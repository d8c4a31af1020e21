use tokio::time::Instant;

use super::*;
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::ErrorKind;
use crate::invalidation::Invalidation;
use crate::store::SweepScope;

#[tokio::test(start_paused = true)]
async fn many_names_go_in_chunks() {
    let (cache, store) = rig();
    get(&cache, "k:700", 1).await;
    let keys = (0..1_000).map(|key| format!("k:{key}"));
    assert_eq!(cache.invalidate(Invalidation::new().keys(keys)).await.unwrap().entries, 1);
    assert_eq!(store.calls(Op::Invalidate), 1_000_usize.div_ceil(INVALIDATE_NAMES_PER_CHUNK));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_ends_when_nothing_is_pending() {
    let (cache, store) = rig();
    for key in 0..2_000 {
        load_key(&cache, tagged(&format!("k:{key}"), &["t"]), async { 1 }).await;
    }
    let before = store.calls(Op::Invalidate);
    assert_eq!(cache.invalidate_tag("t").await.unwrap().entries, 2_000);
    assert!(store.calls(Op::Invalidate) - before > 1, "the test is too small");
    assert_eq!(cache.stats().total().invalidated, 2_000);
}

#[tokio::test(start_paused = true)]
async fn what_a_step_has_removed_before_it_failed_is_counted_once() {
    let (cache, store) = rig();
    get(&cache, "k:1", 1).await;
    store.half_done();
    assert_eq!(cache.invalidate_key("k:1").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.stats().total().invalidated, 1);
    while cache.health().owes_invalidations {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(cache.stats().total().invalidated, 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_never_ends_is_an_error_and_owed() {
    let (cache, store) = rig();
    store.never_done();
    let gate = store.hold(Op::Invalidate);
    let invalidation = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.invalidate_key("k").await })
    };
    gate.reached().await;
    gate.open();
    tokio::time::advance(Duration::from_millis(100)).await;
    let begun = Instant::now();
    // The embedded store takes no time: move it by hand.
    while !invalidation.is_finished() {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < INVALIDATE_DEADLINE * 2, "it goes on for ever");
    }
    assert_eq!(invalidation.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(cache.runtime.debts.is_owing());
}

#[tokio::test(start_paused = true)]
async fn a_pattern_walks_values_then_dependents() {
    let (cache, store) = rig();
    for key in 0..700 {
        get(&cache, &format!("board:{key}"), 1).await;
    }
    get(&cache, "other", 1).await;
    let board = async { load(&cache, "board:1", forbidden()).await };
    load(&cache, "made-of-a-board", board).await;
    assert_eq!(cache.invalidate_pattern("board:*").await.unwrap().entries, 701);
    assert_eq!(stored(&cache, "other").await, Some(1));
    let sweeps = store.sweeps();
    assert!(sweeps.iter().filter(|scope| **scope == SweepScope::Values).count() > 1, "one page: {sweeps:?}");
    assert!(sweeps.is_sorted_by_key(|scope| *scope != SweepScope::Values), "{sweeps:?}");
    assert_eq!(*sweeps.last().unwrap(), SweepScope::Dependents);
}

/// ★ A failover between two pages: the cursor means nothing to the server that answers now.
#[tokio::test(start_paused = true)]
async fn a_walk_begins_again_when_another_server_answers() {
    let (cache, store) = rig();
    for key in 0..700 {
        get(&cache, &format!("board:{key}"), 1).await;
    }
    store.replace_the_server_after(1);
    assert_eq!(cache.invalidate_pattern("board:*").await.unwrap().entries, 700);
    for key in 0..700 {
        assert_eq!(stored(&cache, &format!("board:{key}")).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn clear_removes_everything_and_refuses_what_is_under_way() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let call = spawn(&cache, "loading", gate.body(1));
    gate.reached().await;
    get(&cache, "k", 1).await;
    assert_eq!(cache.clear().await.unwrap().entries, 1);
    assert_eq!(*store.sweeps().last().unwrap(), SweepScope::AllIndexes);
    gate.open();
    call.await.unwrap();
    assert_eq!(stored(&cache, "loading").await, None);
    assert_eq!(cache.stats().prefix("loading").refused_fills, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_caller_does_not_stop_its_invalidation() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let sent = store.hold(Op::Invalidate);
    let caller = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.invalidate_key("k").await })
    };
    sent.reached().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    sent.open();
    idle().await;
    assert!(store.bytes("k").await.is_none());
    assert!(!cache.runtime.debts.is_owing());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_names_nothing_does_not_protect_the_others() {
    let (cache, _) = rig();
    get(&cache, "k", 1).await;
    let error = cache.invalidate(Invalidation::new().tag("").key("k").pattern("\n")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(stored(&cache, "k").await, None);
}

#[tokio::test(start_paused = true)]
async fn removed_entries_are_counted_for_their_prefixes_whatever_was_named() {
    let (cache, _) = rig();
    let made = async || {
        load(&cache, "board:1", async { get(&cache, "flight:1", 1).await }).await;
    };
    made().await;
    cache.invalidate_key("flight:1").await.unwrap();
    made().await;
    cache.put("flight:1", &2u32).await.unwrap();
    made().await;
    cache.clear().await.unwrap();
    let stats = cache.stats();
    let counted = ["flight", "board"].map(|prefix| stats.prefix(prefix).invalidated);
    assert_eq!((counted, stats.total().invalidated), ([3, 3], 6));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_invalidate_asks_nobody() {
    let (cache, store) = rig();
    assert!(Invalidation::new().is_empty());
    assert_eq!(cache.invalidate(Invalidation::new()).await.unwrap().entries, 0);
    assert_eq!(store.all_calls(), 0);
}

//! Caches that share a store and nothing else.

use tokio::time::Instant;

use super::*;
use crate::key::Policy;
use crate::private::{Call, Step, coding};

const CALLERS: usize = 8;

#[tokio::test(start_paused = true)]
async fn callers_of_two_peers_share_one_load_through_the_lease() {
    let (here, store) = rig();
    let there = here.peer();
    let gate = Gate::default();
    let leader = spawn(&here, "k", gate.body(1));
    gate.reached().await;
    let others: Vec<_> = (0..CALLERS).map(|_| spawn(&there, "k", forbidden())).collect();
    idle().await;
    assert_eq!(store.calls(Op::TakeLease), 2, "one caller of each asks, the others follow it");
    gate.open();
    for call in others.into_iter().chain([leader]) {
        assert_eq!(call.await.unwrap(), 1);
    }
    let (here, there) = (here.stats().prefix("k"), there.stats().prefix("k"));
    assert_eq!((here.loads, here.hits, here.misses), (1, 0, 1));
    assert_eq!((there.loads, there.hits + there.misses), (0, CALLERS as u64));
}

#[tokio::test(start_paused = true)]
async fn what_one_peer_invalidates_no_other_serves_or_fills() {
    let (here, _) = rig();
    let there = here.peer();
    get(&here, "k", 1).await;
    assert_eq!(there.invalidate_key("k").await.unwrap().entries, 1);
    let gate = Gate::default();
    let late = spawn(&here, "k", gate.body(2));
    gate.reached().await;
    there.invalidate_key("k").await.unwrap();
    gate.open();
    assert_eq!(late.await.unwrap(), 2, "called before the invalidation");
    assert_eq!(here.stats().prefix("k").refused_fills, 1);
    assert_eq!((get(&here, "k", 3).await, get(&there, "k", 4).await), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_it_called_through_a_peer() {
    let (here, _) = rig();
    let there = here.peer();
    load(&here, "outer", load(&there, "inner", async { 1 })).await;
    assert_eq!(stored(&here, "outer").await, Some(1));
    there.invalidate_key("inner").await.unwrap();
    assert_eq!(stored(&here, "outer").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_calls_its_own_key_through_a_peer_does_not_wait_for_itself() {
    let (here, _) = rig();
    let there = here.peer();
    let begun = Instant::now();
    assert_eq!(load(&here, "k", load(&there, "k", async { 1 })).await, 1);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_peer_owes_only_what_it_failed_to_invalidate_itself() {
    let (here, store) = rig();
    let there = here.peer();
    get(&here, "k", 1).await;
    store.fail(Op::Invalidate);
    here.invalidate_key("k").await.unwrap_err();
    assert!(here.health().owes_invalidations && !there.health().owes_invalidations);
    assert_eq!((get(&here, "k", 2).await, get(&there, "k", 3).await), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_goes_on_refreshing_when_the_cache_it_was_made_from_is_dropped() {
    let (here, _store) = rig();
    let there = here.peer();
    let minute = Duration::from_secs(60);
    let gate = Gate::default();
    let call = || {
        let policy = Policy::new("k").ttl(minute).stale_while_revalidate(minute);
        Call::<u32>::new(Some(&there), tagged("k", &[]), policy, coding()).in_background().lookup()
    };
    let Step::Load(load) = call().await else { panic!("stored") };
    load.fill(Some(&1), Default::default()).await;
    tokio::time::advance(minute).await;
    let Step::ReturnAndRefresh(1, refresh) = call().await else { panic!("not stale") };
    let body = gate.body(2);
    refresh.spawn_once(|mut load| async move {
        let value = load.run(body).await;
        load.fill(Some(&value), Default::default()).await;
        true
    });
    gate.reached().await;
    drop(here);
    gate.open();
    idle().await;
    assert_eq!(stored(&there, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_peer_begins_with_the_settings_and_classes_of_now() {
    let store = Faulty::new();
    let here = with(&store, |config| config.value_bytes_max = 1);
    here.set_ttl_class("c", Duration::from_secs(1));
    let there = here.peer();
    here.set_ttl_class("c", Duration::from_secs(2));
    let class = |cache: &Cache| cache.runtime.classes.read().unwrap().get("c");
    assert_eq!((class(&here), class(&there)), (Some(Duration::from_secs(2)), Some(Duration::from_secs(1))));
    get(&there, "k", 1).await;
    assert_eq!(there.stats().prefix("k").unstored, 1, "too large");
}

#[tokio::test]
async fn the_peer_of_a_disabled_cache_holds_nothing() {
    let there = Cache::disabled().peer();
    assert_eq!((get(&there, "k", 1).await, get(&there, "k", 2).await), (1, 2));
}

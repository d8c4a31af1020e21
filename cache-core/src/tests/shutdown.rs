use super::*;
use crate::error::Error;
use crate::invalidation::Invalidation;
use crate::runtime::tenants::TenantStores;
use crate::warm::Warmer;

const TIME: Duration = Duration::from_secs(30);

/// A cache that owes an invalidation of `k`, which a process that has the store still has.
async fn owing() -> (Cache, Faulty) {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    store.fail(Op::Invalidate);
    cache.invalidate_key("k").await.unwrap_err();
    (cache, store)
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_sent_at_once() {
    let (cache, store) = owing().await;
    store.heal(Op::Invalidate);
    let begun = tokio::time::Instant::now();
    assert!(cache.shutdown(TIME).await.is_empty());
    assert!(begun.elapsed().is_zero(), "{:?}", begun.elapsed());
    assert!(store.bytes("k").await.is_none());
    assert!(!cache.health().owes_invalidations);
}

/// A breaker that is open lets nothing through for seconds, and `ready` asks past it.
#[tokio::test(start_paused = true)]
async fn what_is_owed_is_sent_as_soon_as_the_store_is_ready() {
    let (cache, store) = owing().await;
    let back = store.hold(Op::Ready);
    let begun = tokio::time::Instant::now();
    let shutdown = tokio::spawn(async move { cache.shutdown(TIME).await.is_empty() });
    back.reached().await;
    store.heal(Op::Invalidate);
    back.open();
    assert!(shutdown.await.unwrap());
    assert!(begun.elapsed().is_zero(), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_returned_in_time_and_another_process_does_it() {
    let (cache, store) = owing().await;
    cache.invalidate(Invalidation::new().tag("t").pattern("p:*")).await.unwrap_err();
    let begun = tokio::time::Instant::now();
    let owed = cache.shutdown(TIME).await;
    assert_eq!(begun.elapsed(), TIME);
    let text = owed.to_json().unwrap();
    assert_eq!(text, r#"{"version":1,"keys":["k"],"tags":["t"],"patterns":["p:*"],"everything":false}"#);
    assert!(store.bytes("k").await.is_some());
    // The process is killed.
    store.heal(Op::Invalidate);
    let next = on(&store);
    next.invalidate(Invalidation::from_json(&text).unwrap()).await.unwrap();
    assert!(store.bytes("k").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_returned_is_still_owed_and_is_sent_by_the_next_shutdown() {
    let (cache, store) = owing().await;
    assert!(!cache.shutdown(Duration::ZERO).await.is_empty());
    assert_eq!(get(&cache, "k", 2).await, 2, "the old value is not served");
    assert!(!cache.shutdown(TIME).await.is_empty());
    store.heal(Op::Invalidate);
    assert!(cache.shutdown(TIME).await.is_empty());
    assert!(store.bytes("k").await.is_none());
}

/// ★ Or an application would fail whenever it starts.
#[tokio::test(start_paused = true)]
async fn what_was_returned_can_be_invalidated_whatever_it_is_made_of() {
    let (cache, store) = rig();
    [Op::Invalidate, Op::Close, Op::Sweep].into_iter().for_each(|op| store.fail(op));
    cache.invalidate(Invalidation::new().tag("t").hold("60s")).await.unwrap_err();
    cache.invalidate_pattern("k*").await.unwrap_err();
    let owed = cache.shutdown(Duration::ZERO).await;
    Cache::in_memory().invalidate(owed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_leaves_what_is_owed_owed() {
    let (cache, store) = owing().await;
    store.heal(Op::Invalidate);
    let sent = store.hold(Op::Invalidate);
    tokio::select! {
        _ = cache.shutdown(TIME) => unreachable!("its attempt is not answered"),
        () = sent.reached() => {}
    }
    assert!(cache.runtime.debts.is_owing());
    tokio::time::sleep(TIME).await;
    assert!(store.bytes("k").await.is_none(), "it is retried");
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_under_way_is_waited_for() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let answered = store.hold(Op::Invalidate);
    let ended = tokio::spawn({
        let cache = cache.clone();
        async move { cache.invalidate_key("k").await }
    });
    answered.reached().await;
    let shutdown = tokio::spawn({
        let cache = cache.clone();
        async move { cache.shutdown(TIME).await }
    });
    idle().await;
    assert!(!shutdown.is_finished());
    answered.open();
    assert!(shutdown.await.unwrap().is_empty());
    assert_eq!(ended.await.unwrap().unwrap().entries, 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_under_way_that_does_not_end_is_returned() {
    let (cache, store) = rig();
    let never = store.hold(Op::Invalidate);
    tokio::spawn({
        let cache = cache.clone();
        async move { cache.invalidate_key("k").await }
    });
    never.reached().await;
    let owed = cache.shutdown(DEADLINE / 2).await;
    assert!(owed.to_json().unwrap().contains(r#""keys":["k"]"#));
}

#[tokio::test(start_paused = true)]
async fn more_names_than_can_be_written_down_are_returned_as_everything() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.recovery_names_max = usize::MAX);
    store.fail(Op::Invalidate);
    let names = (0..crate::config::INVALIDATION_NAMES_MAX + 1).map(|at| format!("k:{at}"));
    cache.invalidate(Invalidation::new().keys(names)).await.unwrap_err();
    assert!(cache.shutdown(Duration::ZERO).await.to_json().unwrap().contains(r#""everything":true"#));
}

#[tokio::test(start_paused = true)]
async fn schedules_and_refreshes_end_and_none_begins_after() {
    let (cache, _) = rig();
    let warmer = Warmer::new(&cache);
    let gate = Gate::default();
    warmer.register("w", {
        let gate = gate.clone();
        move || {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Ok::<_, Error>(())
            }
        }
    });
    let schedule = warmer.schedule(TIME);
    gate.reached().await;
    assert!(cache.shutdown(TIME).await.is_empty());
    schedule.shutdown().await;
    let after = warmer.schedule(Duration::from_secs(1));
    let run = tokio::time::timeout(TIME, gate.reached()).await;
    assert!(run.is_err(), "a schedule that begins after it runs nothing");
    drop(after);
    assert!(cache.runtime.refreshes.reserve(&"k".into(), 1).is_none());
    assert_eq!(get(&cache, "k", 1).await, 1);
    assert_eq!(stored(&cache, "k").await, Some(1), "calls go on");
}

/// The task of a schedule that was told to end may take a while.
#[tokio::test(start_paused = true)]
async fn it_waits_until_what_runs_has_ended() {
    let (cache, _) = rig();
    let place = cache.runtime.refreshes.reserve(&"k".into(), 1).unwrap();
    let term = cache.runtime.schedules.begin();
    for held in [Box::new(place) as Box<dyn std::any::Any>, Box::new(term)] {
        let begun = tokio::time::Instant::now();
        let _ = cache.shutdown(TIME).await;
        assert_eq!(begun.elapsed(), TIME);
        drop(held);
    }
    let begun = tokio::time::Instant::now();
    let _ = cache.shutdown(TIME).await;
    assert!(begun.elapsed().is_zero());
}

/// ★ Whatever the cache itself waits for until the time is over.
#[tokio::test(start_paused = true)]
async fn tenants_send_what_they_owe_at_the_same_time() {
    let (own, of_tenants) = (Faulty::new(), Faulty::new());
    let opened = of_tenants.clone();
    let stores = TenantStores::new(Box::new(move |_| Arc::new(opened.clone())));
    let (config, classes) = (Config::default(), TtlClasses::default());
    let cache = Cache::new(Some(Arc::new(own)), config, classes, Tenancy::Landlord(stores));
    let tenant = cache.tenant("7").unwrap();
    get(&tenant, "k", 1).await;
    of_tenants.fail(Op::Invalidate);
    tenant.invalidate_key("k").await.unwrap_err();
    of_tenants.heal(Op::Invalidate);
    let _refresh = cache.runtime.refreshes.reserve(&"k".into(), 1).unwrap();
    let _ = cache.shutdown(crate::config::RECOVERY_PAUSE_MIN / 4).await;
    assert!(of_tenants.bytes("k").await.is_none());
}

#[test]
fn the_embedded_store_needs_no_runtime_for_it() {
    let (cache, store) = (Cache::in_memory(), Cache::disabled());
    let mut both = std::pin::pin!(async {
        cache.runtime.debts.incur(
            crate::invalidation::Targets::of(crate::name::Name::key("k").unwrap()),
            crate::store::ClosingId::new(),
        );
        cache.shutdown(TIME).await.is_empty() && store.shutdown(TIME).await.is_empty()
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(both.as_mut().poll(&mut context), std::task::Poll::Ready(true)));
}

use tokio::time::Instant;

use super::*;

const FOLLOWERS: usize = 8;

type BoxedLoad = std::pin::Pin<Box<dyn Future<Output = Result<Option<u32>, Infallible>> + Send>>;

fn followers(cache: &Cache, body: impl Fn() -> u32 + Send + Clone + 'static) -> Vec<JoinHandle<u32>> {
    (0..FOLLOWERS)
        .map(|_| {
            let body = body.clone();
            spawn(cache, "k", async move { body() })
        })
        .collect()
}

async fn all(calls: Vec<JoinHandle<u32>>) -> Vec<u32> {
    let mut values = Vec::new();
    for call in calls {
        values.push(call.await.unwrap());
    }
    values
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_key_share_one_load() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let leader = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let followers = followers(&cache, || panic!("loaded"));
    idle().await;
    gate.open();
    assert_eq!(leader.await.unwrap(), 1);
    assert_eq!(all(followers).await, [1; FOLLOWERS]);
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.loads, stats.misses, stats.shared), (1, 1 + FOLLOWERS as u64, FOLLOWERS as u64));
}

#[tokio::test(start_paused = true)]
async fn a_hit_in_the_leaders_lease_answer_is_not_shared() {
    let (cache, store) = rig();
    let other = on(&store);
    let asked = store.hold(Op::TakeLease);
    let leader = spawn(&cache, "k", forbidden());
    asked.reached().await;
    get(&other, "k", 1).await;
    let answered = store.hold_answer(Op::TakeLease);
    asked.open();
    answered.reached().await;
    other.invalidate_key("k").await.unwrap();
    let follower = spawn(&cache, "k", async { 2 });
    idle().await;
    answered.open();
    assert_eq!(leader.await.unwrap(), 1, "it asked before the invalidation");
    assert_eq!(follower.await.unwrap(), 2, "it asked after the invalidation");
}

#[tokio::test(start_paused = true)]
async fn who_joins_after_the_fill_was_sent_does_not_share_it() {
    let (cache, store) = rig();
    let other = on(&store);
    let filled = store.hold_answer(Op::Fill);
    let leader = spawn(&cache, "k", async { 1 });
    filled.reached().await;
    other.invalidate_key("k").await.unwrap();
    let late = spawn(&cache, "k", async { 2 });
    idle().await;
    filled.open();
    assert_eq!(leader.await.unwrap(), 1);
    assert_eq!(late.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_joined_before_the_load_takes_a_value_that_was_refused() {
    let (cache, store) = rig();
    let granted = store.hold_answer(Op::TakeLease);
    let gate = Gate::default();
    let leader = spawn(&cache, "k", gate.body(1));
    granted.reached().await;
    let follower = spawn(&cache, "k", forbidden());
    idle().await;
    granted.open();
    gate.reached().await;
    on(&store).invalidate_key("k").await.unwrap();
    gate.open();
    assert_eq!((leader.await.unwrap(), follower.await.unwrap()), (1, 1));
    assert_eq!(cache.stats().prefix("k").refused_fills, 1);
}

#[tokio::test(start_paused = true)]
async fn who_joined_during_the_load_does_not_take_a_value_that_was_refused() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let leader = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    on(&store).invalidate_key("k").await.unwrap();
    let follower = spawn(&cache, "k", async { 2 });
    idle().await;
    gate.open();
    assert_eq!((leader.await.unwrap(), follower.await.unwrap()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_refused_fill_share_one_more_load() {
    let (cache, store) = rig();
    let (first, second) = (Gate::default(), Gate::default());
    let leader = spawn(&cache, "k", first.body(1));
    first.reached().await;
    on(&store).invalidate_key("k").await.unwrap();
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| spawn(&cache, "k", second.body(2))).collect();
    idle().await;
    first.open();
    second.reached().await;
    idle().await;
    assert_eq!(cache.stats().prefix("k").loads, 2);
    second.open();
    assert_eq!(leader.await.unwrap(), 1);
    assert_eq!(all(followers).await, [2; FOLLOWERS]);
    assert_eq!(cache.stats().prefix("k").loads, 2);
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_value_that_is_not_stored_do_not_queue_up() {
    let (cache, _) = rig();
    let call = |body: BoxedLoad| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get_or_load::<Option<u32>, Infallible, _>("k", || body).await.unwrap() })
    };
    let gate = Gate::default();
    let leader = {
        let gate = gate.clone();
        call(Box::pin(async move {
            gate.pass().await;
            Ok(None)
        }))
    };
    gate.reached().await;
    // Opens only when all of them load at the same time.
    let barrier = Arc::new(tokio::sync::Barrier::new(FOLLOWERS));
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let barrier = barrier.clone();
            call(Box::pin(async move {
                barrier.wait().await;
                Ok(None)
            }))
        })
        .collect();
    idle().await;
    let begun = Instant::now();
    gate.open();
    assert_eq!(leader.await.unwrap(), None);
    for follower in followers {
        assert_eq!(follower.await.unwrap(), None);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

async fn one_follower_takes_over(cache: &Cache, store: &Faulty, kill: impl FnOnce(&Gate, &JoinHandle<u32>)) {
    let gate = Gate::default();
    let body = {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            panic!("a load that panics")
        }
    };
    let leader = spawn(cache, "k", body);
    gate.reached().await;
    let followers = followers(cache, || 2);
    idle().await;
    let begun = Instant::now();
    kill(&gate, &leader);
    assert_eq!(all(followers).await, [2; FOLLOWERS]);
    assert!(leader.await.is_err());
    assert_eq!(cache.stats().prefix("k").loads, 2);
    assert_eq!(store.calls(Op::ReleaseLease), 1, "the dead leader's lease");
    assert!(begun.elapsed() < Duration::from_millis(100), "the next leader did not wait for the lease to run out");
}

#[tokio::test(start_paused = true)]
async fn one_follower_of_a_dropped_leader_takes_over() {
    let (cache, store) = rig();
    one_follower_takes_over(&cache, &store, |_, leader| leader.abort()).await;
}

#[tokio::test(start_paused = true)]
async fn one_follower_of_a_panicked_leader_takes_over() {
    let (cache, store) = rig();
    one_follower_takes_over(&cache, &store, |gate, _| gate.open()).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_no_longer_than_lease_wait() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let stuck = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let begun = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(begun.elapsed(), LEASE_WAIT);
    stuck.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_key_that_its_own_task_loads_does_not_wait_for_itself() {
    let (cache, _) = rig();
    let begun = Instant::now();
    let value =
        load(&cache, "k", async { 1 + load(&cache, "between", async { get(&cache, "k", 1).await }).await }).await;
    assert_eq!(value, 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_load_from_before_a_local_invalidation() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let before = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    cache.invalidate_key("k").await.unwrap();
    let begun = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for a load that it may not share");
    gate.open();
    assert_eq!(before.await.unwrap(), 1);
    assert_eq!(stored(&cache, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_load_that_began_during_a_local_invalidation() {
    let (cache, store) = rig();
    let sent = store.hold(Op::Invalidate);
    let invalidation = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.invalidate_key("k").await })
    };
    sent.reached().await;
    let gate = Gate::default();
    let during = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    sent.open();
    invalidation.await.unwrap().unwrap();
    let begun = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    gate.open();
    during.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_while_a_local_invalidation_is_on_its_way() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let before = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let answered = store.hold_answer(Op::Invalidate);
    let invalidation = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.invalidate_key("k").await })
    };
    answered.reached().await;
    let begun = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    answered.open();
    invalidation.await.unwrap().unwrap();
    gate.open();
    before.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn followers_of_another_type_load_for_themselves() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let leader = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let follower = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get_or_load("k", || async { Ok::<_, Infallible>("text".to_owned()) }).await })
    };
    idle().await;
    gate.open();
    assert_eq!(leader.await.unwrap(), 1);
    assert_eq!(follower.await.unwrap().unwrap(), "text");
}

#[test]
fn a_full_table_of_flights_leaves_callers_alone() {
    use crate::config::FLIGHTS_MAX;
    use crate::runtime::single_flight::{Flights, Role, Streak};
    let flights = Arc::new(Flights::default());
    let mut leaders = Vec::new();
    for key in 0..FLIGHTS_MAX {
        let Role::Lead(leader) = flights.join(&key.to_string().into(), &Streak::default(), None) else {
            panic!("not crowded yet")
        };
        leaders.push(leader);
    }
    assert!(matches!(flights.join(&"one more".into(), &Streak::default(), None), Role::Crowded));
    assert!(matches!(flights.join(&"0".into(), &Streak::default(), None), Role::Follow(_)));
    leaders.pop();
    assert!(matches!(flights.join(&"one more".into(), &Streak::default(), None), Role::Lead(_)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_another_process_invalidated_does_not_wait_for_the_load_that_it_overtook() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let overtaken = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let follower = spawn(&cache, "k", forbidden());
    on(&store).invalidate_key("k").await.unwrap();
    // The next renewal of the lease learns of it.
    tokio::time::sleep(cache.runtime.config.lease / 3 + Duration::from_millis(1)).await;
    let called = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(called.elapsed(), Duration::ZERO);
    gate.open();
    assert_eq!((overtaken.await.unwrap(), follower.await.unwrap()), (1, 2));
}

//! Calls that wait for another process's lease are woken.

use tokio::time::Instant;

use super::*;
use crate::config::{LEASE_POLL_MAX, WATCHED_POLL, WATCHES_MAX};
use crate::store::{IfPresent, LeaseReply, LeaseRequest, Recall, Store, Token};

const CALLERS: usize = 8;

/// Two processes: one loads, callers of the other wait for it.
async fn waiting(store: &Faulty) -> (Gate, JoinHandle<u32>, Vec<JoinHandle<u32>>) {
    let gate = Gate::default();
    let leader = spawn(&on(store), "k", gate.body(1));
    gate.reached().await;
    let other = on(store);
    let waiters = (0..CALLERS).map(|_| spawn(&other, "k", forbidden())).collect();
    idle().await;
    (gate, leader, waiters)
}

async fn served(waiters: Vec<JoinHandle<u32>>) -> Duration {
    let begun = Instant::now();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 1);
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_fill_wakes_who_waits_for_it() {
    let store = Faulty::new();
    let (gate, _, waiters) = waiting(&store).await;
    assert_eq!(store.calls(Op::Watch), 1, "followers wait for their own leader");
    gate.open();
    assert_eq!(served(waiters).await, Duration::ZERO);
    assert!(store.nobody_watches());
}

#[tokio::test(start_paused = true)]
async fn followers_of_who_is_woken_look_at_once_and_for_themselves() {
    let store = Faulty::new();
    let (gate, _, waiters) = waiting(&store).await;
    let gets = store.calls(Op::Get);
    let answered = store.hold(Op::TakeLease);
    gate.open();
    answered.reached().await;
    idle().await;
    // The one that was woken still has no answer.
    assert_eq!(waiters.iter().filter(|waiter| waiter.is_finished()).count(), CALLERS - 1);
    assert_eq!(store.calls(Op::Get) - gets, CALLERS - 1);
    answered.open();
    served(waiters).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_wakes_who_waits_for_it() {
    let store = Faulty::new();
    let gate = Gate::default();
    let leader = spawn(&on(&store), "k", gate.body(1));
    gate.reached().await;
    let successor = spawn(&on(&store), "k", async { 2 });
    idle().await;
    let begun = Instant::now();
    leader.abort();
    assert_eq!(successor.await.unwrap(), 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_has_one_successor_when_its_lease_ends_and_the_others_wait_for_that() {
    let store = Faulty::new();
    // No multiple of any pause between two looks.
    let lease = Duration::from_millis(901);
    let dead = store
        .take_lease("k", LeaseRequest::waiting(Token::new(), lease, IfPresent::Return, Recall::Nothing), far())
        .await
        .unwrap();
    assert!(matches!(dead, LeaseReply::Granted(_)));
    let begun = Instant::now();
    let processes: Vec<_> = (0..4).map(|_| on(&store)).collect();
    let gate = Gate::default();
    let waiters: Vec<_> = processes.iter().map(|cache| spawn(cache, "k", gate.body(2))).collect();
    gate.reached().await;
    assert_eq!(begun.elapsed(), lease);
    // They look again meanwhile.
    tokio::time::sleep(WATCHED_POLL * 2).await;
    let loads = || processes.iter().map(|cache| cache.stats().prefix("k").loads).sum::<u64>();
    assert_eq!(loads(), 1);
    gate.open();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 2);
    }
    assert_eq!(begun.elapsed(), lease + WATCHED_POLL * 2);
    assert_eq!(loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_load_that_an_invalidation_has_overtaken_loads_at_once() {
    let store = Faulty::new();
    let (late, next) = (Gate::default(), Gate::default());
    let leader = spawn(&on(&store), "k", late.body(1));
    late.reached().await;
    let (first, second) = (on(&store), on(&store));
    let waiters = [spawn(&first, "k", next.body(2)), spawn(&second, "k", next.body(2))];
    idle().await;
    let begun = Instant::now();
    on(&store).invalidate_key("k").await.unwrap();
    next.reached().await;
    idle().await;
    assert_eq!(first.stats().prefix("k").loads + second.stats().prefix("k").loads, 1, "one of them leads the other");
    next.open();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 2);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    late.open();
    assert_eq!(leader.await.unwrap(), 1);
    assert_eq!(stored(&first, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_fill_between_the_answer_and_the_watch_is_not_missed() {
    let store = Faulty::new();
    let gate = Gate::default();
    let leader = spawn(&on(&store), "k", gate.body(1));
    gate.reached().await;
    let watches = store.hold(Op::Watch);
    let waiter = spawn(&on(&store), "k", forbidden());
    watches.reached().await;
    gate.open();
    leader.await.unwrap();
    watches.open();
    assert_eq!(served(vec![waiter]).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_tell_is_polled() {
    let store = Faulty::new();
    store.fail(Op::Watch);
    let (gate, _, waiters) = waiting(&store).await;
    tokio::time::sleep(LEASE_POLL_MAX).await;
    gate.open();
    assert!(served(waiters).await <= LEASE_POLL_MAX);
    assert_eq!(store.calls(Op::Watch), 1, "it is not asked again and again");
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_to_watch_polls() {
    let store = Faulty::new();
    let mut others = Vec::new();
    for number in 0..WATCHES_MAX {
        others.push(store.watch(&number.to_string(), IfPresent::Return, far()).await.unwrap().unwrap());
    }
    let (gate, _, waiters) = waiting(&store).await;
    tokio::time::sleep(LEASE_POLL_MAX).await;
    gate.open();
    assert!(served(waiters).await <= LEASE_POLL_MAX);
    drop(others);
    assert!(store.nobody_watches());
}

#[tokio::test(start_paused = true)]
async fn a_lost_push_costs_one_poll() {
    let store = Faulty::new();
    store.mute();
    let (gate, _, waiters) = waiting(&store).await;
    gate.open();
    let waited = served(waiters).await;
    assert!(waited > Duration::ZERO && waited <= WATCHED_POLL, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_it_waits_is_no_reason_to_load() {
    let store = Faulty::new();
    let (gate, _, waiters) = waiting(&store).await;
    for _ in 0..2 {
        let look = store.hold(Op::TakeLease);
        store.fail(Op::TakeLease);
        look.reached().await;
        store.heal(Op::TakeLease);
        look.open();
        idle().await;
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    }
    gate.open();
    assert_eq!(served(waiters).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_the_store_goes_away_loads_at_the_second_failure() {
    let store = Faulty::new();
    let gate = Gate::default();
    let leader = spawn(&on(&store), "k", gate.body(1));
    gate.reached().await;
    let waiter = spawn(&on(&store), "k", async { 2 });
    idle().await;
    let looks = store.calls(Op::TakeLease);
    store.fail(Op::TakeLease);
    assert_eq!(waiter.await.unwrap(), 2);
    assert_eq!(store.calls(Op::TakeLease) - looks, 2);
    gate.open();
    assert_eq!(leader.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_nothing_behind() {
    let store = Faulty::new();
    let (gate, _, waiters) = waiting(&store).await;
    assert!(!store.nobody_watches());
    waiters.iter().for_each(JoinHandle::abort);
    for waiter in waiters {
        waiter.await.unwrap_err();
    }
    assert!(store.nobody_watches());
    gate.open();
}

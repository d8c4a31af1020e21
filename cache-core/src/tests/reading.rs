use bytes::Bytes;
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hit_is_one_get_and_nothing_else() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let before = store.all_calls();
    assert_eq!(load(&cache, "k", forbidden()).await, 1);
    assert_eq!(store.all_calls() - before, 1);
    assert_eq!(store.calls(Op::Get), 2);
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_a_get_a_lease_and_a_fill() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    assert_eq!(store.all_calls(), 3);
    assert_eq!((store.calls(Op::TakeLease), store.calls(Op::Fill)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn every_caller_reads_for_itself() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    let gate = store.hold_answer(Op::Get);
    let slow = spawn(&cache, "k", forbidden());
    gate.reached().await;
    assert_eq!(
        load(&cache, "k", forbidden()).await,
        1,
        "the answer to another caller's question is older than this call"
    );
    gate.open();
    assert_eq!(slow.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_cannot_be_used_are_a_miss_and_are_overwritten() {
    let (cache, store) = rig();
    // Its payload would decode as well.
    cache.put("foreign", &1u64).await.unwrap();
    get(&cache, "good", 1).await;
    let good = store.bytes("good").await.unwrap();
    let mut undecodable = good.to_vec();
    *undecodable.last_mut().unwrap() = b'x';
    store.forge("undecodable", undecodable.into()).await;
    store.forge("truncated", good.slice(..30)).await;
    store.forge("future", Bytes::from([&[9], &good[1..]].concat())).await;
    store.forge("garbage", Bytes::from_static(b"\xff")).await;
    for key in ["foreign", "undecodable", "truncated", "future", "garbage"] {
        assert_eq!(get(&cache, key, 7).await, 7, "{key}");
        assert_eq!(load(&cache, key, forbidden()).await, 7, "{key} was not overwritten");
        assert_eq!(cache.stats().prefix(key).bad_entries, 1, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_long_past_their_own_expiry_are_a_miss() {
    let (cache, store) = rig();
    get(&cache, "good", 1).await;
    let mut bytes = store.bytes("good").await.unwrap().to_vec();
    bytes[28..44].fill(0);
    store.forge("old", bytes.into()).await;
    assert_eq!(get(&cache, "old", 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_filled_meanwhile_is_taken() {
    let (cache, store) = rig();
    let gate = store.hold(Op::TakeLease);
    let call = spawn(&cache, "k", forbidden());
    gate.reached().await;
    get(&on(&store), "k", 1).await;
    gate.open();
    assert_eq!(call.await.unwrap(), 1);
    assert_eq!(cache.stats().prefix("k").hits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_process_that_loads_and_takes_its_value() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let other = spawn(&on(&store), "k", gate.body(1));
    gate.reached().await;
    let waiting = spawn(&cache, "k", forbidden());
    idle().await;
    gate.open();
    assert_eq!((other.await.unwrap(), waiting.await.unwrap()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_another_process_no_longer_than_lease_wait() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let other = spawn(&on(&store), "k", gate.body(1));
    gate.reached().await;
    let begun = Instant::now();
    assert_eq!(get(&cache, "k", 2).await, 2);
    assert_eq!(begun.elapsed(), LEASE_WAIT);
    let polls = store.calls(Op::TakeLease);
    assert!((10..100).contains(&polls), "{polls} looks at the lease");
    assert_eq!(stored(&cache, "k").await, Some(2), "it had a clock reading from before its load");
    gate.open();
    assert_eq!(other.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_gave_up_waiting_fills_with_a_reading_from_before_its_load() {
    let (cache, store) = rig();
    let others = Gate::default();
    let other = spawn(&on(&store), "k", others.body(1));
    others.reached().await;
    let gate = Gate::default();
    let impatient = spawn(&cache, "k", gate.body(2));
    gate.reached().await;
    on(&store).invalidate_key("k").await.unwrap();
    gate.open();
    assert_eq!(impatient.await.unwrap(), 2);
    assert_eq!(stored(&cache, "k").await, None);
    assert_eq!(cache.stats().prefix("k").refused_fills, 1);
    others.open();
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_load_keeps_its_lease_and_then_stops() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let call = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let renewals = store.calls(Op::RenewLease);
    assert!((59..=60).contains(&renewals), "{renewals} renewals in twenty leases");
    gate.open();
    call.await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(store.calls(Op::RenewLease), renewals);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_never_ends_does_not_keep_its_lease_for_ever() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let call = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    let renewals = store.calls(Op::RenewLease);
    assert!((178..=180).contains(&renewals), "{renewals} renewals in a retention of 60 s");
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_loads_whatever_is_stored_and_fills() {
    let (cache, store) = rig();
    get(&cache, "k", 1).await;
    get(&cache, "inner", 1).await;
    let refreshed = crate::private::refresh(load(&cache, "k", async { 1 + load(&cache, "inner", forbidden()).await }));
    assert_eq!(refreshed.await, 2, "only the outermost call is refreshed");
    assert_eq!(load(&cache, "k", forbidden()).await, 2);
    assert_eq!(store.calls(Op::Fill), 3);
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_a_flipped_bit_is_a_miss_counted_and_overwritten() {
    let (cache, store) = rig();
    get(&cache, "k", 123).await;
    let whole = store.bytes("k").await.unwrap();
    let payload = whole.len() - "123".len() - 4;
    for (flips, at) in (payload..whole.len()).enumerate() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        store.forge("k", bytes.into()).await;
        assert_eq!(get(&cache, "k", 7).await, 7, "byte {at}");
        assert_eq!(load(&cache, "k", forbidden()).await, 7, "byte {at}");
        assert_eq!(cache.stats().prefix("k").bad_entries, 1 + flips as u64);
    }
}

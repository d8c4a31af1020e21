//! Calls for many keys: what the store may cost them, what they leave behind, whom they share loads
//! with.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use tokio::time::Instant;

use super::*;
use crate::config::{BATCH_BYTES, BATCH_GET_KEYS, BATCH_WINDOW};
use crate::entry::Entry;
use crate::key::Policy;
use crate::name::Names;
use crate::private::{ManyCall, ManyStep, Storable, coding, fill_many, lookup_many, mapping};

mod homes;

/// The time of all else that a call does.
const SLACK: Duration = Duration::from_millis(30);
/// Several looks, and several windows of leases and fills.
const MANY: Range<u32> = 0..2_000;

/// A batch function over `k:<id>`, which has one value for all ids.
#[derive(Clone)]
pub(super) struct Rows<V> {
    cache: Cache,
    value: V,
    loads: Arc<Mutex<Vec<Vec<u32>>>>,
    held: Arc<Mutex<Vec<Gate>>>,
}

fn rows_of<V>(cache: &Cache, value: V) -> Rows<V> {
    Rows { cache: cache.clone(), value, loads: Arc::default(), held: Arc::default() }
}

pub(super) fn rows(cache: &Cache, value: u32) -> Rows<u32> {
    rows_of(cache, value)
}

impl<V: Storable + Clone + Send + Sync + 'static> Rows<V> {
    /// Stops the next load.
    fn hold(&self) -> Gate {
        let gate = Gate::default();
        self.held.lock().unwrap().push(gate.clone());
        gate
    }

    async fn load(&self, ids: Vec<u32>) -> HashMap<u32, V> {
        let loaded = ids.iter().map(|id| (*id, self.value.clone())).collect();
        self.loads.lock().unwrap().push(ids);
        let gate = self.held.lock().unwrap().pop();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        loaded
    }

    /// What the attribute writes.
    pub(super) async fn get(&self, ids: impl IntoIterator<Item = u32>) -> HashMap<u32, V> {
        let ids: Vec<u32> = ids.into_iter().collect();
        let key = |id: &u32| TextKey::literal(&key(*id)).unwrap().typed();
        let call =
            ManyCall::new(Some(&self.cache), &ids, key, Policy::by_text("k"), coding(), mapping::<HashMap<u32, V>>());
        let mut step = lookup_many(call).await;
        loop {
            let mut load = match step {
                ManyStep::Return(found) => return found,
                ManyStep::Load(load) => load,
            };
            let missing = load.missing();
            let running = load.begin();
            let loaded = load.body(self.load(missing)).await;
            load.end(running);
            step = fill_many(load, loaded, |_, _| (Names::new(), true)).await;
        }
    }

    fn begin(&self, ids: impl IntoIterator<Item = u32>) -> JoinHandle<HashMap<u32, V>> {
        let (rows, ids) = (self.clone(), ids.into_iter().collect::<Vec<_>>());
        tokio::spawn(async move { rows.get(ids).await })
    }

    /// How many ids each load had.
    fn loads(&self) -> Vec<usize> {
        self.loads.lock().unwrap().iter().map(Vec::len).collect()
    }
}

fn key(id: u32) -> String {
    format!("k:{id}")
}

/// Values of 64 KiB, so that [`BATCH_BYTES`] hold fewer of them than a window does.
fn large() -> String {
    "x".repeat(64 << 10)
}

#[tokio::test(start_paused = true)]
async fn if_the_look_fails_all_is_loaded_at_once_and_nothing_stored() {
    let (cache, store) = rig();
    rows(&cache, 1).get(0..3).await;
    store.fail(Op::GetMany);
    let (rows, before) = (rows(&cache, 2), store.all_calls());
    assert_eq!(rows.get(0..3).await, HashMap::from([(0, 2), (1, 2), (2, 2)]));
    assert_eq!((rows.loads(), store.all_calls() - before), (vec![3], 1));
    assert_eq!(stored(&cache, "k:0").await, Some(1), "a load without a clock reading must not fill");
    assert_eq!(cache.stats().prefix("k").errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_many_keys_one_operation_deadline() {
    for (op, asked) in [(Op::GetMany, 1), (Op::TakeLease, BATCH_WINDOW), (Op::Fill, BATCH_WINDOW)] {
        let (cache, store) = rig();
        store.hang(op);
        let (rows, begun) = (rows(&cache, 1), Instant::now());
        assert_eq!(rows.get(MANY).await.len(), MANY.len());
        let took = begun.elapsed();
        assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{op:?}: {took:?}");
        assert_eq!((rows.loads(), store.calls(op)), (vec![MANY.len()], asked), "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_costs_one_operation_deadline_for_every_128_keys() {
    for keys in [100, 300, MANY.len()] {
        let (cache, store) = rig();
        store.slow(Duration::from_millis(100));
        let (rows, begun) = (rows(&cache, 1), Instant::now());
        assert_eq!(rows.get(0..keys as u32).await.len(), keys);
        let limit = DEADLINE * keys.div_ceil(BATCH_WINDOW) as u32 + SLACK;
        assert!(begun.elapsed() < limit, "{keys} keys: {:?}", begun.elapsed());
        assert_eq!(rows.loads(), [keys]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_before_a_look_failed_is_served() {
    let (cache, store) = rig();
    rows(&cache, 1).get(0..600).await;
    store.fail_after(1, Op::GetMany);
    let (rows, fills) = (rows(&cache, 2), store.calls(Op::Fill));
    let found = rows.get(0..600).await;
    assert_eq!((found.len(), found[&0], found[&599]), (600, 1, 2));
    assert_eq!((rows.loads(), store.calls(Op::Fill)), (vec![600 - BATCH_GET_KEYS], fills));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_fails_keeps_none_that_was_granted_from_being_stored() {
    let (cache, store) = rig();
    store.fail_after(2, Op::TakeLease);
    let rows = rows(&cache, 1);
    assert_eq!(rows.get(MANY).await.len(), MANY.len());
    assert_eq!(rows.loads(), [MANY.len()]);
    assert_eq!((store.calls(Op::TakeLease), store.calls(Op::Fill)), (3, 2));
    assert_eq!(cache.stats().prefix("k").fills, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_fill_that_fails_no_more_are_sent_and_every_lease_is_given_back() {
    let (cache, store) = rig();
    store.fail_after(2, Op::Fill);
    let rows = rows(&cache, 1);
    assert_eq!(rows.get(MANY).await.len(), MANY.len());
    assert_eq!(store.calls(Op::Fill), 3);
    assert_eq!(cache.stats().prefix("k").fills, 2);
    assert_eq!(store.calls(Op::ReleaseLease), MANY.len() - 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_while_others_load_is_not_asked_for_every_key() {
    let (cache, store) = rig();
    let others = rows(&on(&store), 1);
    let held = others.hold();
    let other = others.begin(MANY);
    held.reached().await;
    let rows = rows(&cache, 2);
    let call = rows.begin(MANY);
    idle().await;
    assert_eq!(rows.loads(), [0; 0], "it waits");
    let (asked, begun) = (store.calls(Op::TakeLease), Instant::now());
    store.hang(Op::TakeLease);
    assert_eq!(call.await.unwrap(), MANY.map(|id| (id, 2)).collect());
    // It looks again after a pause, and then the deadline passes.
    assert!(begun.elapsed() < DEADLINE * 2 + SLACK, "{:?}", begun.elapsed());
    assert!(store.calls(Op::TakeLease) - asked <= BATCH_WINDOW);
    assert_eq!(rows.loads(), [MANY.len()]);
    held.open();
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_fill_that_hangs_what_others_load_is_not_waited_for() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let other = spawn(&on(&store), "k:2", gate.body(2));
    gate.reached().await;
    store.hang(Op::Fill);
    let (rows, begun) = (rows(&cache, 1), Instant::now());
    assert_eq!(rows.get([1, 2]).await, HashMap::from([(1, 1), (2, 1)]));
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    assert_eq!(rows.loads(), [1, 1]);
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn a_window_of_keys_costs_three_round_trips_and_hits_one() {
    let (cache, store) = rig();
    let latency = Duration::from_millis(10);
    store.slow(latency);
    let (rows, ids) = (rows(&cache, 1), 0..BATCH_WINDOW as u32);
    for round_trips in [3, 1] {
        let begun = Instant::now();
        assert_eq!(rows.get(ids.clone()).await.len(), BATCH_WINDOW);
        let took = begun.elapsed();
        assert!(took >= latency * round_trips && took < latency * round_trips + latency / 2, "{took:?}");
    }
    assert_eq!((store.calls(Op::GetMany), store.calls(Op::TakeLease), store.calls(Op::Fill)), (2, 128, 128));
    assert_eq!((rows.loads(), store.all_calls()), (vec![BATCH_WINDOW], 258));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_keys_stay_within_the_limits() {
    let (cache, store) = rig();
    store.slow(Duration::from_millis(1));
    let rows = rows(&cache, 1);
    assert_eq!(rows.get(0..10_000).await.len(), 10_000);
    assert_eq!(rows.loads(), [10_000]);
    assert_eq!((store.at_once_max(Op::TakeLease), store.at_once_max(Op::Fill)), (BATCH_WINDOW, BATCH_WINDOW));
    let looks = store.looks();
    assert_eq!((&looks[..4], looks.iter().sum::<usize>()), (&[128, 256, 512, 512][..], 10_000));
    assert_eq!(rows.get(0..10_000).await.len(), 10_000);
    assert_eq!((store.looks(), store.at_once_max(Op::GetMany)), ([[512; 19].as_slice(), &[272]].concat(), 1));
}

#[tokio::test(start_paused = true)]
async fn large_values_are_asked_for_and_stored_a_few_at_a_time() {
    let (cache, store) = rig();
    store.slow(Duration::from_millis(1));
    let rows = rows_of(&cache, large());
    assert_eq!(rows.get(0..400).await.len(), 400);
    let fit = BATCH_BYTES / large().len();
    assert_eq!(store.at_once_max(Op::Fill), fit);
    store.looks();
    rows.get(0..400).await;
    assert!(store.looks().iter().all(|keys| *keys <= fit), "it knows what it has stored");
    // Another process does not, until it has seen some.
    let rows = rows_of(&on(&store), large());
    for first in [128, fit - 1] {
        rows.get(0..400).await;
        let looks = store.looks();
        assert!(looks[0] == first && looks[1..].iter().all(|keys| *keys < fit), "{looks:?}");
    }
    assert_eq!(rows.loads(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn values_larger_than_a_reply_is_to_be_are_asked_for_one_by_one() {
    let (cache, store) = rig();
    let rows = rows_of(&cache, "x".repeat(BATCH_BYTES));
    rows.get(0..3).await;
    store.looks();
    assert_eq!((rows.get(0..3).await.len(), store.looks()), (3, vec![1, 1, 1]));
}

/// Calls for one key each follow a batch, which is dropped when it has `reached` something: they go
/// on at once.
async fn dropped_at(cache: &Cache, store: &Faulty, rows: &Rows<u32>, reached: &Gate) {
    let batch = rows.begin([1, 2]);
    reached.reached().await;
    let followers = ["k:1", "k:2"].map(|key| spawn(cache, key, async { 7 }));
    idle().await;
    let begun = Instant::now();
    batch.abort();
    for follower in followers {
        follower.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}: they waited for a lease", begun.elapsed());
    assert_eq!(stored(cache, "k:1").await, Some(7));
    assert!(batch.await.is_err());
    let begun = Instant::now();
    get(&on(store), "k:3", 1).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a lease was left behind");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_between_the_look_and_the_load_keeps_nobody_waiting() {
    let (cache, store) = rig();
    let granted = store.hold_answer(Op::TakeLease);
    dropped_at(&cache, &store, &rows(&cache, 1), &granted).await;
    assert_eq!(store.calls(Op::ReleaseLease), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_in_its_load_keeps_nobody_waiting() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    dropped_at(&cache, &store, &rows, &held).await;
    assert_eq!(store.calls(Op::ReleaseLease), 2);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(store.calls(Op::RenewLease), 0, "nobody needs its leases any more");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_before_its_fills_keeps_nobody_waiting() {
    let (cache, store) = rig();
    let sent = store.hold(Op::Fill);
    dropped_at(&cache, &store, &rows(&cache, 1), &sent).await;
    assert_eq!(store.calls(Op::ReleaseLease), 1, "the other fill has given its lease back");
}

#[tokio::test(start_paused = true)]
async fn single_calls_take_what_a_batch_loads_and_do_not_ask_for_it() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    let batch = rows.begin([1, 2]);
    held.reached().await;
    let follower = spawn(&cache, "k:2", forbidden());
    idle().await;
    held.open();
    assert_eq!((batch.await.unwrap().len(), follower.await.unwrap()), (2, 1));
    assert_eq!((store.calls(Op::TakeLease), cache.stats().prefix("k").shared), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_what_single_calls_load_and_does_not_ask_for_it() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let single = spawn(&cache, "k:1", gate.body(7));
    gate.reached().await;
    let rows = rows(&cache, 1);
    let batch = rows.begin([1, 2]);
    idle().await;
    gate.open();
    assert_eq!(batch.await.unwrap(), HashMap::from([(1, 7), (2, 1)]));
    assert_eq!(single.await.unwrap(), 7);
    assert_eq!((rows.loads(), store.calls(Op::TakeLease), cache.stats().prefix("k").shared), (vec![1], 2, 1));
}

#[tokio::test(start_paused = true)]
async fn who_joined_during_a_batch_load_does_not_take_what_was_refused() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    let batch = rows.begin([1, 2]);
    held.reached().await;
    on(&store).invalidate_key("k:1").await.unwrap();
    let (overtaken, other) = (spawn(&cache, "k:1", async { 7 }), spawn(&cache, "k:2", forbidden()));
    idle().await;
    held.open();
    assert_eq!(batch.await.unwrap().len(), 2);
    assert_eq!((overtaken.await.unwrap(), other.await.unwrap()), (7, 1));
    assert_eq!((stored(&cache, "k:1").await, stored(&cache, "k:2").await), (Some(7), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_another_process_invalidated_does_not_wait_for_the_batch_that_it_overtook() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    let batch = rows.begin([1, 2]);
    held.reached().await;
    on(&store).invalidate_key("k:1").await.unwrap();
    tokio::time::sleep(cache.runtime.config.lease / 3 + Duration::from_millis(1)).await;
    let called = Instant::now();
    assert_eq!(get(&cache, "k:1", 7).await, 7);
    assert_eq!(called.elapsed(), Duration::ZERO);
    let other = spawn(&cache, "k:2", forbidden());
    idle().await;
    held.open();
    assert_eq!((batch.await.unwrap().len(), other.await.unwrap()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_joined_during_a_load_does_not_take_what_was_refused() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let single = spawn(&cache, "k:1", gate.body(7));
    gate.reached().await;
    on(&store).invalidate_key("k:1").await.unwrap();
    let rows = rows(&cache, 1);
    let batch = rows.begin([1, 2]);
    idle().await;
    gate.open();
    assert_eq!((single.await.unwrap(), batch.await.unwrap()), (7, HashMap::from([(1, 1), (2, 1)])));
    assert_eq!(stored(&cache, "k:1").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_hit_in_the_lease_answer_of_a_batch_is_not_shared() {
    let (cache, store) = rig();
    let other = on(&store);
    let asked = store.hold(Op::TakeLease);
    let batch = rows(&cache, 1).begin([1]);
    asked.reached().await;
    get(&other, "k:1", 5).await;
    let answered = store.hold_answer(Op::TakeLease);
    asked.open();
    answered.reached().await;
    other.invalidate_key("k:1").await.unwrap();
    let follower = spawn(&cache, "k:1", async { 7 });
    idle().await;
    answered.open();
    assert_eq!(batch.await.unwrap()[&1], 5, "it asked before the invalidation");
    assert_eq!(follower.await.unwrap(), 7, "it asked after the invalidation");
}

#[tokio::test(start_paused = true)]
async fn what_others_give_up_is_loaded_at_once_in_one_load() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let single = spawn(&cache, "k:3", gate.body(7));
    gate.reached().await;
    let others = rows(&cache, 5);
    let held = others.hold();
    let other = others.begin([1, 2]);
    held.reached().await;
    let rows = rows(&cache, 1);
    let loading = rows.hold();
    let batch = rows.begin([1, 2, 3]);
    idle().await;
    other.abort();
    loading.reached().await;
    assert_eq!(rows.loads(), [2], "it does not wait for the third key meanwhile");
    loading.open();
    gate.open();
    assert_eq!(batch.await.unwrap(), HashMap::from([(1, 1), (2, 1), (3, 7)]));
    single.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_others_no_longer_than_lease_wait() {
    let (cache, store) = rig();
    let others = rows(&on(&store), 5);
    let held = others.hold();
    let other = others.begin([1, 2]);
    held.reached().await;
    let (rows, begun) = (rows(&cache, 1), Instant::now());
    assert_eq!(rows.get([1, 2]).await, HashMap::from([(1, 1), (2, 1)]));
    assert_eq!((begun.elapsed(), rows.loads()), (LEASE_WAIT, vec![2]));
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn a_long_load_keeps_the_leases_of_all_its_keys_that_are_still_its_own() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    let batch = rows.begin([1, 2]);
    held.reached().await;
    let leases = Duration::from_secs(20);
    tokio::time::sleep(leases).await;
    let renewals = store.calls(Op::RenewLease);
    assert!((118..=120).contains(&renewals), "{renewals} renewals in twenty leases of two keys");
    on(&store).invalidate_key("k:1").await.unwrap();
    tokio::time::sleep(leases).await;
    let further = store.calls(Op::RenewLease) - renewals;
    assert!((59..=61).contains(&further), "{further} renewals in twenty leases of one key");
    held.open();
    batch.await.unwrap();
    let renewals = store.calls(Op::RenewLease);
    tokio::time::sleep(leases).await;
    assert_eq!(store.calls(Op::RenewLease), renewals);
}

#[tokio::test(start_paused = true)]
async fn what_a_load_of_many_keys_took_is_shared_out_among_them() {
    let (cache, store) = rig();
    let rows = rows(&cache, 1);
    let held = rows.hold();
    let batch = rows.begin(0..4);
    held.reached().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    held.open();
    batch.await.unwrap();
    let entry = Entry::decode(store.bytes("k:3").await.unwrap()).unwrap();
    assert_eq!(entry.header().load_cost_us, 500_000);
}

//! Copies in a process: what this process does itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::clock;
use crate::key::{CachedFunction, NearPlace, Policy};
use crate::observe::{PrefixStats, SharedCounters};
use crate::private::{Start, Step, coding, copying};
use crate::runtime::Runtime;
use crate::runtime::near::{Lifespan, NewCopy};
use crate::runtime::tenants::Tenancy;
use crate::store::Voucher;

const NEAR: Duration = Duration::from_secs(5);

static FAREWELL: CachedFunction = CachedFunction::of_one("farewell", ":{}");

/// A call of a function with `near`, which loads `value`.
async fn call(cache: &Cache, value: u32) -> u32 {
    call_of(cache, value).await
}

/// Of whatever type the value is in this version of the program.
async fn call_of<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static>(cache: &Cache, value: T) -> T {
    static FUNCTION: CachedFunction = CachedFunction::of_one("near", ":{}");
    let start = Start::<T>::new(Some(cache), &FUNCTION, "k", coding(), copying(NEAR, false), |place| place.part(&1));
    let mut load = match start {
        Start::Return(value) => return value,
        Start::Load(load) => load,
        Start::Look(home) => {
            let policy = Policy::new("k").ttl(Duration::from_secs(60));
            match home.call(TextKey::literal("k:1").unwrap().typed(), policy, coding()).lookup().await {
                Step::Return(value) | Step::ReturnAndRefresh(value, _) => return value,
                Step::Load(load) => load,
            }
        }
    };
    load.run(async {}).await;
    load.fill(Some(&value), crate::name::Names::new()).await;
    value
}

fn counted(cache: &Cache) -> PrefixStats {
    cache.stats().prefix("k")
}

/// Calls until a copy is at hand.
async fn copied(cache: &Cache, value: u32) {
    assert_eq!(call(cache, value).await, value);
    assert_eq!(call(cache, value).await, value);
    let before = counted(cache).near_hits;
    assert_eq!(call(cache, value).await, value);
    assert_eq!(counted(cache).near_hits, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_asks_the_store_for_nothing_until_its_time_is_over() {
    let (cache, store) = rig();
    copied(&cache, 1).await;
    let asked = store.all_calls();
    tokio::time::advance(NEAR - Duration::from_millis(1)).await;
    assert_eq!((call(&cache, 2).await, store.all_calls()), (1, asked));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!((call(&cache, 2).await, store.all_calls()), (1, asked + 1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_does_not_outlive_its_value() {
    let (cache, _) = rig();
    assert_eq!(call(&cache, 1).await, 1);
    tokio::time::advance(Duration::from_secs(58)).await;
    copied(&cache, 1).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(call(&cache, 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_once() {
    let (cache, store) = rig();
    copied(&cache, 1).await;
    store.fail(Op::Invalidate);
    cache.invalidate_key("k:1").await.unwrap_err();
    call(&cache, 2).await;
    store.heal(Op::Invalidate);
    let PrefixStats { hits, near_hits, misses, bypasses, .. } = counted(&cache);
    assert_eq!((hits, near_hits, misses, bypasses), (1, 1, 1, 1));
}

/// The invalidation may be of what the copy was made from.
#[tokio::test(start_paused = true)]
async fn no_copy_is_served_while_an_invalidation_is_owed() {
    let (cache, store) = rig();
    copied(&cache, 1).await;
    store.fail(Op::Invalidate);
    cache.invalidate_tag("other").await.unwrap_err();
    let before = counted(&cache);
    assert_eq!(call(&cache, 1).await, 1);
    assert_eq!((counted(&cache).hits, counted(&cache).near_hits), (before.hits + 1, before.near_hits));
    assert!(cache.health().bypasses_copies);
}

/// Other processes are served what it loads, and the copy may be older than what they were told.
#[tokio::test(start_paused = true)]
async fn a_load_is_not_made_from_a_copy() {
    let (cache, _) = rig();
    copied(&cache, 1).await;
    let before = counted(&cache);
    load(&cache, "outer", async { call(&cache, 2).await }).await;
    assert_eq!((counted(&cache).hits, counted(&cache).near_hits), (before.hits + 1, before.near_hits));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_a_change_overtakes_makes_no_copy() {
    let (cache, store) = rig();
    assert_eq!(call(&cache, 1).await, 1);
    let answer = store.hold_answer(Op::Get);
    let (reader, read) = (cache.clone(), answer.clone());
    let late = tokio::spawn(async move { call(&reader, 1).await });
    read.reached().await;
    cache.invalidate_key("k:1").await.unwrap();
    answer.open();
    assert_eq!(late.await.unwrap(), 1, "it began before the invalidation");
    assert_eq!(call(&cache, 2).await, 2);
}

/// A refresh that has returned is seen by the next call.
#[tokio::test(start_paused = true)]
async fn a_load_drops_the_copy_of_what_it_replaces() {
    let (cache, _) = rig();
    copied(&cache, 1).await;
    assert_eq!(crate::private::refresh(call(&cache, 2)).await, 2);
    assert_eq!(call(&cache, 3).await, 2);
}

/// With the clock its fences are lost, and whatever they stood for.
#[tokio::test(start_paused = true)]
async fn a_fill_that_finds_another_clock_drops_all_copies() {
    let (cache, store) = rig();
    for (is_lost, served) in [(false, (0, 1)), (true, (1, 0))] {
        copied(&cache, 1).await;
        if is_lost {
            store.lose_clock();
        }
        get(&cache, &format!("other:{is_lost}"), 1).await;
        let before = counted(&cache);
        assert_eq!(call(&cache, 1).await, 1);
        let after = counted(&cache);
        assert_eq!((after.hits - before.hits, after.near_hits - before.near_hits), served);
    }
}

/// The entry of the version that came second; the refresh stores over that of the first one.
#[tokio::test(start_paused = true)]
async fn a_refresh_drops_the_copy_of_the_entry_beside_as_well() {
    let (cache, _) = rig();
    call_of(&cache, "of another version".to_owned()).await;
    copied(&cache, 1).await;
    assert_eq!(crate::private::refresh(call(&cache, 2)).await, 2);
    assert_eq!(call(&cache, 3).await, 2);
}

#[tokio::test(start_paused = true)]
async fn no_copy_is_kept_where_none_are_wanted() {
    let store = Faulty::new();
    let cache = with(&store, |config| config.near_entries_max = 0);
    for _ in 0..5 {
        assert_eq!(call(&cache, 1).await, 1);
    }
    assert_eq!((counted(&cache).hits, counted(&cache).near_hits), (4, 0));
}

/// Without it, copies would not be served for the rest of the interval of the questions.
#[tokio::test(start_paused = true)]
async fn what_vouches_for_copies_is_asked_at_once_after_each_change() {
    let (cache, store) = rig();
    cache.invalidate_key("k:1").await.unwrap();
    assert_eq!(store.confirmed(), 0, "there are no copies");
    copied(&cache, 1).await;
    cache.invalidate_key("k:1").await.unwrap();
    assert_eq!(store.confirmed(), 1);
    cache.put("k:1", &2).await.unwrap();
    assert_eq!(store.confirmed(), 2);
}

/// Each on a store with connections of its own.
#[tokio::test(start_paused = true)]
async fn a_change_through_one_handle_counts_for_the_copies_of_the_others() {
    let (id, stores) = (fastrand::u128(..), [Faulty::new(), Faulty::new()]);
    let [one, other] = stores.each_ref().map(|store| {
        let store: Option<Arc<dyn crate::store::Store>> = Some(Arc::new(store.clone()));
        Arc::new(Runtime::new(id, store, Config::default(), Arc::default(), Tenancy::Disabled))
    });
    let (voucher, place) = (Voucher::of_connection(), NearPlace::new(&FAREWELL).finish().unwrap());
    let keep = |runtime: &Runtime| {
        runtime.near.expect(&"k:1".into()).unwrap().keep(NewCopy {
            place: &place,
            lifespan: Lifespan::Near(NEAR),
            bytes: 100,
            voucher: voucher.clone(),
            counters: SharedCounters::Looked(runtime.counted.prefix("k")),
            value: 1_u8,
        });
    };
    keep(&one);
    voucher.answered(clock::now());
    assert_eq!(one.near.get(&place, None), Some(1_u8));
    drop(other.change());
    assert_eq!(one.near.get::<u8>(&place, None), None);
    assert_eq!(stores.each_ref().map(Faulty::confirmed), [1, 0], "where there are copies");
    tokio::time::advance(Duration::from_millis(1)).await;
    voucher.answered(clock::now());
    assert_eq!(one.near.get(&place, None), Some(1_u8));
    other.near.forget("k:1");
    assert_eq!(one.near.get::<u8>(&place, None), None);
    keep(&one);
    other.near.forget_all();
    assert_eq!(one.near.get::<u8>(&place, None), None);
    drop(one);
    drop(other.change());
    assert_eq!(stores[0].confirmed(), 1);
}

/// A value whose `Drop` does what a user's may do.
struct Farewell(Arc<dyn Fn() + Send + Sync>);

impl Drop for Farewell {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Makes a copy of this value, as of the entry of `key`.
fn keep_copy(cache: &Cache, key: &str, id: u64, value: Farewell) {
    let Runtime { near, counted, .. } = &*cache.runtime;
    near.expect(&key.into()).unwrap().keep(NewCopy {
        place: &NearPlace::new(&FAREWELL).part(&id).finish().unwrap(),
        lifespan: Lifespan::OfStore(NEAR),
        bytes: 100,
        voucher: Voucher::for_good(),
        counters: SharedCounters::Looked(counted.prefix("k")),
        value,
    });
}

/// Each way in which a change drops copies, on the embedded store.
const DROPS: [fn(&Cache, &str); 3] = [
    |cache, key| {
        block_on(cache.invalidate_key(key.to_owned())).unwrap();
    },
    |cache, _| {
        block_on(cache.clear()).unwrap();
    },
    |cache, key| {
        block_on(cache.put(key.to_owned(), &2)).unwrap();
    },
];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn the_drop_of_a_value_may_call_the_cache() {
    for change in DROPS {
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            let cache = Cache::in_memory();
            block_on(cache.put("k:1", &1)).unwrap();
            let inner = cache.clone();
            let farewell = Farewell(Arc::new(move || {
                inner.memory();
                done.send(()).unwrap();
            }));
            keep_copy(&cache, "k:1", 1, farewell);
            change(&cache, "k:1");
        });
        is_done.recv_timeout(Duration::from_secs(10)).expect("no lock is held meanwhile");
    }
}

#[test]
fn the_drop_of_a_value_may_panic() {
    for change in DROPS {
        let cache = Cache::in_memory();
        block_on(cache.put("k:1", &1)).unwrap();
        block_on(cache.put("other", &1)).unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        for id in 0..3 {
            let counted = dropped.clone();
            let farewell = Farewell(Arc::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("of a user's drop");
            }));
            keep_copy(&cache, "k:1", id, farewell);
        }
        let before = cache.memory().unwrap().entries;
        change(&cache, "k:1");
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
        assert!(before == 2 && cache.memory().unwrap().entries <= before);
    }
}

/// The last handle of a cache takes its copies along.
#[test]
fn the_end_of_a_cache_survives_values_whose_drop_panics() {
    let cache = Cache::in_memory();
    for id in 0..3 {
        keep_copy(&cache, "k:1", id, Farewell(Arc::new(|| panic!("of a user's drop"))));
    }
    drop(cache);
}

/// The `Clone` of another type may call the cache, so it is not called under a lock.
#[test]
fn of_types_an_arc_alone_is_cloned_where_it_is_found() {
    use crate::private::{NotSharedKind as _, Probe};
    #[derive(Clone)]
    struct Arc<T>(T);
    assert!(Probe::<std::sync::Arc<Arc<u64>>>::new().is_shared());
    assert!(!Probe::<Arc<std::sync::Arc<u64>>>::new().is_shared());
    assert!(!Probe::<u64>::new().is_shared());
    assert_eq!(Arc(1).clone().0, 1);
}

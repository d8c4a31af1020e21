//! Calls and changes whose futures are dropped at each of their moments in turn: what others are
//! served then, and that nothing is left behind.
//!
//! The store gives every other task a turn before each operation takes effect, and another one
//! before its answer arrives. So there is a moment before each command, one between its effect and
//! its answer, and one for each step of a task that the future waits for.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::time::Instant;

use super::freshness::MINUTE;
use super::*;
use crate::observe::MetricValue;
use crate::store::Store;

mod calls;
mod changes;

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// After so many turns without a wake-up the future waits for time, and not for another task.
const TURNS_MAX: usize = 50;

/// Wakes a future that is polled by hand.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    heard: Notify,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.heard.notify_one();
    }
}

/// Polls `future` when it asks for that, and drops it at a moment: after so many polls and turns of
/// the other tasks. `None`: it was dropped.
async fn until<T>(moment: usize, mut future: BoxedFuture<T>) -> Option<T> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    bell.wake_by_ref();
    let mut turns = 0;
    for _ in 0..moment {
        if bell.rung.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            turns = 0;
        } else if turns < TURNS_MAX {
            turns += 1;
            tokio::task::yield_now().await;
        } else {
            while !bell.rung.load(Ordering::SeqCst) {
                bell.heard.notified().await;
            }
        }
    }
    None
}

/// Tries a scene with the moments in turn, until what it cuts has ended before its moment. `scene`
/// says whether that was so. There are `at_least` moments, or the scene is not what it seems.
async fn at_every_moment(at_least: usize, mut scene: impl AsyncFnMut(usize) -> bool) {
    let mut moment = 0;
    loop {
        let Ok(has_ended) = tokio::time::timeout(MINUTE, scene(moment)).await else {
            panic!("somebody waits for ever, cut at moment {moment}");
        };
        if has_ended {
            break;
        }
        moment += 1;
        assert!(moment < 5_000, "it never ends");
    }
    println!("{moment} moments");
    assert!(moment >= at_least, "{moment} moments");
}

/// Two processes on one store, and what is cached: the row of a database.
#[derive(Clone)]
struct Scene {
    here: Cache,
    there: Cache,
    store: Faulty,
    row: Arc<AtomicU32>,
    loads: Arc<AtomicU32>,
}

impl Scene {
    fn new() -> Self {
        let (here, store) = rig();
        let there = on(&store);
        store.take_turns();
        Self { here, there, store, row: Arc::new(AtomicU32::new(1)), loads: Arc::default() }
    }

    fn row(&self) -> u32 {
        self.row.load(Ordering::SeqCst)
    }

    fn set_row(&self, row: u32) {
        self.row.store(row, Ordering::SeqCst);
    }

    /// Reads the row.
    fn body(&self) -> impl Future<Output = u32> + Send + use<> {
        let Self { row, loads, .. } = self.clone();
        async move {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let row = row.load(Ordering::SeqCst);
            tokio::task::yield_now().await;
            row
        }
    }

    /// A call of `k`, which has the tag `t`.
    fn call(&self, cache: &Cache) -> BoxedFuture<u32> {
        self.call_with(cache, self.body())
    }

    fn call_with(&self, cache: &Cache, body: impl Future<Output = u32> + Send + 'static) -> BoxedFuture<u32> {
        let cache = cache.clone();
        Box::pin(async move { load_key(&cache, tagged("k", &["t"]), body).await })
    }

    fn begin(&self, cache: &Cache) -> JoinHandle<u32> {
        tokio::spawn(self.call(cache))
    }

    /// Every process is served the row, at once: nobody waits for a call that was dropped.
    async fn all_are_served_the_row(&self, moment: usize) {
        for (name, cache) in [("here", &self.here), ("there", &self.there), ("elsewhere", &on(&self.store))] {
            let begun = Instant::now();
            assert_eq!(self.call(cache).await, self.row(), "{name}, cut at moment {moment}");
            assert_eq!(begun.elapsed(), Duration::ZERO, "{name} has waited, cut at moment {moment}");
        }
    }

    /// What was cut has left nothing behind, in the process or in the store.
    async fn nothing_is_left(&self, moment: usize) {
        idle().await;
        for cache in [&self.here, &self.there] {
            let runtime = &cache.runtime;
            assert!(runtime.flights.is_empty(), "a flight, cut at moment {moment}");
            assert!(runtime.near.expects_nothing(), "a placeholder, cut at moment {moment}");
            assert!(runtime.debts.unsent().is_empty(), "a debt, cut at moment {moment}");
            assert_eq!(runtime.load_tasks.taken(), 0, "a place of a load, cut at moment {moment}");
            let refreshes = tokio::time::timeout(Duration::ZERO, runtime.refreshes.none_under_way());
            assert!(refreshes.await.is_ok(), "a refresh, cut at moment {moment}");
            self.loads_add_up(cache, moment);
        }
        assert!(self.store.nobody_watches(), "a watch, cut at moment {moment}");
        assert_eq!(self.store.under_way(), 0, "a command, cut at moment {moment}");
        let facts = self.store.facts("k", far()).await.unwrap();
        assert_eq!(facts.lease, None, "a lease, cut at moment {moment}");
        assert!(facts.names.iter().all(|name| name.marks == 0), "a closed name, cut at moment {moment}");
    }

    /// Each load that has begun has ended in one of the ways there are.
    fn loads_add_up(&self, cache: &Cache, moment: usize) {
        let stats = cache.stats();
        let metrics = stats.metrics();
        let loads = metrics.iter().find(|metric| metric.name == "cache_loads_total").unwrap();
        let count = |value: &MetricValue| if let MetricValue::Count(count) = value { *count } else { 0 };
        let ended: u64 = loads.samples.iter().map(|sample| count(&sample.value)).sum();
        assert_eq!(stats.total().loads, ended, "loads under way, cut at moment {moment}");
    }

    /// What is stored now is what calls are served, and they can store.
    async fn the_row_is_stored(&self, moment: usize) {
        let stored: Option<u32> = stored(&on(&self.store), "k").await;
        assert_eq!(stored, Some(self.row()), "cut at moment {moment}");
    }
}

//! Warming: registered warmers, keys by prefix, schedules.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::error::Error;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Cache, Invalidation, Warmed, Warmer, cached, key};
use cache_tests::{Gate, Log, Probe, TestStore, each_store};
use tokio::time::Instant;

type BoxError = Box<dyn Error + Send + Sync>;

const PAUSE: Duration = Duration::from_secs(60);

/// The pause before a scheduled run is shortened by up to a tenth.
const PAUSE_MIN: Duration = Duration::from_secs(54);

#[cached(prefix = "city", ttl = "1h", skip(cache, loads), cache = cache)]
async fn city(cache: &Cache, loads: &Probe, name: &str) -> Result<String, Infallible> {
    loads.mark();
    Ok(name.to_uppercase())
}

/// Remembers of how many ids each load was.
#[cached(prefix = "seat", each = ids, ttl = "1h", skip(cache, loads), cache = cache)]
async fn seats(cache: &Cache, loads: &Mutex<Vec<usize>>, ids: &[u64]) -> Result<HashMap<u64, String>, Infallible> {
    loads.lock().unwrap().push(ids.len());
    Ok(ids.iter().map(|id| (*id, id.to_string())).collect())
}

fn warmer() -> Warmer {
    Warmer::new(&Cache::in_memory())
}

/// A loader of `item` that counts, and refuses what is no number.
fn with_items(warmer: &Warmer) -> Probe {
    let loads = Probe::new();
    let counted = loads.clone();
    warmer.loader("item", move |id: String| {
        let loads = counted.clone();
        async move {
            id.parse::<u32>()?;
            loads.mark();
            Ok::<_, BoxError>(())
        }
    });
    loads
}

/// A batch loader of `item` that remembers what it was called with, and fails for 666666.
fn with_batches(warmer: &Warmer) -> Arc<Mutex<Vec<Vec<u32>>>> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let remembered = calls.clone();
    let parse = |id: &str| {
        assert_ne!(id, "panics", "on purpose");
        id.parse()
    };
    warmer.batch_loader("item", parse, move |ids: Vec<u32>| {
        let failing = ids.contains(&666_666);
        remembered.lock().unwrap().push(ids);
        async move { if failing { Err("no such table") } else { Ok(()) } }
    });
    calls
}

fn gated(warmer: &Warmer, name: &str) -> Gate {
    let gate = Gate::new();
    let at = gate.clone();
    warmer.register(name, move || {
        let at = at.clone();
        async move {
            at.pass().await;
            Ok::<_, Infallible>(())
        }
    });
    gate
}

fn counts(warmed: &Warmed) -> (u64, u64, u64) {
    (warmed.total, warmed.done, warmed.failed)
}

fn errors(warmed: &Warmed) -> BTreeSet<String> {
    warmed.errors().iter().map(ToString::to_string).collect()
}

each_store! {
    async fn what_was_warmed_is_a_hit(store: TestStore) {
        let (cache, loads) = (store.cache().await, Probe::new());
        let warmer = Warmer::new(&cache);
        let (of_all, of_one) = ((cache.clone(), loads.clone()), (cache.clone(), loads.clone()));
        warmer.register("capitals", move || {
            let (cache, loads) = of_all.clone();
            async move { city(&cache, &loads, "paris").await }
        });
        warmer.loader("city", move |name| {
            let (cache, loads) = of_one.clone();
            async move { city::refresh(&cache, &loads, &name).await }
        });
        assert_eq!(counts(&warmer.run().await), (1, 1, 0));
        // The key of a name that is escaped in it.
        let york = city::key("New York").to_string();
        assert_eq!(york, "city:New%20York");
        assert_eq!(counts(&warmer.warm_keys([york, "city:paris".to_owned()]).await), (2, 2, 0));
        assert_eq!(loads.count(), 3, "`refresh` loads again what is there");
        assert_eq!(city(&cache, &loads, "paris").await, Ok("PARIS".to_owned()));
        assert_eq!(city(&cache, &loads, "New York").await, Ok("NEW YORK".to_owned()));
        assert_eq!(loads.count(), 3);
    }

    async fn a_batch_function_warms_many_keys_by_one_load_of_what_is_missing(store: TestStore) {
        let (cache, loads) = (store.cache().await, Arc::new(Mutex::new(Vec::new())));
        let warmer = Warmer::new(&cache);
        let (warmed, counted) = (cache.clone(), loads.clone());
        warmer.batch_loader("seat", str::parse::<u64>, move |ids| {
            let (cache, loads) = (warmed.clone(), counted.clone());
            async move { seats(&cache, &loads, &ids).await }
        });
        let keys = |ids: Range<u64>| ids.map(|id| seats::key(&id).to_string());
        assert_eq!(counts(&warmer.warm_keys(keys(0..40)).await), (40, 40, 0));
        assert_eq!(counts(&warmer.warm_keys(keys(0..500)).await), (500, 500, 0));
        assert_eq!(*loads.lock().unwrap(), [40, 460]);
        let ids: Vec<u64> = (0..500).collect();
        assert_eq!(seats(&cache, &loads, &ids).await.unwrap().len(), 500);
        assert_eq!(counts(&warmer.warm_keys(["seat:7".to_owned(), "seat:x".to_owned()]).await), (2, 1, 1));
        assert_eq!(*loads.lock().unwrap(), [40, 460], "all of them are there");
        let stats = cache.stats().prefix("seat");
        assert_eq!((stats.hits, stats.misses, stats.fills), (541, 500, 500));
    }

    async fn an_invalidation_that_overtakes_a_warmed_load_wins(store: TestStore) {
        let (cache, gate) = (store.cache().await, Gate::new());
        let warmer = Warmer::new(&cache);
        let (warmed, at) = (cache.clone(), gate.clone());
        warmer.loader("item", move |id: String| {
            let (cache, gate) = (warmed.clone(), at.clone());
            async move {
                let load = || async { gate.pass().await; Ok::<_, Infallible>(1) };
                cache.get_or_load(key!("item:{id}"), load).await
            }
        });
        let overtaking = async {
            gate.reached().await;
            cache.invalidate(Invalidation::new().key("item:42")).await.unwrap();
            gate.open();
        };
        let (warmed, ()) = tokio::join!(warmer.warm_keys(["item:42"]), overtaking);
        assert_eq!(counts(&warmed), (1, 1, 0));
        assert_eq!(cache.peek::<u32>("item:42").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_failing_or_panicking_warmer_does_not_stop_the_others() {
    let (warmer, ran) = (warmer().concurrency(1), Probe::new());
    warmer.register("fails", || async { Err::<(), _>("the database is gone") });
    warmer.register("panics", || async { panic!("on purpose") as Result<(), Infallible> });
    warmer.register("panics early", || -> std::future::Ready<Result<(), Infallible>> { panic!("on purpose") });
    let counted = ran.clone();
    warmer.register("works", move || std::future::ready(Ok::<_, Infallible>(counted.mark())));
    let (log, _listening) = Log::listen();
    let warmed = warmer.run().await;
    assert_eq!(counts(&warmed), (4, 1, 3));
    assert!(!warmed.is_complete());
    let said = log.text().lines().filter(|line| line.contains("WARN") && line.contains("warming failed")).count();
    assert_eq!(said, 3, "{}", log.text());
    let expected = ["fails: the database is gone", "panics: panicked", "panics early: panicked"];
    assert_eq!(errors(&warmed), expected.map(str::to_owned).into());
    assert_eq!(ran.count(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_is_taken_over_and_an_unknown_one_is_reported() {
    let (warmer, ran) = (warmer(), Probe::new());
    warmer.register("boards", || async { Err::<(), _>("replaced") });
    let counted = ran.clone();
    warmer.register("boards", move || std::future::ready(Ok::<_, Infallible>(counted.mark())));
    warmer.register("others", || async { Err::<(), _>("not asked for") });
    let warmed = warmer.run_named(["boards", "bords"]).await;
    assert_eq!(counts(&warmed), (2, 1, 1));
    assert_eq!(errors(&warmed), ["bords: no warmer of this name is registered".to_owned()].into());
    assert_eq!(ran.count(), 1);
}

#[tokio::test]
async fn bad_keys_are_reported_and_good_ones_loaded_once() {
    let warmer = warmer();
    let loads = with_items(&warmer);
    let digest = "item:#00112233445566778899aabbccddeeff";
    let warmed = warmer.warm_keys(["item:1", "item:x", "unknown:1", "", digest, "item:2", "item:1", "~item:3"]).await;
    assert_eq!(counts(&warmed), (7, 2, 5));
    assert_eq!(loads.count(), 2);
    let names: BTreeSet<&str> = warmed.errors().iter().map(|error| error.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["item:x", "unknown:1", "", digest, "~item:3"]));
    assert!(errors(&warmed).contains("unknown:1: no loader is registered for the prefix `unknown`"));
}

#[tokio::test]
async fn errors_are_bounded_and_failures_all_counted() {
    let warmed = warmer().warm_keys((0..1_000).map(|n| format!("unknown:{n}"))).await;
    assert_eq!((counts(&warmed), warmed.errors().len()), ((1_000, 0, 1_000), 100));
    let warmed = warmer().warm_keys(["x".repeat(1 << 20)]).await;
    assert_eq!(warmed.errors()[0].name.len(), 1_024);
}

#[tokio::test]
async fn keys_of_one_run_are_bounded() {
    let warmer = warmer();
    with_batches(&warmer);
    let keys = (1_000_000..1_100_002).map(|id| format!("item:{id}"));
    let warmed = warmer.warm_keys(keys).await;
    assert_eq!(counts(&warmed), (100_002, 100_000, 2));
    assert_eq!(warmed.errors()[0].message, "a run warms at most 100000 keys");
}

#[tokio::test]
async fn many_keys_go_to_the_batch_loader_in_chunks_and_one_to_the_single() {
    let warmer = warmer();
    let (loads, batches) = (with_items(&warmer), with_batches(&warmer));
    assert_eq!(counts(&warmer.warm_keys(["item:1"]).await), (1, 1, 0));
    assert_eq!((loads.count(), batches.lock().unwrap().len()), (1, 0));
    assert_eq!(counts(&warmer.warm_keys((0..1_200).map(|n| format!("item:{n}"))).await), (1_200, 1_200, 0));
    let calls = std::mem::take(&mut *batches.lock().unwrap());
    let mut sizes: Vec<_> = calls.iter().map(Vec::len).collect();
    sizes.sort();
    assert_eq!((loads.count(), sizes), (1, vec![200, 500, 500]));
    assert_eq!(calls.into_iter().flatten().collect::<BTreeSet<_>>().len(), 1_200);
}

#[tokio::test]
async fn an_error_of_a_batch_counts_for_each_of_its_keys() {
    let warmer = warmer();
    let batches = with_batches(&warmer);
    let warmed = warmer.warm_keys(["item:666666", "item:1", "item:2"]).await;
    assert_eq!(counts(&warmed), (3, 0, 3));
    assert_eq!(errors(&warmed), ["item:666666 and 2 more: no such table".to_owned()].into());
    // Alone it is used for single keys, too.
    assert_eq!(counts(&warmer.warm_keys(["item:7"]).await), (1, 1, 0));
    assert_eq!(batches.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_that_is_no_id_keeps_no_other_of_its_batch_from_being_loaded() {
    let warmer = warmer();
    let batches = with_batches(&warmer);
    let warmed = warmer.warm_keys(["item:one", "item:1", "item:panics", "item:2", "item:"]).await;
    assert_eq!(counts(&warmed), (5, 2, 3));
    let expected = [
        "item:one: invalid digit found in string",
        "item:panics: panicked",
        "item:: cannot parse integer from empty string",
    ];
    assert_eq!(errors(&warmed), expected.map(str::to_owned).into());
    assert_eq!(*batches.lock().unwrap(), [[1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_warmer_gives_its_place_to_the_others() {
    let (warmer, ran) = (warmer().concurrency(1).time_limit(PAUSE), Probe::new());
    warmer.register("hangs", std::future::pending::<Result<(), Infallible>>);
    let counted = ran.clone();
    warmer.register("works", move || std::future::ready(Ok::<_, Infallible>(counted.mark())));
    let begun = Instant::now();
    let warmed = tokio::time::timeout(PAUSE * 2, warmer.run()).await.expect("it does not wait for what hangs");
    assert_eq!((counts(&warmed), ran.count()), ((2, 1, 1), 1));
    assert_eq!(errors(&warmed), ["hangs: did not end within 60s".to_owned()].into());
    assert!(begun.elapsed() < PAUSE + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_warmer_that_lists_keys_counts_as_the_keys() {
    let warmer = warmer();
    let batches = with_batches(&warmer);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observed = seen.clone();
    warmer.on_progress(move |at| observed.lock().unwrap().push((at.total, at.done, at.failed)));
    warmer.register_keys("busiest", || async { Ok::<_, Infallible>((0..100).map(|n| format!("item:{n}"))) });
    warmer.register_keys("none", || async { Ok::<_, Infallible>(Vec::<String>::new()) });
    warmer.register_keys("broken", || async { Err::<Vec<String>, _>("no such table") });
    assert_eq!(counts(&warmer.concurrency(1).run().await), (102, 101, 1));
    assert_eq!(batches.lock().unwrap().len(), 1);
    let expected = [(3, 0, 0), (102, 0, 0), (102, 1, 0), (102, 1, 1), (102, 101, 1)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn no_more_run_at_once_than_allowed_over_all_runs() {
    let (warmer, gate) = (warmer().concurrency(3), Gate::new());
    let at = gate.clone();
    let counted = Probe::new();
    let counting = counted.clone();
    warmer.loader("item", move |_| {
        let (gate, begun) = (at.clone(), counting.clone());
        async move {
            begun.mark();
            gate.pass().await;
            Ok::<_, Infallible>(())
        }
    });
    let keys = |of: &str| (0..5).map(|n| format!("item:{of}{n}")).collect::<Vec<_>>();
    let watching = async {
        for ended in 0..8 {
            counted.reached(3 + ended.min(7)).await;
            idle().await;
            assert_eq!(counted.count(), (3 + ended).min(10));
            gate.open();
        }
        gate.open_for_good();
    };
    let (first, second, ()) = tokio::join!(warmer.warm_keys(keys("a")), warmer.warm_keys(keys("b")), watching);
    assert_eq!((counts(&first), counts(&second)), ((5, 5, 0), (5, 5, 0)));
}

/// Lets every other task run until it waits for something.
async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_warmer_that_warms_keys_does_not_wait_for_itself() {
    let warmer = warmer().concurrency(1);
    let loads = with_items(&warmer);
    let inner = warmer.clone();
    warmer.register("nested", move || {
        let warmer = inner.clone();
        async move {
            let warmed = warmer.warm_keys(["item:1", "item:2"]).await;
            if warmed.is_complete() { Ok(()) } else { Err("incomplete") }
        }
    });
    let warmed = tokio::time::timeout(PAUSE, warmer.run()).await.expect("it has the permit that it needs");
    assert_eq!(counts(&warmed), (1, 1, 0));
    assert_eq!(loads.count(), 2);
}

#[tokio::test]
async fn a_dropped_run_stops_what_it_began() {
    let (warmer, stopped) = (warmer(), Probe::new());
    let at = Gate::new();
    let (gate, counted) = (at.clone(), stopped.clone());
    warmer.register("endless", move || {
        let (gate, counted) = (gate.clone(), DropCounter(counted.clone()));
        async move {
            let _counted = counted;
            gate.pass().await;
            Ok::<_, Infallible>(())
        }
    });
    {
        let mut run = pin!(warmer.run());
        tokio::select! {
            _ = &mut run => unreachable!("nothing opens the gate"),
            () = at.reached() => {}
        }
    }
    stopped.reached(1).await;
}

struct DropCounter(Probe);

impl Drop for DropCounter {
    fn drop(&mut self) {
        self.0.mark();
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_pauses_before_each_run_and_never_overlaps_itself() {
    let warmer = warmer().time_limit(PAUSE * 100);
    let gate = gated(&warmer, "slow");
    let begun = Instant::now();
    let schedule = warmer.schedule(PAUSE);
    gate.reached().await;
    let first = begun.elapsed();
    assert!(first >= PAUSE_MIN && first <= PAUSE + Duration::from_millis(1), "{first:?}");
    // Ten times as long as the pause: nobody comes to the gate meanwhile.
    assert!(tokio::time::timeout(PAUSE * 10, gate.reached()).await.is_err());
    gate.open();
    let opened = Instant::now();
    gate.reached().await;
    assert!(opened.elapsed() >= PAUSE_MIN, "{:?}", opened.elapsed());
    gate.open();
    drop(schedule);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_stops_with_its_handle() {
    let warmer = warmer();
    let gate = gated(&warmer, "slow");
    drop(warmer.schedule(PAUSE));
    assert!(tokio::time::timeout(PAUSE * 10, gate.reached()).await.is_err());
    let begun = Instant::now();
    warmer.schedule(PAUSE).shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "it stops in its pause: {:?}", begun.elapsed());
    let schedule = warmer.schedule(PAUSE);
    gate.reached().await;
    let begun = Instant::now();
    schedule.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "it stops in a run: {:?}", begun.elapsed());
    // Its permit is free again, and it does not come back.
    let alone = warmer.concurrency(1);
    let (warmed, ()) = tokio::join!(alone.run(), async {
        gate.reached().await;
        gate.open();
    });
    assert_eq!(counts(&warmed), (1, 1, 0));
    assert!(tokio::time::timeout(PAUSE * 10, gate.reached()).await.is_err());
}

/// A future that is stopped runs on until it waits for something. Once `shutdown`
/// has returned, nothing of it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_shutdown_of_a_schedule_waits_for_what_cannot_stop_at_once() {
    let (warmer, begun) = (warmer(), Probe::new());
    let (go, held) = std::sync::mpsc::channel::<()>();
    let (counted, held) = (begun.clone(), Arc::new(Mutex::new(held)));
    warmer.register("blocks", move || {
        let (counted, held) = (counted.clone(), held.clone());
        async move {
            counted.mark();
            _ = held.lock().unwrap().recv();
            Ok::<_, Infallible>(())
        }
    });
    let schedule = warmer.schedule(Duration::ZERO);
    begun.reached(1).await;
    let mut shutdown = tokio::spawn(schedule.shutdown());
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut shutdown).await.is_err());
    go.send(()).unwrap();
    shutdown.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_schedule_without_a_pause_pauses_nevertheless() {
    let (warmer, ran) = (warmer(), Probe::new());
    let counted = ran.clone();
    warmer.register("eager", move || std::future::ready(Ok::<_, Infallible>(counted.mark())));
    let begun = Instant::now();
    let _schedule = warmer.schedule(Duration::ZERO);
    ran.reached(10).await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    // And the longest one is no overflow.
    let _never = warmer.schedule(Duration::MAX);
    idle().await;
}

#[tokio::test]
async fn nothing_is_loaded_for_a_store_that_is_not_there() {
    let cache = Cache::open("redis://127.0.0.1:1").unwrap();
    tokio::time::pause();
    let warmer = Warmer::new(&cache);
    let loads = with_items(&warmer);
    let warmed = warmer.warm_keys(["item:1", "item:2"]).await;
    assert_eq!((counts(&warmed), loads.count()), ((2, 0, 2), 0));
    assert!(warmed.errors()[0].message.starts_with("the store is not ready"), "{:?}", warmed.errors());
}

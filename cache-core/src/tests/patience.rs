//! Loads that take longer than anybody waits for them: who loads beside them, and when.

use std::sync::Mutex;

use tokio::time::Instant;

use super::freshness;
use super::*;
use crate::config::LEASE;
use crate::key::Policy;

const CALLERS: usize = 50;

/// A source that takes its time, and when it was asked.
struct Slow {
    takes: Duration,
    since: Instant,
    begun: Mutex<Vec<f64>>,
}

impl Slow {
    fn new(takes: Duration) -> Arc<Self> {
        Arc::new(Self { takes, since: Instant::now(), begun: Mutex::default() })
    }

    async fn load(&self) -> u32 {
        let number = {
            let mut begun = self.begun.lock().unwrap();
            begun.push(self.since.elapsed().as_secs_f64());
            begun.len() as u32
        };
        tokio::time::sleep(self.takes).await;
        number
    }

    /// In seconds, to the hundredth.
    fn begun(&self) -> Vec<f64> {
        self.begun.lock().unwrap().iter().map(|seconds| (seconds * 100.0).round() / 100.0).collect()
    }
}

fn call(cache: &Cache, source: &Arc<Slow>) -> JoinHandle<u32> {
    call_with(cache, Policy::new("k"), source)
}

fn call_with(cache: &Cache, policy: Policy, source: &Arc<Slow>) -> JoinHandle<u32> {
    let (cache, source) = (cache.clone(), source.clone());
    let body = move || async move { Ok(source.load().await) };
    tokio::spawn(async move { freshness::call(&cache, tagged("k", &[]), policy, body).await.unwrap() })
}

/// Everyone's value, and how long it took the last one.
async fn storm(caches: &[Cache], source: &Arc<Slow>) -> (Vec<u32>, Duration) {
    storm_with(caches, &Policy::new("k"), source).await
}

async fn storm_with(caches: &[Cache], policy: &Policy, source: &Arc<Slow>) -> (Vec<u32>, Duration) {
    let call = |caller: usize| call_with(&caches[caller % caches.len()], policy.clone(), source);
    let calls: Vec<_> = (0..CALLERS).map(call).collect();
    let mut values = Vec::new();
    for call in calls {
        values.push(call.await.unwrap());
    }
    (values, source.since.elapsed())
}

/// The moments at which calls go on beside a load that began at 0: after one wait, after two, and
/// from then on twice as many in each.
const GOES_ON: [f64; 12] = [0.0, 2.0, 4.0, 5.0, 6.0, 6.5, 7.0, 7.5, 8.0, 8.25, 8.5, 8.75];

#[tokio::test(start_paused = true)]
async fn beside_a_load_that_takes_longer_than_the_wait_others_load_one_after_another() {
    for (seconds, loads) in [(3, 2), (5, 3), (9, 12)] {
        let (cache, _) = rig();
        let source = Slow::new(Duration::from_secs(seconds));
        let (values, took) = storm(std::slice::from_ref(&cache), &source).await;
        assert_eq!(source.begun(), GOES_ON[..loads], "{seconds} s");
        // Whoever loads has the value of its own load; all others that of the first.
        assert_eq!(values.iter().filter(|value| **value == 1).count(), CALLERS - (loads - 1));
        let last = Duration::from_secs_f64(GOES_ON[loads - 1]) + source.takes;
        assert_eq!(took.as_secs_f64(), last.as_secs_f64(), "{seconds} s");
        assert_eq!(cache.stats().prefix("k").fills, loads as u64);
    }
}

/// `wait = "…"`, in one process and across processes.
#[tokio::test(start_paused = true)]
async fn a_function_may_have_a_wait_of_its_own() {
    for (wait, takes, begun) in [
        (Duration::from_secs(10), 9, &[0.0][..]),
        (Duration::from_secs(10), 21, &[0.0, 10.0, 20.0]),
        (Duration::from_millis(1_500), 3, &[0.0, 1.5]),
        // No shorter than the lease.
        (Duration::from_millis(1), 2, &[0.0, LEASE.as_secs_f64()]),
        (Duration::MAX, 50, &[0.0]),
    ] {
        for processes in [1, 3] {
            let store = Faulty::new();
            let caches: Vec<Cache> = (0..processes).map(|_| on(&store)).collect();
            let source = Slow::new(Duration::from_secs(takes));
            storm_with(&caches, &Policy::new("k").wait(wait), &source).await;
            assert_eq!(source.begun(), begun, "{wait:?}, {processes} processes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_others_have_the_value_as_soon_as_one_load_ends() {
    let (cache, _) = rig();
    let source = Slow::new(Duration::from_secs(5));
    let calls: Vec<_> = (0..CALLERS).map(|_| call(&cache, &source)).collect();
    tokio::time::sleep(source.takes).await;
    idle().await;
    let waiting = calls.iter().filter(|call| !call.is_finished()).count();
    assert_eq!(waiting, 2, "those who load themselves");
}

#[tokio::test(start_paused = true)]
async fn processes_go_on_one_after_another_as_well() {
    for muted in [false, true] {
        let (cache, store) = rig();
        if muted {
            store.mute();
        }
        let caches = [cache, on(&store), on(&store), on(&store)];
        let source = Slow::new(Duration::from_secs(9));
        storm(&caches, &source).await;
        assert_eq!(source.begun(), GOES_ON, "muted: {muted}");
    }
}

/// A load that never ends, and the right to load that is never given back: each caller's own load,
/// and so its error, comes.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let (cache, _) = rig();
    let source = Slow::new(Duration::from_secs(10_000));
    let calls: Vec<_> = (0..CALLERS).map(|_| call(&cache, &source)).collect();
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(source.begun().len(), CALLERS, "{:?}", source.begun());
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn who_loads_beside_serves_those_who_still_wait_for_the_first_load() {
    let (cache, store) = rig();
    let gate = Gate::default();
    let stuck = spawn(&cache, "k", gate.body(1));
    gate.reached().await;
    let begun = Instant::now();
    let first = spawn(&cache, "k", async { 2 });
    tokio::time::sleep(LEASE_WAIT - Duration::from_millis(1)).await;
    let second = spawn(&cache, "k", forbidden());
    idle().await;
    let gets = store.calls(Op::Get);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (2, 2));
    assert_eq!(begun.elapsed(), LEASE_WAIT);
    assert_eq!(store.calls(Op::Get), gets, "it was handed the value");
    assert_eq!(cache.stats().prefix("k").shared, 1);
    stuck.abort();
}

/// The same value, refused: nothing proves it fresh to who joined while the first load ran.
#[tokio::test(start_paused = true)]
async fn a_value_that_was_refused_beside_a_load_is_its_own_callers_alone() {
    let (cache, store) = rig();
    let (stuck, beside) = (Gate::default(), Gate::default());
    let first = spawn(&cache, "k", stuck.body(1));
    stuck.reached().await;
    let second = spawn(&cache, "k", beside.body(2));
    tokio::time::sleep(LEASE_WAIT - Duration::from_millis(1)).await;
    let third = spawn(&cache, "k", async { 3 });
    beside.reached().await;
    on(&store).invalidate_key("k").await.unwrap();
    beside.open();
    assert_eq!(second.await.unwrap(), 2);
    idle().await;
    assert!(!third.is_finished(), "it waits for its own time");
    assert_eq!(third.await.unwrap(), 3);
    first.abort();
}

/// A leader that is not polled, for the follower holds what it waits for: broken by time.
#[tokio::test(start_paused = true)]
async fn a_caller_that_holds_what_the_load_waits_for_waits_for_its_turn_and_no_longer() {
    for ahead in [0, 1, 3] {
        let (cache, _) = rig();
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        let held = lock.clone().lock_owned().await;
        let needs_it = || {
            let lock = lock.clone();
            async move {
                drop(lock.lock().await);
                1
            }
        };
        let begun = Instant::now();
        let mut others = Vec::new();
        for _ in 0..=ahead {
            others.push(spawn(&cache, "k", needs_it()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(get(&cache, "k", 2).await, 2);
        assert_eq!((begun.elapsed().as_secs_f64() * 10.0).round() / 10.0, GOES_ON[1 + ahead]);
        drop(held);
        for other in others {
            other.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batches_go_on_one_after_another() {
    for (policy, begun) in [
        (Policy::new("k"), &GOES_ON[..3]),
        (Policy::new("k").wait(Duration::from_secs(4)), &[0.0, 4.0]),
        (Policy::new("k").wait(Duration::from_secs(10)), &[0.0]),
    ] {
        let source = Slow::new(Duration::from_secs(5));
        storm_of_batches(&policy, &source).await;
        assert_eq!(source.begun(), begun, "{:?}", policy.wait);
    }
}

async fn storm_of_batches(policy: &Policy, source: &Arc<Slow>) {
    use std::collections::HashMap;

    use crate::private::{ManyCall, ManyStep, coding, fill_many, lookup_many, mapping};
    let (cache, _) = rig();
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (cache, source, policy) = (cache.clone(), source.clone(), policy.clone());
            tokio::spawn(async move {
                let key = |id: &u32| TextKey::literal(&format!("k:{id}")).unwrap().typed();
                let call =
                    ManyCall::new(Some(&cache), &[1, 2, 3], key, policy, coding(), mapping::<HashMap<u32, u32>>());
                let mut step = lookup_many(call).await;
                loop {
                    let mut load = match step {
                        ManyStep::Return(found) => return found,
                        ManyStep::Load(load) => load,
                    };
                    let missing = load.missing();
                    assert_eq!(missing.len(), 3, "all of it or nothing");
                    let running = load.begin();
                    let value = load.body(source.load()).await;
                    load.end(running);
                    let loaded = missing.into_iter().map(|id| (id, value)).collect();
                    step = fill_many(load, loaded, |_, _| (Default::default(), true)).await;
                }
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().len(), 3);
    }
}

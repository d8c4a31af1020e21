//! Loads that fail while many callers want the key.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

use super::*;
use crate::config::FAILED_LOADS_AT_ONCE;
use crate::runtime::single_flight::{Advice, Flights, Role, Streak};

const CALLERS: usize = 100;
const LOAD: Duration = Duration::from_millis(10);

/// A source that fails so often before it recovers.
#[derive(Default)]
struct Source {
    fails: u32,
    loads: AtomicU32,
    at_once: AtomicU32,
    at_once_max: AtomicU32,
    begun: Mutex<Vec<Instant>>,
}

impl Source {
    async fn load(&self) -> Result<u32, u32> {
        self.load_for(LOAD).await
    }

    async fn load_for(&self, takes: Duration) -> Result<u32, u32> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once_max.fetch_max(at_once, Ordering::SeqCst);
        let run = self.loads.fetch_add(1, Ordering::SeqCst) + 1;
        self.begun.lock().unwrap().push(Instant::now());
        tokio::time::sleep(takes).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if run <= self.fails { Err(run) } else { Ok(run) }
    }
}

async fn storm(caches: &[Cache], source: Source) -> (Arc<Source>, Vec<Result<u32, u32>>) {
    let source = Arc::new(source);
    let mut calls = Vec::new();
    for _ in 0..CALLERS {
        for cache in caches {
            let (cache, source) = (cache.clone(), source.clone());
            calls.push(tokio::spawn(async move { cache.get_or_load("k", || source.load()).await }));
        }
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    (source, answers)
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_once_costs_one_more() {
    let (cache, _) = rig();
    let (source, answers) = storm(&[cache], Source { fails: 1, ..Source::default() }).await;
    assert_eq!(source.loads.load(Ordering::SeqCst), 2);
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(2)).count(), CALLERS - 1);
    assert!(answers.contains(&Err(1)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_is_asked_by_a_few_at_a_time_and_each_caller_has_its_own_error() {
    let (cache, _) = rig();
    let begun = Instant::now();
    let (source, answers) = storm(&[cache], Source { fails: u32::MAX, ..Source::default() }).await;
    assert_eq!(source.at_once_max.load(Ordering::SeqCst), FAILED_LOADS_AT_ONCE);
    let mut errors: Vec<u32> = answers.into_iter().map(Result::unwrap_err).collect();
    errors.sort_unstable();
    assert_eq!(errors, (1..=CALLERS as u32).collect::<Vec<_>>());
    let mut loads = vec![0; (begun.elapsed().as_millis() / LOAD.as_millis()) as usize];
    for at in source.begun.lock().unwrap().iter() {
        loads[((*at - begun).as_millis() / LOAD.as_millis()) as usize] += 1;
    }
    assert_eq!(loads[..6], [1, 1, 2, 4, 8, 16], "{loads:?}");
    assert!(loads.len() <= 12, "{loads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_keeps_nobody_waiting_for_longer_than_lease_wait() {
    let (cache, _) = rig();
    let source = Arc::new(Source { fails: u32::MAX, ..Source::default() });
    let slow = || {
        let (cache, source) = (cache.clone(), source.clone());
        tokio::spawn(async move {
            let load = || async {
                tokio::time::sleep(Duration::from_millis(900)).await;
                source.load().await
            };
            cache.get_or_load::<u32, u32, _>("k", load).await
        })
    };
    let begun = Instant::now();
    let calls: Vec<_> = (0..CALLERS).map(|_| slow()).collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    assert!(begun.elapsed() <= LEASE_WAIT + Duration::from_millis(950), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn several_processes_ask_a_source_that_recovers_a_few_times() {
    let (cache, store) = rig();
    let caches = [cache, on(&store), on(&store), on(&store)];
    let begun = Instant::now();
    let (source, answers) = storm(&caches, Source { fails: 3, ..Source::default() }).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 3);
    // The third failure is any process's, and at most two load at once in a process whose loads
    // failed twice.
    assert!(source.loads.load(Ordering::SeqCst) <= 8, "{:?}", source.loads);
    assert!(begun.elapsed() <= LOAD * 8, "they woke each other: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn loads_beside_a_leader_are_few_also_if_they_take_longer_than_its_load() {
    let (cache, _) = rig();
    let source = Arc::new(Source { fails: u32::MAX, ..Source::default() });
    let calls: Vec<_> = (0..CALLERS as u32)
        .map(|number| {
            let (cache, source) = (cache.clone(), source.clone());
            tokio::spawn(async move {
                // Every second caller takes ten times as long.
                let load = || source.load_for(LOAD * (1 + 9 * (number % 2)));
                cache.get_or_load::<u32, u32, _>("k", load).await
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    let at_once = source.at_once_max.load(Ordering::SeqCst);
    assert!(at_once <= FAILED_LOADS_AT_ONCE, "{at_once}");
}

/// It leads, and knows nothing of the loads that have failed; those who follow it do.
#[tokio::test]
async fn a_leader_that_has_just_come_does_not_begin_the_count_anew() {
    let flights = Arc::new(Flights::default());
    let key: Arc<str> = "k".into();
    let lead = || match flights.join(&key, &Streak::default(), None) {
        Role::Lead(leader) => leader,
        _ => panic!("nobody leads"),
    };
    let follow = |streak: &Streak| match flights.join(&key, streak, None) {
        Role::Follow(follower) => follower,
        _ => panic!("somebody leads"),
    };
    let first = lead();
    let mut follower = follow(&Streak::default());
    first.fail();
    let Advice::TakeTurns(streak) = follower.advice().await else { panic!("one failure is no reason to load beside") };
    let newcomer = lead();
    let mut follower = follow(&streak);
    newcomer.fail();
    assert!(matches!(follower.advice().await, Advice::LoadBeside(_)));
}

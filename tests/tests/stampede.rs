//! Many callers of one cold key in several real processes: one load, whatever becomes of who loads.
//!
//! Upper bounds of time are far above what is claimed, for the machine may be busy, and far below what anybody would wait
//! without the rule. Lower bounds are exact. That a push wakes at once is shown where time is paused.

use std::time::{Duration, Instant};

use cache_tests::{Crowd, Done, Raw, Said, Server, ServerOptions, TestStore, each_server, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-crowd");
const PROCESSES: usize = 4;
const CALLERS: usize = 250;
/// The default.
const LEASE: Duration = Duration::from_secs(1);
/// Not renewed while a test runs, so that what the server tracks changes with the value alone.
const LONG_LEASE: Duration = Duration::from_secs(50);
/// Longer than any test: nobody goes on because of it.
const FOREVER: Duration = Duration::from_secs(60);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

async fn crowd(url: &str, lease: Duration, lease_wait: Duration) -> Crowd {
    Crowd::start(PROGRAM, &[], PROCESSES, url, lease, lease_wait).await
}

/// A number in the server's INFO.
async fn info(raw: &mut Raw, section: &str, name: &str) -> u64 {
    let text: String = raw.command("INFO", &[section]).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    let digits: String = line.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Pairs of a key and a client that is to be told when it changes.
async fn tracked(raw: &mut Raw) -> u64 {
    info(raw, "stats", "tracking_total_items:").await
}

async fn calls_of(raw: &mut Raw, command: &str) -> u64 {
    info(raw, "commandstats", &format!("cmdstat_{command}:calls=")).await
}

/// The process whose load has begun, once every other one waits for a push of both keys.
async fn leader_with_waiters(crowd: &mut Crowd, raw: &mut Raw) -> usize {
    let (leader, said) = crowd.next().await;
    assert_eq!(said, Said::Loading);
    let watched = 2 * (PROCESSES as u64 - 1);
    until(async || tracked(raw).await >= watched).await;
    leader
}

fn us(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

fn loads(all: &[Done]) -> usize {
    all.iter().map(|done| done.loads_us.len()).sum()
}

each_server! {
    #![multi_thread]

    async fn a_thousand_callers_in_four_processes_load_once(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url(), LONG_LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        let (gets, scripts) = (calls_of(&mut raw, "get").await, calls_of(&mut raw, "evalsha").await);
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
        // Once the value is there one caller of each process asks for the lease, and the others ask for the value, once.
        let scripts = calls_of(&mut raw, "evalsha").await - scripts;
        assert!(scripts < CALLERS as u64, "{scripts}");
        let gets = calls_of(&mut raw, "get").await - gets;
        // A script reads two keys at most.
        assert!(gets <= ((PROCESSES - 1) * CALLERS) as u64 + 2 * scripts, "{gets}");
        assert_eq!(tracked(&mut raw).await, 0, "the server keeps nothing of it");
    }

    async fn a_killed_leader_has_exactly_one_successor(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        crowd.kill(leader).await;
        let asked = Instant::now();
        let left = Duration::from_millis(raw.ttl_ms("crowd:~lease:k").await.max(0) as u64);
        assert!(left <= LEASE, "{left:?}");
        let (successor, said) = crowd.next().await;
        let waited = asked.elapsed();
        assert_eq!(said, Said::Loading);
        // The server counts in milliseconds.
        assert!(waited + Duration::from_millis(2) >= left && waited < left + SLACK, "{waited:?}, {left:?}");
        // While it loads, the others wait as before: for the lease, two of them, and for the value.
        until(async || tracked(&mut raw).await >= 5).await;
        crowd.order(successor, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES - 1).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
        let loaded_us = all.iter().find_map(|done| done.loads_us.first()).unwrap().1;
        let last_us = all.iter().flat_map(|done| &done.answered_us).max().unwrap();
        assert!(*last_us < loaded_us + us(SLACK), "{all:?}");
    }

    /// It is alive, so it keeps its lease: twice as long as the lease lasts.
    async fn a_load_that_hangs_keeps_others_for_their_limit_and_no_longer(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (lease, limit) = (Duration::from_secs(2), Duration::from_secs(4));
        let mut crowd = crowd(&server.url(), lease, limit).await;
        crowd.order_all("call 10 k").await;
        let (leader, said) = crowd.next().await;
        assert_eq!(said, Said::Loading);
        let mut all = Vec::new();
        while all.len() < PROCESSES - 1 {
            match crowd.next().await {
                // Its own callers go on as well, and never come back either.
                (process, said) if process == leader => assert_eq!(said, Said::Loading),
                (process, Said::Loading) => crowd.order(process, "ok").await,
                (_, Said::Done(done)) => all.push(done),
                (_, Said::Ready | Said::Loaded(_)) => {}
            }
        }
        assert!(all.iter().all(|done| done.served == 10), "{all:?}");
        assert!(loads(&all) > 0);
        for done in &all {
            let begun = |load: &(u64, u64)| load.0 - done.begun_us;
            assert!(done.loads_us.iter().map(begun).all(|after| after >= us(limit)), "{done:?}");
            assert!(done.answered_us.iter().all(|at| at - done.begun_us < us(limit + SLACK)), "{done:?}");
        }
    }

    async fn a_source_that_is_down_is_asked_by_a_few_at_a_time(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all(&format!("storm {CALLERS} k")).await;
        let (_, all) = crowd.until_done(PROCESSES).await;
        assert!(all.iter().all(|done| done.failed == CALLERS), "an error is its caller's own: {all:?}");
        // The library's FAILED_LOADS_AT_ONCE.
        let at_once: Vec<usize> = all.chunks(1).map(Done::loads_at_once_max).collect();
        assert!(at_once.iter().all(|at_once| *at_once <= 16), "{at_once:?}");
        // One process has the lease; in the others all but the leader's may load beside it.
        let at_once = Done::loads_at_once_max(&all);
        assert!(at_once <= 1 + 15 * PROCESSES, "{at_once}");
    }

    async fn without_the_permission_to_track_callers_poll(store: TestStore) {
        let rules = "user quiet on nopass ~* &* +@all -client|tracking";
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line(rules));
        let mut crowd = crowd(&server.url().replace("redis://", "redis://quiet:x@"), LONG_LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let (leader, said) = crowd.next().await;
        assert_eq!(said, Said::Loading);
        let mut raw = server.raw().await;
        until(async || calls_of(&mut raw, "evalsha").await >= 20).await;
        assert_eq!(tracked(&mut raw).await, 0);
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
    }

    async fn callers_whose_connections_are_killed_look_again_and_wait_on(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url(), LONG_LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        // One that has stood for two seconds is replaced at once; after one that falls right away calls go on without the store.
        until(async || ages(&mut raw).await.into_iter().all(|seconds| seconds >= 4)).await;
        let looks = calls_of(&mut raw, "exists").await;
        let killed: u64 = raw.command("CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        assert!(killed >= PROCESSES as u64, "{killed}");
        until(async || calls_of(&mut raw, "exists").await >= looks + PROCESSES as u64 - 1).await;
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
    }
}

/// Of the library's connections.
async fn ages(raw: &mut Raw) -> Vec<u64> {
    let list: String = raw.command("CLIENT", &["LIST"]).await;
    let ours = list.lines().filter(|line| line.contains("name=cache-core"));
    ours.map(|line| line.split(' ').find_map(|field| field.strip_prefix("age=")).unwrap().parse().unwrap()).collect()
}

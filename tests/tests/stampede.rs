//! Many callers of one cold key in several real processes: one load, whatever
//! becomes of the process that loads.
//!
//! Lower bounds of time are exact. The one upper bound is the test's deadline: without the
//! rule nobody's wait would end before it. That a push wakes at once is shown in
//! `cache-core`, where time is paused.

use std::time::{Duration, Instant};

use cache_tests::{Crowd, FOREVER, Message, Raw, Server, ServerOptions, Tally, TestStore, each_server, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-crowd");
const PROCESSES: usize = 4;
const CALLERS: usize = 250;

/// Its leases are not renewed while a test runs, so what the server
/// tracks changes with the value alone.
async fn crowd(url: &str) -> Crowd {
    Crowd::start(PROGRAM, &[], PROCESSES, url, FOREVER, FOREVER).await
}

/// Pairs of a key and a client that is to be told when it changes.
async fn tracked(raw: &mut Raw) -> u64 {
    raw.info("stats", "tracking_total_items").await
}

/// The process whose load has begun, once every other process waits for a push:
/// of the value, and of the lease.
async fn leader_with_waiters(crowd: &mut Crowd, raw: &mut Raw) -> usize {
    let (leader, message) = crowd.next().await;
    assert_eq!(message, Message::Loading);
    let watched = 2 * (PROCESSES as u64 - 1);
    until(async || tracked(raw).await >= watched).await;
    leader
}

fn loads(all: &[Tally]) -> usize {
    all.iter().map(|done| done.loads_us.len()).sum()
}

each_server! {
    #![multi_thread]

    async fn a_thousand_callers_in_four_processes_load_once(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url()).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        let (gets, scripts) = (raw.calls_of("get").await, raw.calls_of("evalsha").await);
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
        // Once the value is stored, one caller of each process asks for the lease, and
        // each of the others for the value.
        let scripts = raw.calls_of("evalsha").await - scripts;
        assert!(scripts < CALLERS as u64, "{scripts}");
        let gets = raw.calls_of("get").await - gets;
        // The statistics count the GETs inside scripts, too: two in a script at most.
        assert!(gets <= ((PROCESSES - 1) * CALLERS) as u64 + 2 * scripts, "{gets}");
        assert_eq!(tracked(&mut raw).await, 0, "the server keeps nothing of it");
    }

    async fn a_killed_leader_has_exactly_one_successor(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url()).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        crowd.kill(leader).await;
        // As if its last renewal had been a while ago.
        let killed = Instant::now();
        raw.command::<()>("PEXPIRE", &["crowd:~lease:k", "1500"]).await;
        let (successor, message) = crowd.next().await;
        assert_eq!(message, Message::Loading);
        // The server counts in whole milliseconds.
        assert!(killed.elapsed() >= Duration::from_millis(1_498), "{:?}", killed.elapsed());
        // While it loads, the two others wait again for the lease and the value. The successor's
        // wait for the value is still registered: the value has not changed.
        until(async || tracked(&mut raw).await >= 5).await;
        crowd.order(successor, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES - 1).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
    }

    /// A living leader keeps its lease by renewing it: here for twice as long as the lease lasts.
    /// It may be late by two thirds of a lease, which is seconds.
    async fn a_load_that_hangs_keeps_others_for_their_limit_and_no_longer(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (lease, limit) = (Duration::from_secs(4), Duration::from_secs(8));
        let mut crowd = Crowd::start(PROGRAM, &[], PROCESSES, &server.url(), lease, limit).await;
        crowd.order_all("call 10 k").await;
        let (leader, message) = crowd.next().await;
        assert_eq!(message, Message::Loading);
        let mut all = Vec::new();
        while all.len() < PROCESSES - 1 {
            match crowd.next().await {
                // Its own callers go on as well. Their loads hang, too.
                (process, message) if process == leader => assert_eq!(message, Message::Loading),
                (process, Message::Loading) => crowd.order(process, "ok").await,
                (_, Message::Done(done)) => all.push(done),
                (_, Message::Ready | Message::Loaded(_)) => {}
            }
        }
        assert!(all.iter().all(|done| done.served == 10), "{all:?}");
        assert!(loads(&all) > 0);
        for done in &all {
            let waited_us = |load: &(u64, u64)| load.0 - done.begun_us;
            assert!(done.loads_us.iter().map(waited_us).all(|us| us >= limit.as_micros() as u64), "{done:?}");
        }
    }

    async fn a_source_that_is_down_is_asked_by_a_few_at_a_time(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url()).await;
        crowd.order_all(&format!("storm {CALLERS} k")).await;
        let (_, all) = crowd.until_done(PROCESSES).await;
        assert!(all.iter().all(|done| done.failed == CALLERS), "an error is its caller's own: {all:?}");
        // At most 16 in one process: `FAILED_LOADS_AT_ONCE`.
        let at_once: Vec<usize> = all.chunks(1).map(Tally::loads_at_once_max).collect();
        assert!(at_once.iter().all(|at_once| *at_once <= 16), "{at_once:?}");
        // The leader of one process has the lease. The leaders of the others wait for it;
        // 15 callers may load beside each.
        let at_once = Tally::loads_at_once_max(&all);
        assert!(at_once <= 1 + 15 * PROCESSES, "{at_once}");
    }

    async fn without_the_permission_to_track_callers_poll(store: TestStore) {
        let rules = "user quiet on nopass ~* &* +@all -client|tracking";
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line(rules));
        let mut crowd = crowd(&server.url().replace("redis://", "redis://quiet:x@")).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let (leader, message) = crowd.next().await;
        assert_eq!(message, Message::Loading);
        let mut raw = server.raw().await;
        until(async || raw.calls_of("evalsha").await >= 20).await;
        assert_eq!(tracked(&mut raw).await, 0);
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!((more_loads, loads(&all)), (0, 1));
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
    }

    async fn callers_whose_connections_are_killed_look_again_and_wait_on(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut raw = server.raw().await;
        let mut crowd = crowd(&server.url()).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &mut raw).await;
        // A connection that has stood for two seconds is replaced at once. While one that fell
        // sooner is not yet tried again, calls go on without the store.
        until(async || ages(&mut raw).await.into_iter().all(|seconds| seconds >= 4)).await;
        let looks = raw.calls_of("exists").await;
        let killed: u64 = raw.command("CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        assert!(killed >= PROCESSES as u64, "{killed}");
        until(async || raw.calls_of("exists").await >= looks + PROCESSES as u64 - 1).await;
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

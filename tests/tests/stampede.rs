//! Many callers of one cold key in several real processes: one load, whatever becomes of who loads.

use std::time::{Duration, Instant};

use cache_tests::{Crowd, Raw, Said, Server, ServerOptions, TestStore, each_server, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-crowd");
const PROCESSES: usize = 4;
const CALLERS: usize = 250;
/// The default.
const LEASE: Duration = Duration::from_secs(1);
/// Longer than any test: nobody goes on because of it.
const FOREVER: Duration = Duration::from_secs(60);

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

/// The process whose load has begun, once every other one waits for a push of both keys.
async fn leader_with_waiters(crowd: &mut Crowd, server: &Server) -> usize {
    let (leader, said) = crowd.next().await;
    assert_eq!(said, Said::Loading);
    let mut raw = server.raw().await;
    let watched = 2 * (PROCESSES as u64 - 1);
    until(async || info(&mut raw, "stats", "tracking_total_items:").await >= watched).await;
    leader
}

each_server! {
    #![multi_thread]

    async fn a_thousand_callers_in_four_processes_load_once(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &server).await;
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!(more_loads, 0);
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
    }

    async fn a_killed_leader_has_exactly_one_successor(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all(&format!("call {CALLERS} k")).await;
        let leader = leader_with_waiters(&mut crowd, &server).await;
        crowd.kill(leader).await;
        let killed = Instant::now();
        let (loads, all) = crowd.until_done(PROCESSES - 1).await;
        assert_eq!(loads, 1);
        assert!(all.iter().all(|done| done.served == CALLERS), "{all:?}");
        // The lease, and what a busy machine adds; far less than anybody would wait by themselves.
        assert!(killed.elapsed() < LEASE * 5, "{:?}", killed.elapsed());
    }

    async fn a_load_that_hangs_keeps_others_no_longer_than_their_limit(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let limit = Duration::from_millis(500);
        let mut crowd = crowd(&server.url(), limit, limit).await;
        crowd.order_all("call 10 k").await;
        let (leader, said) = crowd.next().await;
        assert_eq!(said, Said::Loading);
        // It renews its lease and is never told to go on.
        let (loads, all) = crowd.until_done(PROCESSES - 1).await;
        assert!(loads >= PROCESSES - 1, "{loads}");
        assert!(all.iter().all(|done| done.served == 10), "{all:?}");
        let waited = all.iter().flat_map(|done| done.answered_us.iter().map(|at| at - done.begun_us)).max().unwrap();
        assert!(waited < 10 * limit.as_micros() as u64, "{waited} µs");
        crowd.order(leader, "ok").await;
    }

    async fn a_source_that_is_down_is_asked_by_a_few_at_a_time(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all("storm 60 k").await;
        let (_, all) = crowd.until_done(PROCESSES).await;
        assert!(all.iter().all(|done| done.failed == 60), "an error is its caller's own: {all:?}");
        // The library's FAILED_LOADS_AT_ONCE.
        assert!(all.iter().all(|done| done.loads_at_once_max <= 16), "{all:?}");
    }

    async fn without_the_permission_to_track_callers_poll(store: TestStore) {
        let rules = "user quiet on nopass ~* &* +@all -client|tracking";
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().line(rules));
        let mut crowd = crowd(&server.url().replace("redis://", "redis://quiet:x@"), LEASE, FOREVER).await;
        crowd.order_all("call 10 k").await;
        let (leader, said) = crowd.next().await;
        assert_eq!(said, Said::Loading);
        let mut raw = server.raw().await;
        until(async || info(&mut raw, "commandstats", "cmdstat_evalsha:calls=").await >= 20).await;
        assert_eq!(info(&mut raw, "stats", "tracking_total_items:").await, 0);
        crowd.order(leader, "ok").await;
        let (more_loads, all) = crowd.until_done(PROCESSES).await;
        assert_eq!(more_loads, 0);
        assert!(all.iter().all(|done| done.served == 10), "{all:?}");
    }

    async fn callers_whose_connections_are_killed_are_served(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut crowd = crowd(&server.url(), LEASE, FOREVER).await;
        crowd.order_all("call 10 k").await;
        let leader = leader_with_waiters(&mut crowd, &server).await;
        let mut raw = server.raw().await;
        let killed: u64 = raw.command("CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        assert!(killed >= PROCESSES as u64, "{killed}");
        crowd.order(leader, "ok").await;
        let (_, all) = crowd.until_done(PROCESSES).await;
        assert!(all.iter().all(|done| done.served == 10), "{all:?}");
    }
}

//! A call depends on the runtime that polls it, and on no other.

use super::fake::Door;
use super::*;
use crate::config::RUNTIMES_MAX;

const LONG: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn runtimes_that_follow_each_other_have_connections_of_their_own() {
    let fake = Fake::new();
    let pool = pool(&fake);
    for round in 1..=3 {
        assert_eq!(runtime().block_on(get(&pool, "k")).unwrap(), "k");
        assert_eq!(fake.dials(), round);
    }
}

#[test]
fn a_runtime_that_stands_still_costs_another_nothing() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let still = runtime();
    still.block_on(pool.ready(LONG)).unwrap();
    runtime().block_on(async {
        assert_eq!(get(&pool, "k").await.unwrap(), "k", "at the first try");
        assert_eq!(fake.dials(), 2);
    });
    assert!(!pool.breaker_is_open());
    assert_eq!(still.block_on(get(&pool, "k")).unwrap(), "k");
    assert_eq!(fake.dials(), 2, "it kept its connection");
}

#[test]
fn a_runtime_that_ends_costs_another_nothing() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let first = runtime();
    first.block_on(get(&pool, "k")).unwrap();
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET slow", Answer::EchoAfter(allowed.clone()));
    runtime().block_on(async {
        let end = async {
            while fake.seen("GET slow").is_empty() {
                tokio::task::yield_now().await;
            }
            first.shutdown_background();
            allowed.notify_one();
        };
        let (outcome, ()) = tokio::join!(get(&pool, "slow"), end);
        assert_eq!(outcome.unwrap(), "slow");
    });
    assert_eq!((fake.seen("GET slow").len(), fake.dials()), (1, 2), "nothing was repeated");
}

#[test]
fn a_runtime_that_stands_still_in_a_handshake_holds_nobody_up() {
    let fake = Fake::new();
    let entered = Arc::new(AtomicUsize::new(0));
    let counted = entered.clone();
    let hook: MeetingHook = Box::new(move |_| {
        let stands_still = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move { if stands_still { std::future::pending().await } else { Ok(Inheritance::Whole) } })
    });
    let pool = pool_with(&fake, &config(1), hook);
    let still = runtime();
    still.block_on(async {
        get(&pool, "k").await.unwrap();
        fake.become_primary("b");
        fake.on("GET cut", Answer::Cut(Vec::new()));
        get(&pool, "cut").await.unwrap_err();
        while entered.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    });
    runtime().block_on(pool.ready(LONG)).unwrap();
}

#[test]
fn runtimes_that_have_ended_make_room_for_others() {
    let fake = Fake::new();
    let pool = pool(&fake);
    for _ in 0..RUNTIMES_MAX + 10 {
        runtime().block_on(get(&pool, "k")).unwrap();
    }
    // The first runtime keeps its place after its end: the place is read without a lock.
    let standing: Vec<_> = (1..RUNTIMES_MAX).map(|_| runtime()).collect();
    for runtime in &standing {
        runtime.block_on(get(&pool, "k")).unwrap();
    }
    let error = runtime().block_on(get(&pool, "k")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!pool.breaker_is_open());
    assert_eq!(standing[0].block_on(get(&pool, "k")).unwrap(), "k");
}

#[test]
fn a_supervisor_that_is_stuck_behind_a_blocked_thread_is_replaced() {
    let fake = Fake::new();
    fake.set_door(Door::BlocksTheFirst);
    let config = Config { connect_timeout: Duration::from_millis(1), breaker_failures: u32::MAX, ..config(1) };
    let pool = pool_with(&fake, &config, finding_all());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { while get(&pool, "k").await.is_err() {} });
    assert_eq!(fake.dials(), 2);
    fake.set_door(Door::Open);
}

#[test]
fn health_looks_at_the_runtime_that_asks() {
    let fake = Fake::new();
    let pool = pool(&fake);
    assert!(!pool.is_connected(), "outside a runtime nothing is begun");
    assert_eq!(fake.dials(), 0);
    let still = runtime();
    still.block_on(pool.ready(LONG)).unwrap();
    assert!(pool.is_connected());
    runtime().block_on(async {
        assert!(!pool.is_connected());
        pool.ready(LONG).await.unwrap();
        assert!(pool.is_connected());
    });
}

#[test]
fn a_runtime_that_cannot_keep_a_connection_is_told_so_and_makes_no_attempt() {
    for (timers, io, expected) in [(false, false, "no timers"), (false, true, "no timers"), (true, false, "no I/O")] {
        let fake = Fake::new();
        let pool = pool(&fake);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if timers {
            builder.enable_time();
        }
        if io {
            builder.enable_io();
        }
        let unfit = builder.build().unwrap();
        unfit.block_on(async {
            for outcome in [get(&pool, "k").await.map(drop), pool.ready(LONG).await] {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.to_string().contains(expected), "{error}");
            }
            assert!(pool.register(StripeKey::new("k"), "value", "lease", in_time()).await.is_none());
            assert!(!pool.is_connected());
        });
        assert_eq!((fake.dials(), pool.breaker_is_open()), (0, false));
        assert_eq!(runtime().block_on(get(&pool, "k")).unwrap(), "k", "another one is no worse for it");
    }
}

//! Ready means that the server answers now. An outage also ends where nobody calls.

use super::fake::Door;
use super::*;
use crate::config::{
    BREAKER_FAILURES, BREAKER_PROBE_DELAY_MAX, CONNECT_TIMEOUT, PRIMARY_ASK_INTERVAL, RECONNECT_DELAY_MAX,
    UNANSWERED_CALLS_MAX,
};

const SECOND: Duration = Duration::from_secs(1);

/// A pool whose breaker is open, and whose only connection is open.
async fn open_breaker(fake: &Arc<Fake>) -> Pool {
    let config = Config { breaker_failures: 1, ..config(1) };
    let pool = pool_with(fake, &config, finding_all());
    pool.ready(SECOND).await.unwrap();
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET slow", Answer::EchoAfter(allowed.clone()));
    get(&pool, "slow").await.unwrap_err();
    allowed.notify_one();
    assert!(pool.breaker_is_open());
    pool
}

#[tokio::test(start_paused = true)]
async fn ready_asks_once_on_connections_that_stand() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &config(4), finding_all());
    for asked in 1..=3 {
        pool.ready(SECOND).await.unwrap();
        assert_eq!((fake.dials(), fake.asked()), (4, asked), "beside four handshakes, one for each time");
    }
    fake.on("HELLO", Answer::Stall);
    let (outcome, took) = timed(pool.ready(SECOND / 2)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), took), (ErrorKind::Unavailable, SECOND / 2));
    assert!(error.to_string().contains("did not answer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_an_answer_and_tries_ever_more_rarely() {
    let fake = Fake::new();
    let pool = pool(&fake);
    pool.ready(SECOND).await.unwrap();
    fake.on("HELLO", Answer::raw("-LOADING private\r\n"));
    let healed = 20 * SECOND;
    let (((), took), ()) = tokio::join!(timed(async { pool.ready(60 * SECOND).await.unwrap() }), async {
        tokio::time::sleep(healed).await;
        fake.set_role("master");
    });
    assert!((healed..=healed + RECONNECT_DELAY_MAX).contains(&took), "ready after {took:?}");
    // Some ninety, and chance decides. Tries that did not grow rarer would be 400.
    let asked = fake.asked();
    assert!((10..200).contains(&asked), "{asked} tries");
}

#[tokio::test(start_paused = true)]
async fn ready_takes_any_word_of_the_server_for_an_answer() {
    let fake = Fake::new();
    let pool = pool(&fake);
    pool.ready(SECOND).await.unwrap();
    fake.on("HELLO", Answer::raw("-NOPERM private\r\n"));
    pool.ready(SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ready_replaces_a_connection_that_is_silent() {
    let fake = Fake::new();
    let pool = pool(&fake);
    pool.ready(SECOND).await.unwrap();
    fake.go_silent();
    pool.ready(60 * SECOND).await.unwrap();
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn ready_closes_the_breaker() {
    let fake = Fake::new();
    let pool = open_breaker(&fake).await;
    let ((), took) = timed(async { pool.ready(SECOND).await.unwrap() }).await;
    assert_eq!((took, pool.breaker_is_open()), (Duration::ZERO, false), "before any probe is due");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_closes_without_calls_over_a_connection_that_stood() {
    let fake = Fake::new();
    let pool = open_breaker(&fake).await;
    tokio::time::sleep(BREAKER_PROBE_DELAY_MAX + PRIMARY_ASK_INTERVAL).await;
    assert_eq!((pool.breaker_is_open(), fake.dials()), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_closes_without_calls_over_a_new_connection() {
    let fake = Fake::new();
    fake.set_door(Door::Refuse);
    let pool = pool(&fake);
    for _ in 0..BREAKER_FAILURES {
        get(&pool, "k").await.unwrap_err();
    }
    assert!(pool.breaker_is_open());
    fake.set_door(Door::Open);
    // Not at the next interval, and not when a caller's probe would be due.
    tokio::time::sleep(SECOND).await;
    assert!(!pool.breaker_is_open());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_stays_open_while_probes_are_not_answered() {
    for answer in [Answer::raw("-LOADING private\r\n"), Answer::Stall] {
        let fake = Fake::new();
        let pool = open_breaker(&fake).await;
        fake.on("HELLO", answer);
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            assert!(pool.breaker_is_open());
        }
        fake.set_role("master");
        tokio::time::sleep(BREAKER_PROBE_DELAY_MAX + RECONNECT_DELAY_MAX + CONNECT_TIMEOUT).await;
        assert!(!pool.breaker_is_open());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_has_no_more_time_than_a_call() {
    let fake = Fake::new();
    let pool = open_breaker(&fake).await;
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("HELLO", Answer::EchoAfter(allowed.clone()));
    let asked = fake.asked();
    while fake.asked() == asked {
        tokio::time::sleep(DEADLINE / 10).await;
    }
    tokio::time::sleep(DEADLINE * 2).await;
    allowed.notify_one();
    tokio::time::sleep(DEADLINE / 10).await;
    assert!(pool.breaker_is_open());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_given_up_is_replaced_without_a_call() {
    let fake = Fake::new();
    let pool = pool(&fake);
    fake.on("GET stuck", Answer::Stall);
    for _ in 0..UNANSWERED_CALLS_MAX {
        get(&pool, "stuck").await.unwrap_err();
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_connects_when_it_is_looked_at() {
    let fake = Fake::new();
    fake.set_door(Door::Refuse);
    let pool = pool(&fake);
    for _ in 0..10 {
        assert!(!pool.is_connected());
        tokio::time::sleep(SECOND).await;
    }
    fake.set_door(Door::Open);
    tokio::time::sleep(RECONNECT_DELAY_MAX).await;
    assert!(pool.is_connected());
    fake.set_door(Door::Refuse);
    fake.on("GET cut", Answer::Cut(Vec::new()));
    get(&pool, "cut").await.unwrap_err();
    tokio::time::sleep(RECONNECT_DELAY_MAX).await;
    assert!(!pool.is_connected());
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_a_primary() {
    let fake = Fake::new();
    let pool = pool(&fake);
    pool.ready(SECOND).await.unwrap();
    fake.set_role("replica");
    let error = pool.ready(SECOND / 4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("replica"), "{error}");
}

//! A server that was a primary when the connection was made need not be one now.

use super::*;
use crate::config::{PRIMARY_ASK_INTERVAL, PRIMARY_TRUST};

const LONG: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);

async fn ready(fake: &Arc<Fake>, connections: usize) -> Pool {
    let pool = pool_with(fake, &config(connections), finding_all());
    pool.ready(LONG).await.unwrap();
    pool
}

#[tokio::test(start_paused = true)]
async fn a_demoted_primary_serves_no_call_that_begins_after_its_trust() {
    let fake = Fake::new();
    let pool = ready(&fake, 4).await;
    // With calls on one connection and without them on the others.
    for _ in 0..100 {
        get(&pool, "k").await.unwrap();
        tokio::time::sleep(TICK).await;
    }
    fake.set_role("replica");
    let demoted_at = Instant::now();
    let mut last_served = Duration::ZERO;
    while demoted_at.elapsed() < LONG {
        let (began, key) = (demoted_at.elapsed(), fastrand::u8(..).to_string());
        if get(&pool, &key).await.is_ok() {
            last_served = began;
        }
        tokio::time::sleep(TICK * 10).await;
    }
    assert!(last_served <= PRIMARY_TRUST, "served {last_served:?} later");
    assert!(!pool.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_asks_before_it_serves() {
    for (role, served) in [("replica", false), ("master", true)] {
        let fake = Fake::new();
        let pool = ready(&fake, 1).await;
        fake.set_role(role);
        // The call runs first, so the supervisor has had no time to ask.
        let standing_still = tokio::time::advance(PRIMARY_TRUST + TICK);
        let ((), outcome) = tokio::join!(biased; standing_still, get(&pool, "k"));
        assert_eq!(outcome.is_ok(), served, "{role}");
        tokio::time::sleep(TICK).await;
        assert_eq!(pool.is_connected(), served, "it is left, or kept");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nonsense_has_not_said_that_it_is_a_primary() {
    for nonsense in ["+OK\r\n", "-ERR private\r\n", "-BUSY private\r\n", "%1\r\n+role\r\n:1\r\n", "_\r\n"] {
        let fake = Fake::new();
        let pool = ready(&fake, 1).await;
        fake.on("HELLO", Answer::raw(nonsense));
        tokio::time::sleep(2 * PRIMARY_TRUST).await;
        check_discreet(&get(&pool, "k").await.expect_err(nonsense));
        fake.set_role("master");
        assert_eq!(get(&pool, "k").await.unwrap(), "k", "{nonsense}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_asks_for_all() {
    let fake = Fake::new();
    let pool = ready(&fake, 4).await;
    let before = fake.asked();
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        get(&pool, &fastrand::u8(..).to_string()).await.unwrap();
        tokio::time::sleep(TICK * 20).await;
    }
    let (asked, intervals) = (fake.asked() - before, LONG.div_duration_f64(PRIMARY_ASK_INTERVAL) as usize);
    assert!((intervals / 2..=intervals).contains(&asked), "{asked} questions in {intervals} intervals");
}

#[tokio::test(start_paused = true)]
async fn calls_that_doubt_wait_no_longer_than_others() {
    let fake = Fake::new();
    let pool = ready(&fake, 1).await;
    fake.on("HELLO", Answer::Stall);
    let standing_still = tokio::time::advance(PRIMARY_TRUST + TICK);
    let ((), (outcome, took)) = tokio::join!(biased; standing_still, timed(get(&pool, "k")));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(took, DEADLINE);
}

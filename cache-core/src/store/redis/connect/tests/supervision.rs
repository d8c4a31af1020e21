//! Connections that end or fall silent are replaced.

use tokio::sync::watch;

use super::fake::Door;
use super::*;
use crate::config::{
    ANSWER_TIMEOUT, PRIMARY_ASK_INTERVAL, RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, SILENCE_MAX, UNANSWERED_CALLS_MAX,
};
use crate::store::redis::connect::fault::Fault;
use crate::store::redis::connect::route::{Dial, Route};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_server_that_appears_later_is_found() {
    let fake = Fake::new();
    fake.set_door(Door::Refuse);
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap_err();
    tokio::time::sleep(LONG).await;
    let dials = fake.dials();
    let expected = (LONG.as_secs() / RECONNECT_DELAY_MAX.as_secs()) as usize;
    assert!((expected..10 * expected).contains(&dials), "{dials} attempts in {LONG:?}");
    fake.set_door(Door::Open);
    let ((), took) = timed(async { pool.ready(LONG).await.unwrap() }).await;
    assert!(took <= RECONNECT_DELAY_MAX, "found after {took:?}");
    get(&pool, "k").await.unwrap();
}

/// The way to the first server, and to the second one when that has its place.
fn way_to_either(first: &Arc<Fake>, second: &Arc<Fake>, place: &watch::Sender<usize>) -> Dial {
    let (dials, place) = ([first.dial(), second.dial()], place.clone());
    Box::new(move || {
        let (at, mut place) = (*place.borrow(), place.subscribe());
        let way = dials[at]();
        Box::pin(async move {
            let stream = Box::pin(async move { way.await?.stream.await });
            let outdated = Box::pin(async move {
                drop(place.wait_for(|now| *now != at).await);
                Fault::unavailable("another server has its place")
            });
            Ok(Route { stream, outdated })
        })
    })
}

/// ★ Else the wait between two attempts, which an outage makes longer and longer, comes on top of
/// the time that it took to find another server.
#[tokio::test(start_paused = true)]
async fn whoever_tells_of_another_server_ends_the_wait_for_the_first_one() {
    for door in [Door::Refuse, Door::Lost] {
        for further in 0..20 {
            let (first, second, place) = (Fake::new(), Fake::new(), watch::Sender::new(0));
            first.set_door(door);
            let target = ServerUrl::parse("redis-sentinel://fake.test/main").unwrap();
            let hooks = Hooks {
                on_connection: doing_nothing(),
                on_new_primary: finding_all(),
                on_loss: Box::new(|_| ()),
                on_change: Box::new(|_| ()),
            };
            let making = making(Logins::of(&target, None).unwrap(), &config(1), hooks);
            let pool = Pool::of_server(target, way_to_either(&first, &second, &place), &making);
            get(&pool, "k").await.unwrap_err();
            tokio::time::sleep(LONG + further * RECONNECT_DELAY_MIN).await;
            place.send_replace(1);
            let ((), took) = timed(async { pool.ready(LONG).await.unwrap() }).await;
            assert!(took <= 2 * RECONNECT_DELAY_MIN, "found after {took:?}");
            assert_eq!(get(&pool, "k").await.unwrap(), "k");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_anywhere_in_a_reply_is_replaced() {
    let reply = b"*2\r\n$3\r\nabc\r\n:1\r\n";
    for sent in 0..reply.len() {
        let fake = Fake::new();
        let pool = pool(&fake);
        fake.on("GET cut", Answer::Cut(reply[..sent].to_vec()));
        let error = get(&pool, "cut").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "after {sent} bytes: {error}");
        pool.ready(LONG).await.unwrap();
        assert_eq!(get(&pool, "k").await.unwrap(), "k");
        assert_eq!(fake.dials(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_talks_nonsense_is_replaced() {
    for nonsense in ["nonsense\r\n", ":12a\r\n", "$x\r\n", "*1\r\n#maybe\r\n", "\0\0\0\0"] {
        let fake = Fake::new();
        let pool = pool(&fake);
        fake.on("GET bad", Answer::raw(nonsense));
        let error = get(&pool, "bad").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{nonsense:?}: {error}");
        pool.ready(LONG).await.unwrap();
        assert_eq!(get(&pool, "k").await.unwrap(), "k");
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_that_nobody_can_mean_cost_one_call() {
    for length in ["*2147483647\r\n", "$9223372036854775807\r\n", "%4611686018427387904\r\n", "*-7\r\n"] {
        let fake = Fake::new();
        let pool = pool(&fake);
        get(&pool, "k").await.unwrap();
        tokio::time::sleep(LONG).await;
        fake.on("GET bad", Answer::Cut(length.as_bytes().to_vec()));
        drop(get(&pool, "bad").await);
        pool.ready(LONG).await.unwrap();
        assert_eq!(get(&pool, "k").await.unwrap(), "k");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_lived_connection_that_is_lost_is_replaced_without_a_failed_call() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    tokio::time::sleep(LONG).await;
    fake.on("GET cut", Answer::Cut(Vec::new()));
    get(&pool, "cut").await.unwrap_err();
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_without_answers_get_the_connection_replaced() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.on("GET stuck", Answer::Stall);
    for _ in 0..UNANSWERED_CALLS_MAX {
        assert_eq!(get(&pool, "stuck").await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_given_up_is_closed_and_wakes_everyone() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let watch = pool.register(StripeKey::new("k"), "value", "lease", in_time()).await.unwrap();
    pool.track(StripeKey::new("k"), Command::new("EXISTS"), in_time()).await.unwrap();
    fake.go_silent();
    for _ in 0..UNANSWERED_CALLS_MAX {
        get(&pool, "stuck").await.unwrap_err();
    }
    let changed = tokio::time::timeout(DEADLINE, watch.changed()).await;
    assert_eq!(changed.unwrap(), crate::store::Change::Unknown);
    fake.closed(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_connection_others_gave_up_is_sent_on_the_next() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.go_silent();
    let late = async {
        for _ in 1..UNANSWERED_CALLS_MAX {
            get(&pool, "stuck").await.unwrap_err();
        }
        // The call that is the last straw began before this one, which has half of its time left
        // then.
        let last = async { get(&pool, "stuck").await.unwrap_err() };
        let late = async {
            tokio::time::sleep(DEADLINE / 2).await;
            get(&pool, "late").await
        };
        tokio::join!(last, late).1
    };
    assert_eq!(late.await.unwrap(), "late");
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_not_blamed_for_the_silence_of_the_last() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.on("GET stuck", Answer::Stall);
    for _ in 1..UNANSWERED_CALLS_MAX {
        get(&pool, "stuck").await.unwrap_err();
    }
    fake.go_silent();
    fake.closed(1).await;
    tokio::time::sleep(LONG).await;
    let dials = fake.dials();
    get(&pool, "stuck").await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.dials(), dials, "one call without an answer does not cost it");
}

#[tokio::test(start_paused = true)]
async fn many_calls_in_one_slow_moment_do_not_cost_the_connection() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &Config { breaker_failures: 100, ..config(1) }, finding_all());
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET slow", Answer::EchoAfter(allowed.clone()));
    let call = || async { get(&pool, "slow").await.unwrap_err().kind() };
    let kinds: [ErrorKind; 4] = tokio::join!(call(), call(), call(), call()).into();
    assert_eq!(kinds, [ErrorKind::Timeout; 4]);
    fake.on("GET slow", Answer::Echo);
    allowed.notify_one();
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
    assert_eq!(fake.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_half_open_connection_is_replaced() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.go_silent();
    let ((), took) = timed(fake.closed(1)).await;
    assert!(took <= SILENCE_MAX + PRIMARY_ASK_INTERVAL + ANSWER_TIMEOUT, "noticed after {took:?}");
    pool.ready(LONG).await.unwrap();
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_is_kept() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &config(4), finding_all());
    pool.ready(LONG).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!(fake.dials(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_became_a_replica_is_left() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.on("GET", Answer::raw("-READONLY private\r\n"));
    let error = get(&pool, "k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    fake.on("GET", Answer::Echo);
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
    assert_eq!(fake.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_connection_and_keys_are_spread() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &config(4), finding_all());
    for round in 0..3 {
        for key in 0..64 {
            get(&pool, &format!("k{key}")).await.unwrap();
        }
        assert_eq!(fake.dials(), 4, "round {round}");
    }
    let mut used: Vec<_> = fake.seen("GET");
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 64, "every key on one connection");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_pool_closes_its_connections() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &config(2), finding_all());
    pool.ready(LONG).await.unwrap();
    drop(pool);
    fake.closed(2).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(fake.dials(), 2);
}

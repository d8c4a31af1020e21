//! What one call sees: its deadline, its own reply, and errors that act and tell as they should.

use super::fake::Door;
use super::*;
use crate::config::{BREAKER_FAILURES, LARGE_CALLS_MAX, LARGE_VALUE_BYTES_MIN, RECONNECT_DELAY_MAX};
use crate::name::Name;
use crate::store::redis::{RedisStore, layout::Layout};
use crate::store::{
    ClockReading, Fill, IfPresent, Intent, LeaseRequest, Look, Recall, Store, StoreLoss, SweepScope, Token,
};
use bytes::Bytes;

#[tokio::test(start_paused = true)]
async fn replies_belong_to_their_calls() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let (a, b, c) = tokio::join!(get(&pool, "a"), get(&pool, "b"), get(&pool, "c"));
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str(), c.unwrap().as_str()), ("a", "b", "c"));
    assert_eq!(fake.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_not_given_to_another_call() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET late", Answer::EchoAfter(allowed.clone()));
    let (late, took) = timed(get(&pool, "late")).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(took, DEADLINE);
    let (next, ()) = tokio::join!(get(&pool, "next"), async { allowed.notify_one() });
    assert_eq!(next.unwrap(), "next");
    assert_eq!(fake.dials(), 1, "one call without an answer does not cost the connection");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_others_in_order() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET dropped", Answer::EchoAfter(allowed.clone()));
    let mut dropped = Box::pin(get(&pool, "dropped"));
    let (next, ()) = tokio::join!(get(&pool, "next"), async {
        tokio::select! {
            biased;
            _ = &mut dropped => panic!("not answered yet"),
            () = sent(&fake, "GET dropped") => {}
        }
        drop(dropped);
        allowed.notify_one();
    });
    assert_eq!(next.unwrap(), "next");
}

/// Yields until the server has seen a command; paused time stands still meanwhile.
async fn sent(fake: &Fake, command: &str) {
    while fake.seen(command).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_is_part_of_the_deadline() {
    let fake = Fake::new();
    fake.set_door(Door::Lost);
    let (outcome, took) = timed(get(&pool(&fake), "k")).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(took, DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn calls_fail_at_once_while_the_connection_is_down() {
    let fake = Fake::new();
    fake.set_door(Door::Refuse);
    let pool = pool(&fake);
    for _ in 0..BREAKER_FAILURES - 1 {
        let (outcome, took) = timed(get(&pool, "k")).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), took), (ErrorKind::Unavailable, Duration::ZERO));
        assert!(error.to_string().contains("refused"), "{error}");
    }
    assert!(!pool.breaker_is_open());
    assert_eq!(fake.dials(), 1, "calls cause no attempts of their own");
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_connection_that_is_not_to_be_had_use_another() {
    let fake = Fake::new();
    fake.set_door(Door::Full(2));
    let pool = pool_with(&fake, &config(4), finding_all());
    let ((), took) = timed(async { pool.ready(DEADLINE).await.unwrap() }).await;
    assert_eq!(took, Duration::ZERO);
    for key in 0..64 {
        let (outcome, took) = timed(get(&pool, &format!("k{key}"))).await;
        outcome.unwrap();
        assert_eq!(took, Duration::ZERO);
    }
    let mut used: Vec<_> = fake.seen("GET").into_iter().map(|(connection, _)| connection).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [1, 2]);
    fake.set_door(Door::Open);
    tokio::time::sleep(2 * RECONNECT_DELAY_MAX).await;
    let before = fake.seen("GET").len();
    for key in 0..64 {
        get(&pool, &format!("k{key}")).await.unwrap();
    }
    let seen = fake.seen("GET");
    let used: std::collections::BTreeSet<_> = seen[before..].iter().map(|(connection, _)| connection).collect();
    assert_eq!(used.len(), 4, "each has its own again");
}

#[tokio::test(start_paused = true)]
async fn a_small_value_does_not_wait_behind_a_large_one() {
    let fake = Fake::new();
    let store = RedisStore::on(Arc::new(pool(&fake)), Layout::new("shop"), DEADLINE);
    let (small, large) = ("x", "x".repeat(LARGE_VALUE_BYTES_MIN));
    fake.on("GET shop:page", Answer::text(&large));
    fake.on("GET shop:user", Answer::text(small));
    let get = |key| store.get(key, in_time());
    assert_eq!(get("page:1").await.unwrap().unwrap().len(), large.len());
    assert_eq!(get("user:1").await.unwrap().unwrap().len(), small.len());
    assert_eq!(fake.dials(), 1, "nobody knew");
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET shop:page", Answer::EchoAfter(allowed.clone()));
    let (page, took) = tokio::join!(get("page:2"), async {
        let (user, took) = timed(get("user:2")).await;
        user.unwrap();
        allowed.notify_one();
        took
    });
    page.unwrap();
    assert_eq!((took, fake.dials()), (Duration::ZERO, 2));
    let served = |command| fake.seen(command).last().unwrap().0;
    assert_eq!((served("GET shop:user"), served("GET shop:page")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_few_large_values_are_asked_for_at_once_and_the_others_wait_for_their_turn() {
    let fake = Fake::new();
    let store = Arc::new(RedisStore::on(Arc::new(pool(&fake)), Layout::new("shop"), DEADLINE));
    fake.on("GET shop:page", Answer::text(&"x".repeat(LARGE_VALUE_BYTES_MIN)));
    store.get("page:1", in_time()).await.unwrap();
    let allowed = Arc::new(tokio::sync::Notify::new());
    fake.on("GET shop:page", Answer::EchoAfter(allowed.clone()));
    let calls: Vec<_> = (0..2 * LARGE_CALLS_MAX)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&format!("page:{number}"), in_time()).await })
        })
        .collect();
    tokio::time::sleep(DEADLINE / 2).await;
    // The server has read what was sent, and answers none of it.
    assert_eq!(fake.seen("GET shop:page").len(), 2);
    let Reach::Server(node) = &store.pool.reach else { unreachable!("it is a server by itself") };
    let sent = || node.runtimes.here(&node.shared).unwrap().large_turns_taken();
    assert_eq!(sent(), LARGE_CALLS_MAX);
    for _ in &calls {
        allowed.notify_one();
        tokio::task::yield_now().await;
        tokio::time::sleep(DEADLINE / 100).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((sent(), fake.dials()), (0, 2));
}

/// It says nothing about the server.
#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_does_not_come_does_not_open_the_breaker() {
    let fake = Fake::new();
    let store = Arc::new(RedisStore::on(Arc::new(pool(&fake)), Layout::new("shop"), DEADLINE));
    fake.on("GET shop:page", Answer::text(&"x".repeat(LARGE_VALUE_BYTES_MIN)));
    store.get("page:1", in_time()).await.unwrap();
    fake.on("GET shop:page", Answer::Stall);
    let long = Instant::now() + 100 * DEADLINE;
    let holding: Vec<_> = (0..LARGE_CALLS_MAX)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get("page:1", long).await })
        })
        .collect();
    tokio::time::sleep(DEADLINE / 100).await;
    for _ in 0..=BREAKER_FAILURES {
        let (outcome, took) = timed(store.get("page:2", in_time())).await;
        assert_eq!((outcome.unwrap_err().kind(), took), (ErrorKind::Unavailable, DEADLINE));
    }
    assert!(!store.pool.breaker_is_open());
    holding.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn large_values_are_read_and_stored_on_a_connection_of_their_own() {
    let fake = Fake::new();
    let store = RedisStore::on(Arc::new(pool(&fake)), Layout::new("shop"), Duration::from_secs(60));
    let clock = ClockReading {
        incarnation: "i".into(),
        seq: 1,
        read_at_ms: 1,
        read_at: Instant::now(),
        learned: None,
        homes: None,
    };
    let value = Bytes::from(vec![0; LARGE_VALUE_BYTES_MIN]);
    let ttl = Duration::from_secs(1);
    let fill = Fill { key: "page:1", value, names: &[], ttl, clock: &clock, token: Token::new(), learned: None };
    fake.on("EVALSHA", Answer::raw("+stored\r\n"));
    store.fill(fill, in_time()).await.unwrap();
    store.get("user:1", in_time()).await.unwrap();
    let of = |command| fake.seen(command).last().unwrap().0;
    assert_eq!((of("SET shop:~staging"), of("EVALSHA"), of("GET")), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_without_asking_and_closes_when_the_server_is_back() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.on("GET", Answer::Stall);
    for _ in 0..BREAKER_FAILURES {
        get(&pool, "k").await.unwrap_err();
    }
    assert!(pool.breaker_is_open());
    let asked = fake.seen("GET").len();
    let (outcome, took) = timed(get(&pool, "k")).await;
    assert_eq!((outcome.unwrap_err().kind(), took), (ErrorKind::Unavailable, Duration::ZERO));
    assert_eq!(fake.seen("GET").len(), asked);
    fake.on("GET", Answer::Echo);
    tokio::time::sleep(crate::config::BREAKER_PROBE_DELAY_MAX).await;
    get(&pool, "k").await.unwrap();
    assert!(!pool.breaker_is_open());
}

/// A call's deadline is fixed a little before the call is sent, hence the microsecond.
#[tokio::test(start_paused = true)]
async fn silence_counts_against_the_server_if_it_had_time_to_answer() {
    for (time, counts) in [(DEADLINE - Duration::from_micros(1), true), (DEADLINE / 10, false)] {
        let fake = Fake::new();
        let pool = pool(&fake);
        get(&pool, "k").await.unwrap();
        fake.on("GET", Answer::Stall);
        for _ in 0..BREAKER_FAILURES {
            let call = || pool.command(StripeKey::new("k"), Command::new("GET"), Instant::now() + time);
            drop(tokio::join!(call(), call(), call(), call(), call()));
        }
        assert_eq!(pool.breaker_is_open(), counts, "after {time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_lets_the_breaker_try_at_once() {
    let fake = Fake::new();
    fake.set_door(Door::Refuse);
    let pool = pool(&fake);
    for _ in 0..BREAKER_FAILURES {
        get(&pool, "k").await.unwrap_err();
    }
    assert!(pool.breaker_is_open());
    fake.set_door(Door::Open);
    // The first attempt comes before the first probe is due.
    let ((), took) = timed(async { pool.ready(Duration::from_secs(1)).await.unwrap() }).await;
    assert!(took <= crate::config::BREAKER_PROBE_DELAY_MIN, "{took:?}");
    get(&pool, "k").await.unwrap();
    assert!(!pool.breaker_is_open());
}

#[tokio::test(start_paused = true)]
async fn error_replies_tell_what_to_do_and_never_repeat_the_server() {
    for (reply, kind, code) in [
        ("-OOM command not allowed: private", ErrorKind::Limit, "OOM"),
        ("-NOPERM private", ErrorKind::Config, "NOPERM"),
        ("-ERR The user executing the script can't run this command private", ErrorKind::Config, "ERR"),
        ("-ERR ACL failure in script: private", ErrorKind::Config, "ERR"),
        ("-NOAUTH private", ErrorKind::Config, "NOAUTH"),
        ("-WRONGTYPE private", ErrorKind::Protocol, "WRONGTYPE"),
        ("-MOVED 1 private:1", ErrorKind::Config, "MOVED"),
        ("-LOADING private", ErrorKind::Unavailable, "LOADING"),
        ("-BUSY private", ErrorKind::Unavailable, "BUSY"),
        ("-ERR unknown command 'private'", ErrorKind::Config, "ERR"),
        ("-CACHE_CLOCK_LOST private", ErrorKind::Protocol, "CACHE_CLOCK_LOST"),
        ("-private", ErrorKind::Protocol, "ERR"),
    ] {
        let fake = Fake::new();
        fake.on("GET", Answer::raw(&format!("{reply}\r\n")));
        let error = get(&pool(&fake), "k").await.unwrap_err();
        assert_eq!((error.kind(), reply_code(&error)), (kind, Some(code)), "{reply}");
        check_discreet(&error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_with_errors_does_not_open_the_breaker() {
    for reply in ["-OOM x\r\n", "-WRONGTYPE x\r\n", "-NOPERM x\r\n", "-ERR x\r\n"] {
        let fake = Fake::new();
        fake.on("GET", Answer::raw(reply));
        let pool = pool(&fake);
        for _ in 0..10 * BREAKER_FAILURES {
            get(&pool, "k").await.unwrap_err();
        }
        assert!(!pool.breaker_is_open(), "{reply}");
        assert_eq!(fake.dials(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_calls_do_not_open_the_breaker() {
    let fake = Fake::new();
    let pool = pool(&fake);
    get(&pool, "k").await.unwrap();
    fake.on("GET", Answer::Stall);
    for _ in 0..10 * BREAKER_FAILURES {
        tokio::time::timeout(DEADLINE / 100, get(&pool, "k")).await.unwrap_err();
    }
    assert!(!pool.breaker_is_open());
}

#[tokio::test(start_paused = true)]
async fn a_script_that_the_server_lost_is_sent_as_text_once() {
    let fake = Fake::new();
    fake.on("EVALSHA", Answer::raw("-NOSCRIPT No matching script\r\n"));
    fake.on("EVAL ", Answer::raw(":7\r\n"));
    let pool = pool(&fake);
    let value =
        pool.run(&scripts::READ_CLOCK, StripeKey::new("k"), &["key"], &[b"1", b"two"], in_time()).await.unwrap();
    assert_eq!(value, Reply::Integer(7));
    let [(_, eval)] = &fake.seen("EVAL ")[..] else { panic!() };
    assert_eq!(*eval, format!("EVAL {} 1 key 1 !reign:a/ two", scripts::READ_CLOCK.source));
    assert_eq!(fake.seen("EVALSHA")[0].1, format!("EVALSHA {} 1 key 1 !reign:a/ two", scripts::READ_CLOCK.sha1()));

    fake.on("EVAL ", Answer::raw("-NOSCRIPT still not\r\n"));
    let error = pool.run(&scripts::READ_CLOCK, StripeKey::new("k"), &["key"], &[], in_time()).await.unwrap_err();
    assert_eq!((error.kind(), reply_code(&error)), (ErrorKind::Protocol, Some("NOSCRIPT")));
    assert_eq!(fake.seen("EVALSHA").len(), 2);
}

#[test]
fn a_call_outside_a_runtime_is_an_error_and_no_panic() {
    let fake = Fake::new();
    let pool = pool(&fake);
    let call = std::pin::pin!(get(&pool, "k"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(outcome) = call.poll(&mut context) else { panic!("waits for nobody") };
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fake.dials(), 0);
}

/// ★ Else a node that moves the slot key by key would run them on the half that it still has.
#[tokio::test(start_paused = true)]
async fn scripts_that_touch_several_keys_of_a_slot_declare_one_that_never_exists() {
    let (fake, layout) = (Fake::new(), Layout::of_partition("shop", 0));
    let store = RedisStore::on(Arc::new(pool(&fake)), layout.clone(), Duration::from_secs(60));
    let clock = ClockReading {
        incarnation: "i".into(),
        seq: 1,
        read_at_ms: 1,
        read_at: Instant::now(),
        learned: None,
        homes: None,
    };
    let fill = |value| Fill {
        key: "a",
        value,
        names: &[],
        ttl: Duration::from_secs(1),
        clock: &clock,
        token: Token::new(),
        learned: None,
    };
    let request = LeaseRequest::waiting(Token::new(), DEADLINE, IfPresent::Return, Recall::Learned);
    let _ = store.take_lease("a", request, in_time()).await;
    let _ = store.read_clock("a", Recall::Learned, in_time()).await;
    let _ = store.fill(fill(Bytes::new()), in_time()).await;
    let _ = store.write(fill(Bytes::new()), None, in_time()).await;
    let _ = store.discard("a", Token::new(), None, in_time()).await;
    let given = [Name::of_key("a")];
    let _ = store.step(&mut store.begin(&given, Intent::Invalidate), in_time()).await;
    let _ = store.sweep("*", SweepScope::Values, 0, in_time()).await;
    let _ = store.look(Look::Losses, in_time()).await;
    let _ = store.facts("a", in_time()).await;
    let _ = store.make_good(&StoreLoss::Members(1), in_time()).await;
    let sent = fake.seen("EVALSHA");
    assert_eq!(sent.len(), 10);
    for (_, command) in sent {
        assert_eq!(command.split(' ').nth(3), Some(&*layout.declared()), "{command}");
    }
}

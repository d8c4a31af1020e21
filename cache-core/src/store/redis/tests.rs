//! What only a server outside this process can lose, or have done to it.

use std::time::Duration;

use bytes::Bytes;

use crate::config::LEARNED_BYTES_MAX;
use crate::store::conformance::rig::{Rig, first_step, parse};
use crate::store::far;
use crate::store::{
    ClockReading, Fill, FillReply, IfPresent, Intent, LeaseReply, LeaseRequest, Recall, Refusal, Removal, Store,
    StoreLoss, SweepScope, Token,
};

macro_rules! on_every_server {
    ($($name:ident)+) => {
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::redis("CACHE_TEST_REDIS_URL").await).await })+
        }
        mod valkey {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::redis("CACHE_TEST_VALKEY_URL").await).await })+
        }
    };
}

mod closing;
mod foreign;
mod looking;
mod losses;
mod partitions;
mod reaping;
mod removing;
mod several;
mod writing;

on_every_server! {
    a_lost_clock_refuses_every_earlier_reading
    a_clock_lost_twice_refuses_the_first_reading
    a_lost_clock_frees_its_leases
    a_clock_that_is_set_back_frees_its_leases
    a_load_that_the_server_finds_too_old_does_not_fill
    a_new_primary_refuses_every_earlier_reading a_page_tells_that_another_primary_answers
    what_is_removed_leaves_the_registry an_index_that_a_script_ends_with_leaves_the_registry
    a_chunk_counts_the_indexes_that_it_leaves
    a_chunk_counts_the_bytes_that_it_frees
    bookkeeping_has_no_ttl
    a_value_of_another_type_is_unreadable_and_overwritten
    what_lies_under_a_learned_key_is_bounded_and_overwritten
    what_was_learned_has_the_ttl_that_it_is_given
    scripts_survive_a_flush
    fences_beyond_the_limit_are_dropped_into_the_floor
}

/// Two times at which a clock may be that was set back, in µs: a little ahead of now, within the
/// time in which no script looks for fences that are old, and far ahead.
async fn clocks_ahead(rig: &Rig) -> [u128; 2] {
    rig.reading("a").await;
    let now_us = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
    let step_us = rig.retention().as_micros() / 256;
    let begun = now_us() / step_us;
    while now_us() / step_us == begun {
        rig.wait_a_tick().await;
    }
    [(begun + 2) * step_us - 1, 9_000_000_000_000_000]
}

async fn set_clock(rig: &Rig, seq_us: u128) {
    rig.raw_command(&["ZADD", "~clock", &seq_us.to_string(), "!seq"]).await;
}

async fn fences(rig: &Rig) -> usize {
    let ::redis::Value::Int(members) = rig.raw_command(&["ZCARD", "~clock"]).await else { panic!() };
    members as usize
}

/// How many are left after a script that has dropped some.
async fn more_fences_than_may_be(rig: &Rig) -> usize {
    let over = crate::config::FENCES_MAX + 2_000;
    let seq = rig.reading("a").await.seq;
    rig.add_fences(over, seq - over as u64).await;
    rig.invalidate(&["tT"]).await;
    fences(rig).await
}

/// ★ Incarnations alone tell: the lost clock's sequence was far ahead of the new one's.
async fn a_lost_clock_refuses_every_earlier_reading(rig: Rig) {
    rig.reading("a").await;
    rig.raw_command(&["ZADD", "~clock", "9000000000000000", "!seq"]).await;
    let clock = rig.reading("a").await;
    rig.raw_command(&["DEL", "~clock"]).await;
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::ForeignIncarnation));
    assert_eq!(rig.get("a").await, None);
}

/// ★ An incarnation of the process, not of the call, would be back after the second loss.
async fn a_clock_lost_twice_refuses_the_first_reading(rig: Rig) {
    let first = rig.reading("a").await;
    for _ in 0..2 {
        rig.raw_command(&["DEL", "~clock"]).await;
        assert_ne!(rig.reading("b").await.incarnation, first.incarnation);
    }
    assert_eq!(rig.try_fill("a", &[], &first).await, FillReply::Refused(Refusal::ForeignIncarnation));
}

/// Nobody is to wait until the clock is where it was: the holder may be gone.
async fn a_clock_that_is_set_back_frees_its_leases(rig: Rig) {
    rig.lease("a", Token::new()).await;
    let lease = rig.raw_command(&["GET", "~lease:a"]).await;
    let ::redis::Value::BulkString(lease) = lease else { panic!("{lease:?}") };
    let mut words: Vec<String> = String::from_utf8(lease).unwrap().split(' ').map(str::to_owned).collect();
    let since_ms: u64 = words[3].parse().unwrap();
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Held { .. }));
    // As a clock has it that was two minutes ahead, and then was set.
    words[3] = (since_ms + 120_000).to_string();
    rig.raw_command(&["SET", "~lease:a", &words.join(" "), "PX", "120000"]).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
}

async fn a_lost_clock_frees_its_leases(rig: Rig) {
    rig.lease("a", Token::new()).await;
    rig.raw_command(&["DEL", "~clock"]).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
}

/// Whichever clock stepped back, the server's or this process's, the other one tells.
async fn a_load_that_the_server_finds_too_old_does_not_fill(rig: Rig) {
    let mut clock = rig.reading("a").await;
    clock.read_at_ms -= (rig.retention() + Duration::from_secs(1)).as_millis() as u64;
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::TooOld));
}

/// ★ It may lag behind the primary that it replaces, and lack its last fences.
async fn a_new_primary_refuses_every_earlier_reading(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.take_over().await;
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::ForeignIncarnation));
    let clock = rig.reading("a").await;
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Stored);
}

/// ★ A cursor is a place in the table of one primary.
async fn a_page_tells_that_another_primary_answers(rig: Rig) {
    let page = || rig.store.sweep("*", SweepScope::Values, 0, far());
    let (first, second) = (page().await.unwrap(), page().await.unwrap());
    assert_eq!(first.incarnation, second.incarnation);
    rig.take_over().await;
    assert_ne!(page().await.unwrap().incarnation, first.incarnation);
}

async fn what_is_removed_leaves_the_registry(rig: Rig) {
    rig.fill("a", &["tS", "tT"]).await;
    rig.fill("b", &["tT"]).await;
    rig.invalidate(&["ka"]).await;
    assert_eq!(rig.raw_command(&["ZRANGE", "~due", "0", "-1"]).await, ::redis::Value::Array(vec![bulk("tT")]));
    rig.fill("b", &[]).await;
    for key in ["~due", "~index:tT"] {
        assert_eq!(rig.raw_command(&["EXISTS", key]).await, ::redis::Value::Int(0), "{key}");
    }
}

/// Also if what a script may do ends with the last member: nobody would look there until the TTL of
/// that member.
async fn an_index_that_a_script_ends_with_leaves_the_registry(rig: Rig) {
    for members in [99, 100, 101, 298, 299, 300, 301] {
        rig.fill_many(members, &["tT"]).await;
        while rig.chunk(&["tT"]).await.pending > 0 {}
        assert_eq!(rig.raw_command(&["ZRANGE", "~due", "0", "-1"]).await, ::redis::Value::Array(vec![]), "{members}");
    }
}

async fn a_chunk_counts_the_indexes_that_it_leaves(rig: Rig) {
    let names = ["T", "0", "1", "2", "3", "4", "5", "6", "7", "8"].map(|name| format!("t{name}"));
    rig.fill_many(120, &names.each_ref().map(String::as_str)).await;
    let first = rig.chunk(&["tT"]).await;
    assert!((60..100).contains(&first.removed), "{first:?}");
    assert_eq!(first.removed + rig.invalidate(&["tT"]).await, 120);
}

/// Redis 7.0 frees a value of 8 MiB in 1.5 ms, and not in the background.
async fn a_chunk_counts_the_bytes_that_it_frees(rig: Rig) {
    rig.fill_many(20, &["tT"]).await;
    for at in 0..20 {
        // The header says 4 MiB.
        rig.raw_command(&["SETRANGE", &format!("m:{at}"), "48", "\0\0@\0"]).await;
    }
    let first = rig.chunk(&["tT"]).await;
    assert!(first.removed <= 4 && first.pending > 0, "{first:?}");
    assert_eq!(first.removed + rig.invalidate(&["tT"]).await, 20);
}

fn bulk(text: &str) -> ::redis::Value {
    ::redis::Value::BulkString(text.as_bytes().to_vec())
}

async fn bookkeeping_has_no_ttl(rig: Rig) {
    rig.fill("m", &["tT", "kb"]).await;
    rig.invalidate(&["tother"]).await;
    for key in ["~clock", "~due", "~index:tT", "~index:kb"] {
        assert_eq!(rig.raw_command(&["PTTL", key]).await, ::redis::Value::Int(-1), "{key}");
    }
}

async fn a_value_of_another_type_is_unreadable_and_overwritten(rig: Rig) {
    rig.raw_command(&["LPUSH", "a", "x"]).await;
    assert_eq!(rig.store.get("a", far()).await.unwrap(), Some(Bytes::new()));
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    rig.fill("a", &["tT"]).await;
    assert_eq!(rig.get("a").await.as_deref(), Some(&b"a"[..]));
    rig.raw_command(&["DEL", "a"]).await;
    rig.raw_command(&["LPUSH", "a", "x"]).await;
    rig.invalidate(&["tT"]).await;
    assert_eq!(rig.invalidate(&["ka"]).await, 1);
    assert_eq!(rig.raw_command(&["EXISTS", "a"]).await, ::redis::Value::Int(0));
}

async fn recall(rig: &Rig) -> Option<Bytes> {
    let clock = rig.store.read_clock("a", Recall::Learned, far()).await.unwrap();
    let leased = rig
        .store
        .take_lease(
            "a",
            LeaseRequest::waiting(Token::new(), Duration::from_secs(5), IfPresent::Ignore, Recall::Learned),
            far(),
        )
        .await;
    let (LeaseReply::Granted(leased) | LeaseReply::Held { clock: leased, .. }) = leased.unwrap() else { panic!() };
    assert_eq!(leased.learned, clock.learned);
    clock.learned
}

async fn what_lies_under_a_learned_key_is_bounded_and_overwritten(rig: Rig) {
    let clock = rig.reading("a").await;
    for foreign in [&["LPUSH", "~learned:a", "x"][..], &["SET", "~learned:a", &"x".repeat(100_000)]] {
        rig.raw_command(&["DEL", "~learned:a"]).await;
        rig.raw_command(foreign).await;
        assert!(recall(&rig).await.is_none_or(|learned| learned.len() <= LEARNED_BYTES_MAX));
        let lesson = Some((Bytes::from_static(b"one"), Duration::from_secs(600)));
        assert_eq!(rig.fill_teaching("a", &[], &clock, lesson).await, FillReply::Stored);
        assert_eq!(recall(&rig).await.as_deref(), Some(&b"one"[..]));
    }
}

async fn what_was_learned_has_the_ttl_that_it_is_given(rig: Rig) {
    let clock = rig.reading("a").await;
    let lesson = Some((Bytes::from_static(b"one"), Duration::from_secs(3_000)));
    assert_eq!(rig.fill_teaching("a", &[], &clock, lesson).await, FillReply::Stored);
    let ::redis::Value::Int(ttl_ms) = rig.raw_command(&["PTTL", "~learned:a"]).await else { panic!() };
    assert!((2_000_000..=3_000_000).contains(&ttl_ms), "{ttl_ms}");
}

async fn scripts_survive_a_flush(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.script_flush().await;
    rig.fill("b", &["tT"]).await;
    rig.script_flush().await;
    assert_eq!(rig.invalidate(&["tT"]).await, 2);
}

async fn fences_beyond_the_limit_are_dropped_into_the_floor(rig: Rig) {
    rig.invalidate(&["t0"]).await;
    let clock = rig.reading("a").await;
    let over = crate::config::FENCES_MAX + 500;
    rig.add_fences(over, clock.seq + 1).await;
    rig.invalidate(&["tx"]).await;
    let ::redis::Value::Int(left) = rig.raw_command(&["ZCARD", "~clock"]).await else { panic!() };
    assert!((left as usize) < over, "{left} fences are left");
    assert_eq!(rig.try_fill("a", &[], &clock).await, FillReply::Refused(Refusal::BelowFloor));
}

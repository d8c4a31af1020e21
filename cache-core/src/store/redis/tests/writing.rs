//! Writes that find something else than a key on which nothing depends.

use super::*;

on_every_server! {
    a_write_after_a_lost_clock_is_refused_and_the_next_one_stored
    a_write_meets_whatever_it_finds_under_its_key
    a_write_leaves_the_indexes_that_its_value_does_not_have
    a_write_frees_the_lease_of_its_key
    a_write_counts_what_it_replaces
    a_write_tells_of_lost_members
    a_write_fences_by_a_clock_that_was_set_back
    a_write_drops_fences_that_are_old
    a_write_drops_fences_beyond_the_limit
}

async fn begin(rig: &Rig) -> crate::store::ClockReading {
    rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap()
}

async fn begins_and_writes(rig: &Rig, names: &[&str]) -> crate::store::WriteReply {
    let clock = begin(rig).await;
    let written = rig.write("a", names, &clock).await;
    assert_eq!(written.fill, FillReply::Stored);
    assert_eq!(rig.get("a").await.as_deref(), Some(&b"a"[..]));
    written
}

async fn a_write_after_a_lost_clock_is_refused_and_the_next_one_stored(rig: Rig) {
    rig.fill("a", &[]).await;
    let clock = begin(&rig).await;
    rig.raw_command(&["DEL", "~clock"]).await;
    let written = rig.write("a", &[], &clock).await;
    assert_eq!(written.fill, FillReply::Refused(Refusal::ForeignIncarnation));
    assert_eq!((written.drained.removed, rig.get("a").await), (1, None));
    begins_and_writes(&rig, &[]).await;
}

async fn a_write_meets_whatever_it_finds_under_its_key(rig: Rig) {
    for foreign in [&["LPUSH", "a", "x"][..], &["SET", "a", "theirs"], &["SET", "a", &"x".repeat(5_000)]] {
        rig.raw_command(&["DEL", "a"]).await;
        rig.raw_command(foreign).await;
        begins_and_writes(&rig, &["tT"]).await;
    }
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

async fn a_write_leaves_the_indexes_that_its_value_does_not_have(rig: Rig) {
    rig.fill("a", &["tS", "tT"]).await;
    begins_and_writes(&rig, &["tT"]).await;
    assert_eq!(rig.raw_command(&["EXISTS", "~index:tS"]).await, ::redis::Value::Int(0));
    assert_eq!(rig.raw_command(&["ZRANGE", "~due", "0", "-1"]).await, ::redis::Value::Array(vec![bulk("tT")]));
    begins_and_writes(&rig, &["tT"]).await;
    assert_eq!((rig.invalidate(&["tT"]).await, rig.get("a").await), (1, None));
}

/// ★ What the holder loads would be refused, so nobody is to wait for it.
async fn a_write_frees_the_lease_of_its_key(rig: Rig) {
    rig.lease("a", Token::new()).await;
    begins_and_writes(&rig, &[]).await;
    assert_eq!(rig.raw_command(&["EXISTS", "~lease:a"]).await, ::redis::Value::Int(0));
}

async fn a_write_counts_what_it_replaces(rig: Rig) {
    assert_eq!(begins_and_writes(&rig, &["tT"]).await.drained.removed, 0);
    assert_eq!(begins_and_writes(&rig, &["tT"]).await.drained.removed, 1);
}

/// Whether the clock has moved since the writer's reading or not.
async fn a_write_tells_of_lost_members(rig: Rig) {
    let before = begin(&rig).await;
    rig.raw_command(&["SET", "~index:tT", "theirs"]).await;
    let lost = rig.chunk(&["tT"]).await.lost;
    assert!(lost > 0);
    let written = rig.write("a", &[], &before).await;
    assert_eq!((written.fill, written.drained.lost), (FillReply::Stored, lost));
    assert_eq!(begins_and_writes(&rig, &[]).await.drained.lost, lost);
}

/// ★ A fence of the time that it is now would refuse nobody.
async fn a_write_fences_by_a_clock_that_was_set_back(rig: Rig) {
    for ahead in clocks_ahead(&rig).await {
        set_clock(&rig, ahead).await;
        let load = rig.reading("a").await;
        begins_and_writes(&rig, &[]).await;
        assert_eq!(rig.try_fill("a", &[], &load).await, FillReply::Refused(Refusal::Fenced));
    }
}

/// As often as the clock moves over a part of the retention: here with each write.
async fn a_write_drops_fences_that_are_old(rig: Rig) {
    let rig = rig.without_retention();
    rig.invalidate(&["tS", "tT", "tU", "tV"]).await;
    let before = fences(&rig).await;
    rig.wait_a_tick().await;
    let mut clock = begin(&rig).await;
    clock.read_at_ms += 3_600_000; // never too old
    clock.read_at = crate::clock::Instant::now() + Duration::from_secs(3_600);
    assert_eq!(rig.write("a", &[], &clock).await.fill, FillReply::Stored);
    assert!(fences(&rig).await < before);
}

async fn a_write_drops_fences_beyond_the_limit(rig: Rig) {
    let before = more_fences_than_may_be(&rig).await;
    begins_and_writes(&rig, &[]).await;
    assert!(fences(&rig).await < before);
}

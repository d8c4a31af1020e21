//! What a process finds on a primary that it did not talk to last.

use super::*;

on_every_server! {
    a_primary_that_begins_before_what_was_seen_has_lost_writes
    a_loss_is_found_by_each_process_whoever_comes_first
    a_loss_that_was_made_good_is_found_no_more
    a_primary_that_does_not_tell_its_reign_is_judged_by_its_clock
    the_clock_of_a_new_primary_passes_all_that_was_seen
    every_reply_that_has_the_sequence_is_seen
    who_meets_a_primary_first_renews_its_clock_though_it_is_new_itself
    who_meets_a_primary_later_refuses_no_load_that_began_there
    who_comes_back_to_a_primary_without_what_it_has_seen_renews_its_clock
    a_primary_that_does_not_tell_its_reign_is_renewed_by_each_process_but_a_new_one
}

const WHOLE: &str = "whole";
const LOST: &str = "lost";

async fn seq(rig: &Rig) -> u64 {
    rig.reading("a").await.seq
}

async fn a_primary_that_begins_before_what_was_seen_has_lost_writes(rig: Rig) {
    let saved = seq(&rig).await;
    assert_eq!(rig.meet("b", saved, false).await, WHOLE);
    assert_eq!(rig.meet("c", seq(&rig).await, false).await, WHOLE);
    assert_eq!(rig.meet("d", seq(&rig).await + 1, false).await, LOST);
    assert_eq!(rig.meet("e", 0, true).await, WHOLE, "a process that has seen nothing finds nothing");
}

/// ★ Processes that come first, or are new, move the clock past what the others have seen.
async fn a_loss_is_found_by_each_process_whoever_comes_first(rig: Rig) {
    for (reign, is_first) in [("b", true), ("c", false)] {
        let saved = seq(&rig).await;
        assert_eq!(rig.meet(reign, if is_first { 0 } else { saved }, is_first).await, WHOLE);
        rig.invalidate(&["t1"]).await;
        rig.invalidate(&["t2"]).await;
        assert!(seq(&rig).await > saved + 1);
        assert_eq!(rig.meet(reign, saved + 1, false).await, LOST);
        assert_eq!(rig.meet(reign, saved + 1, false).await, LOST, "and by the third one");
    }
}

async fn a_loss_that_was_made_good_is_found_no_more(rig: Rig) {
    let seen = seq(&rig).await + 1;
    assert_eq!(rig.meet("b", seen, false).await, LOST);
    rig.store.make_good(&StoreLoss::Writes("another".into()), far()).await.unwrap();
    assert_eq!(rig.meet("b", seen, false).await, LOST);
    rig.store.make_good(&StoreLoss::Writes("b".into()), far()).await.unwrap();
    assert_eq!(rig.meet("b", seen, false).await, WHOLE);
}

async fn a_primary_that_does_not_tell_its_reign_is_judged_by_its_clock(rig: Rig) {
    let saved = seq(&rig).await;
    assert_eq!(rig.meet("", saved, false).await, WHOLE);
    assert_eq!(rig.meet("", seq(&rig).await + 1, false).await, LOST);
}

/// ★ Otherwise a clock that is behind would look as if it had lost writes ever after.
async fn the_clock_of_a_new_primary_passes_all_that_was_seen(rig: Rig) {
    let seen = seq(&rig).await + 1_000_000_000;
    assert_eq!(rig.meet("b", seen, false).await, LOST);
    assert!(seq(&rig).await > seen);
    assert_eq!(rig.meet("c", seen, false).await, WHOLE);
}

async fn every_reply_that_has_the_sequence_is_seen(rig: Rig) {
    let store = rig.redis_store(Duration::from_secs(60));
    let read = store.read_clock("a", Recall::Nothing, far()).await.unwrap();
    assert_eq!(store.losses.highest(), read.seq);
    let (names, clock) = (parse(&["tT"]), rig.reading("a").await);
    let fill = || Fill {
        key: "a",
        value: Bytes::from_static(b"v"),
        names: &[],
        ttl: Duration::from_secs(60),
        clock: &clock,
        token: Token::new(),
        learned: None,
    };
    let mut seen = read.seq;
    for step in 0..4 {
        match step {
            0 => drop(first_step(&store, &names, Intent::Invalidate).await.unwrap()),
            1 => drop(store.write(fill(), None, far()).await.unwrap()),
            2 => drop(store.sweep("a", SweepScope::Values, 0, far()).await.unwrap()),
            _ => {
                rig.invalidate(&["tT"]).await;
                let request = LeaseRequest::waiting(Token::new(), rig.retention(), IfPresent::Ignore, Recall::Nothing);
                store.take_lease("a", request, far()).await.unwrap();
            }
        }
        assert!(store.losses.highest() > seen, "step {step}");
        seen = store.losses.highest();
        assert_eq!(seen, seq(&rig).await, "step {step}");
    }
}

async fn fill_with(rig: &Rig, clock: &ClockReading) -> FillReply {
    rig.try_fill("a", &[], clock).await
}

const FOREIGN: FillReply = FillReply::Refused(Refusal::ForeignIncarnation);

/// ★ A process that was started after the failover may be the first to come, and those that come
/// later rely on it.
async fn who_meets_a_primary_first_renews_its_clock_though_it_is_new_itself(rig: Rig) {
    let of_the_old_primary = rig.reading("a").await;
    assert_eq!(rig.meet("b", 0, true).await, WHOLE);
    assert_eq!(fill_with(&rig, &of_the_old_primary).await, FOREIGN);
}

/// A fleet that follows a failover renews the clock once, and not once for each process.
async fn who_meets_a_primary_later_refuses_no_load_that_began_there(rig: Rig) {
    let seen = seq(&rig).await;
    assert_eq!(rig.meet("b", seen, false).await, WHOLE);
    let clock = rig.reading("a").await;
    for (seen, is_first) in [(seen, false), (0, true)] {
        assert_eq!(rig.meet("b", seen, is_first).await, WHOLE);
    }
    assert_eq!(fill_with(&rig, &clock).await, FillReply::Stored);
    assert_eq!(rig.meet("c", clock.seq, false).await, WHOLE);
    assert_eq!(fill_with(&rig, &clock).await, FOREIGN, "yet another primary");
    let clock = rig.reading("a").await;
    assert_eq!(rig.meet("b", clock.seq, false).await, WHOLE);
    assert_eq!(fill_with(&rig, &clock).await, FOREIGN, "back from another one, whose data it has");
}

/// ★ It stood beside the other primary meanwhile, and was told nothing of what that one was told.
async fn who_comes_back_to_a_primary_without_what_it_has_seen_renews_its_clock(rig: Rig) {
    let seen = seq(&rig).await;
    assert_eq!(rig.meet("b", seen, false).await, WHOLE);
    let clock = rig.reading("a").await;
    assert_eq!(rig.meet("b", clock.seq + 1, false).await, LOST);
    assert_eq!(fill_with(&rig, &clock).await, FOREIGN);
}

async fn a_primary_that_does_not_tell_its_reign_is_renewed_by_each_process_but_a_new_one(rig: Rig) {
    for (is_first, expected) in [(true, FillReply::Stored), (false, FOREIGN), (false, FOREIGN)] {
        let clock = rig.reading("a").await;
        assert_eq!(rig.meet("", 0, is_first).await, WHOLE);
        assert_eq!(fill_with(&rig, &clock).await, expected);
    }
}

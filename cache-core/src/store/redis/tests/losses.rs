//! What a process finds on a primary that it did not talk to last.

use super::*;

on_every_server! {
    a_primary_that_begins_before_what_was_seen_has_lost_writes
    a_loss_is_found_by_each_process_whoever_comes_first
    a_loss_that_was_made_good_is_found_no_more
    a_primary_that_does_not_tell_its_reign_is_judged_by_its_clock
    the_clock_of_a_new_primary_passes_all_that_was_seen
    every_reply_that_has_the_sequence_is_seen
    each_script_finds_that_another_primary_has_written_the_clock
    who_meets_a_primary_later_refuses_no_load_that_began_there
    a_connection_from_an_earlier_reign_refuses_no_load
    who_comes_back_to_a_primary_without_what_it_has_seen_renews_its_clock
    a_primary_that_does_not_tell_its_reign_is_renewed_by_each_process
}

const WHOLE: &str = "whole";
const LOST: &str = "lost";
/// Of a server that does not tell who it is.
const ANY: &str = "!seq";

async fn seq(rig: &Rig) -> u64 {
    rig.reading("a").await.seq
}

async fn a_primary_that_begins_before_what_was_seen_has_lost_writes(rig: Rig) {
    let saved = seq(&rig).await;
    rig.take_over().await;
    assert_eq!(rig.meet(saved).await, WHOLE);
    for (more, expected) in [(0, WHOLE), (1, LOST)] {
        let seen = seq(&rig).await + more;
        rig.take_over().await;
        assert_eq!(rig.meet(seen).await, expected);
    }
    assert_eq!(rig.meet(0).await, WHOLE, "a process that has seen nothing finds nothing");
}

/// ★ Processes that come first, or are new, move the clock past what the others have seen.
async fn a_loss_is_found_by_each_process_whoever_comes_first(rig: Rig) {
    for first_is_new in [true, false] {
        let saved = seq(&rig).await;
        rig.take_over().await;
        if !first_is_new {
            assert_eq!(rig.meet(saved).await, WHOLE);
        }
        rig.invalidate(&["t1"]).await;
        rig.invalidate(&["t2"]).await;
        assert!(seq(&rig).await > saved + 1);
        assert_eq!(rig.meet(saved + 1).await, LOST);
        assert_eq!(rig.meet(saved + 1).await, LOST, "and by the third one");
    }
}

async fn a_loss_that_was_made_good_is_found_no_more(rig: Rig) {
    let seen = seq(&rig).await + 1;
    rig.take_over().await;
    assert_eq!(rig.meet(seen).await, LOST);
    rig.store.make_good(&StoreLoss::Writes("another".into()), far()).await.unwrap();
    assert_eq!(rig.meet(seen).await, LOST);
    rig.store.make_good(&StoreLoss::Writes(rig.reign().await.into()), far()).await.unwrap();
    assert_eq!(rig.meet(seen).await, WHOLE);
}

async fn a_primary_that_does_not_tell_its_reign_is_judged_by_its_clock(rig: Rig) {
    let saved = seq(&rig).await;
    assert_eq!(rig.meet_on(ANY, saved).await, WHOLE);
    assert_eq!(rig.meet_on(ANY, seq(&rig).await + 1).await, LOST);
}

/// ★ Otherwise a clock that is behind would look as if it had lost writes ever after.
async fn the_clock_of_a_new_primary_passes_all_that_was_seen(rig: Rig) {
    let seen = seq(&rig).await + 1_000_000_000;
    rig.take_over().await;
    assert_eq!(rig.meet(seen).await, LOST);
    assert!(seq(&rig).await > seen);
    rig.take_over().await;
    assert_eq!(rig.meet(seen).await, WHOLE);
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

/// ★ No client need notice it, and so none can miss it: no process that was started later, and none
/// whose connection has outlived the other primary.
async fn each_script_finds_that_another_primary_has_written_the_clock(rig: Rig) {
    let store = &rig.store;
    for script in ["fill", "write", "lease", "learned lease", "reading", "key", "tag", "page"] {
        let of_the_other = rig.reading("a").await;
        rig.take_over().await;
        match script {
            "fill" => assert_eq!(fill_with(&rig, &of_the_other).await, FOREIGN),
            "write" => assert_eq!(rig.write("a", &[], &of_the_other).await.fill, FOREIGN),
            "lease" | "learned lease" => {
                let recall = if script == "lease" { Recall::Nothing } else { Recall::Learned };
                let request = LeaseRequest::waiting(Token::new(), rig.retention(), IfPresent::Ignore, recall);
                store.take_lease("b", request, far()).await.unwrap();
            }
            "reading" => drop(store.read_clock("a", Recall::Nothing, far()).await.unwrap()),
            "key" => drop(rig.chunk(&["kb"]).await),
            "tag" => drop(rig.chunk(&["tT"]).await),
            _ => drop(store.sweep("b", SweepScope::Values, 0, far()).await.unwrap()),
        }
        let mark = format!("!reign:{}", rig.reign().await);
        let noted = rig.raw_command(&["ZSCORE", "~clock", &mark]).await;
        assert_ne!(noted, ::redis::Value::Nil, "{script}");
        assert_ne!(rig.reading("a").await.incarnation, of_the_other.incarnation, "{script}");
    }
}

/// A fleet that follows a failover renews the clock once, and not once for each process.
async fn who_meets_a_primary_later_refuses_no_load_that_began_there(rig: Rig) {
    let seen = seq(&rig).await;
    rig.take_over().await;
    assert_eq!(rig.meet(seen).await, WHOLE);
    let clock = rig.reading("a").await;
    for seen in [seen, 0] {
        assert_eq!(rig.meet(seen).await, WHOLE);
    }
    assert_eq!(fill_with(&rig, &clock).await, FillReply::Stored);
    rig.take_over().await;
    assert_eq!(rig.meet(clock.seq).await, WHOLE);
    assert_eq!(fill_with(&rig, &clock).await, FOREIGN, "yet another primary");
}

/// ★ Connections from before and after would renew the clock by turns.
async fn a_connection_from_an_earlier_reign_refuses_no_load(rig: Rig) {
    let clock = rig.reading("a").await;
    let (mark, earlier) = (format!("!reign:{}", rig.reign().await), "!reign:earlier/of-this-server");
    assert_eq!(rig.meet_on(earlier, 0).await, WHOLE);
    assert_eq!(fill_with(&rig, &clock).await, FillReply::Stored);
    let began = rig.raw_command(&["ZMSCORE", "~clock", &mark, earlier]).await;
    let ::redis::Value::Array(began) = began else { panic!("{began:?}") };
    assert!(began[0] == began[1] && began[0] != ::redis::Value::Nil, "it is known from now on: {began:?}");
}

/// ★ It stood beside the other primary meanwhile, and was told nothing of what that one was told.
async fn who_comes_back_to_a_primary_without_what_it_has_seen_renews_its_clock(rig: Rig) {
    let clock = rig.reading("a").await;
    assert_eq!(rig.meet(clock.seq + 1).await, LOST);
    assert_eq!(fill_with(&rig, &clock).await, FOREIGN);
}

async fn a_primary_that_does_not_tell_its_reign_is_renewed_by_each_process(rig: Rig) {
    for _ in 0..2 {
        let clock = rig.reading("a").await;
        assert_eq!(rig.meet_on(ANY, 0).await, WHOLE);
        assert_eq!(fill_with(&rig, &clock).await, FOREIGN);
    }
}

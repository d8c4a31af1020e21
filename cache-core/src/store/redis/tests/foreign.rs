//! What another program has put under a key of the bookkeeping, met by one script at a time.

use super::*;

on_every_server! {
    a_loss_of_members_is_told_until_it_is_made_good
    a_loss_that_a_fill_has_found_is_told_to_the_next_invalidation
    a_clear_that_began_before_a_loss_does_not_make_it_good
    each_loss_has_a_mark_of_its_own
    an_index_of_nothing_is_no_name_of_the_clock
    a_loss_outlives_a_new_primary
    a_lost_registry_is_none
    the_reaper_meets_whatever_it_finds
    a_discard_meets_whatever_it_finds
    a_lease_is_given_after_the_clock_was_overwritten
}

async fn plant(rig: &Rig, key: &str) {
    rig.raw_command(&["SET", key, "theirs"]).await;
}

async fn make_good(rig: &Rig, mark: u64) {
    rig.store.make_good(&StoreLoss::Members(mark), far()).await.unwrap();
}

async fn a_loss_of_members_is_told_until_it_is_made_good(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    assert_eq!(rig.chunk(&["tS"]).await.lost, 0);
    plant(&rig, "~index:tT").await;
    assert_eq!(rig.chunk(&["tS"]).await.lost, 0, "another name");
    let lost = rig.chunk(&["tT"]).await;
    assert!(lost.lost > 0 && lost.pending == 0, "{lost:?}");
    assert_eq!(rig.chunk(&["tS"]).await.lost, lost.lost, "by any invalidation");
    make_good(&rig, lost.lost).await;
    assert_eq!(rig.chunk(&["tT"]).await.lost, 0);
}

/// ★ Whoever found it may have died since.
async fn a_loss_that_a_fill_has_found_is_told_to_the_next_invalidation(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    plant(&rig, "~index:tT").await;
    rig.fill("b", &["tT"]).await;
    let removal = rig.chunk(&["tT"]).await;
    assert!(removal.removed == 1 && removal.lost > 0, "{removal:?}");
    assert!(rig.get("a").await.is_some(), "it is not reached any more");
    rig.sweep("*", &[SweepScope::Values, SweepScope::AllIndexes]).await;
    assert!(rig.get("a").await.is_none());
}

/// ★ What was lost after its walk had begun may be where the walk had been.
async fn a_clear_that_began_before_a_loss_does_not_make_it_good(rig: Rig) {
    plant(&rig, "~index:tT").await;
    let first = rig.chunk(&["tT"]).await.lost;
    plant(&rig, "~index:tT").await;
    let second = rig.chunk(&["tT"]).await.lost;
    assert!(second > first);
    make_good(&rig, first).await;
    assert_eq!(rig.chunk(&["tS"]).await.lost, second);
}

/// ★ Also if no invalidation came between the two.
async fn each_loss_has_a_mark_of_its_own(rig: Rig) {
    let mut marks = Vec::new();
    for key in ["a", "b"] {
        plant(&rig, "~index:tT").await;
        rig.fill(key, &["tT"]).await;
        marks.push(rig.raw_command(&["ZSCORE", "~clock", "!lost"]).await);
    }
    assert_ne!(marks[0], marks[1]);
}

/// The clock has members that look like it.
async fn an_index_of_nothing_is_no_name_of_the_clock(rig: Rig) {
    let before = rig.reading("a").await;
    plant(&rig, "~index:!floor").await;
    rig.sweep("*", &[SweepScope::AllIndexes]).await;
    assert_eq!(rig.try_fill("a", &[], &before).await, FillReply::Refused(Refusal::BelowFloor));
    assert_eq!(rig.bookkeeping().await, 0);
}

async fn a_loss_outlives_a_new_primary(rig: Rig) {
    plant(&rig, "~index:tT").await;
    let lost = rig.chunk(&["tT"]).await.lost;
    rig.take_over().await;
    assert_eq!(rig.chunk(&["tS"]).await.lost, lost);
}

/// It only says what is to be reaped.
async fn a_lost_registry_is_none(rig: Rig) {
    plant(&rig, "~due").await;
    rig.fill("a", &["tT"]).await;
    rig.sweep("nothing", &[SweepScope::Dependents]).await;
    let Removal { removed, pending, lost, .. } = rig.chunk(&["tT"]).await;
    assert_eq!((removed, pending, lost), (1, 0, 0));
}

async fn the_reaper_meets_whatever_it_finds(rig: Rig) {
    for key in ["~due", "~index:tT", "~index:ka", "~clock"] {
        for by_fill in [true, false] {
            rig.fill("a", &["tT"]).await;
            rig.fill("b", &["ka"]).await;
            // Both died long ago.
            for (index, member) in [("~index:tT", "a"), ("~index:ka", "b")] {
                rig.raw_command(&["ZADD", index, "1", member]).await;
                rig.raw_command(&["DEL", member]).await;
            }
            rig.raw_command(&["ZADD", "~due", "1", "tT", "2", "ka"]).await;
            rig.raw_command(&["DEL", key]).await;
            plant(&rig, key).await;
            match by_fill {
                true => rig.fill("c", &["tS"]).await,
                false => drop(rig.reap(Duration::ZERO).await),
            }
            assert_ne!(rig.raw_command(&["TYPE", key]).await, ::redis::Value::SimpleString("string".into()), "{key}");
        }
    }
}

async fn a_discard_meets_whatever_it_finds(rig: Rig) {
    for key in ["~index:tT", "~due"] {
        rig.fill("a", &["tT"]).await;
        rig.raw_command(&["DEL", key]).await;
        plant(&rig, key).await;
        rig.store.discard("a", Token::new(), None, far()).await.unwrap();
        assert!(rig.get("a").await.is_none(), "{key}");
    }
    assert!(rig.chunk(&["tS"]).await.lost > 0);
}

async fn a_lease_is_given_after_the_clock_was_overwritten(rig: Rig) {
    let before = rig.reading("a").await;
    for _ in 0..2 {
        rig.raw_command(&["DEL", "~clock"]).await;
        plant(&rig, "~clock").await;
        assert!(matches!(rig.lease("b", Token::new()).await, LeaseReply::Granted(_)));
        assert_eq!(rig.try_fill("a", &[], &before).await, FillReply::Refused(Refusal::ForeignIncarnation));
    }
    plant(&rig, "~clock").await;
    assert_ne!(rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap().incarnation, before.incarnation);
}

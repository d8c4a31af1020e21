//! Invalidations of one key that find something else than an entry on which nothing depends.

use super::*;

on_every_server! {
    an_invalidation_of_a_key_tells_of_lost_members
    an_invalidation_of_a_key_fences_by_a_clock_that_was_set_back
    an_invalidation_of_a_key_makes_a_lost_clock_anew
    an_invalidation_of_a_key_finds_that_an_index_of_it_was_overwritten
    an_invalidation_of_a_key_drops_fences_beyond_the_limit
}

async fn an_invalidation_of_a_key_tells_of_lost_members(rig: Rig) {
    rig.raw_command(&["SET", "~index:tT", "theirs"]).await;
    let lost = rig.chunk(&["tT"]).await.lost;
    rig.wait_a_tick().await;
    assert_eq!((lost > 0, rig.chunk(&["ka"]).await.lost), (true, lost));
}

/// ★ A fence of the time that it is now would refuse nobody.
async fn an_invalidation_of_a_key_fences_by_a_clock_that_was_set_back(rig: Rig) {
    for ahead in clocks_ahead(&rig).await {
        set_clock(&rig, ahead).await;
        let load = rig.reading("a").await;
        rig.invalidate(&["ka"]).await;
        assert_eq!(rig.try_fill("a", &[], &load).await, FillReply::Refused(Refusal::Fenced));
    }
}

async fn an_invalidation_of_a_key_makes_a_lost_clock_anew(rig: Rig) {
    rig.fill("a", &[]).await;
    let load = rig.reading("a").await;
    rig.raw_command(&["DEL", "~clock"]).await;
    assert_eq!((rig.invalidate(&["ka"]).await, rig.get("a").await), (1, None));
    assert_eq!(rig.try_fill("a", &[], &load).await, FillReply::Refused(Refusal::ForeignIncarnation));
    rig.fill("a", &[]).await;
}

/// ★ What else had the tag is not reached any more.
async fn an_invalidation_of_a_key_finds_that_an_index_of_it_was_overwritten(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.raw_command(&["SET", "~index:tT", "theirs"]).await;
    let removal = rig.chunk(&["ka"]).await;
    assert!(removal.removed == 1 && removal.lost > 0, "{removal:?}");
}

async fn an_invalidation_of_a_key_drops_fences_beyond_the_limit(rig: Rig) {
    let before = more_fences_than_may_be(&rig).await;
    rig.invalidate(&["ka"]).await;
    assert!(fences(&rig).await < before);
}

//! What was fenced since a look is told, whoever fenced it: a purge of what is kept elsewhere rests
//! on that.

use super::*;
use crate::config::TRAIL_NAMES_MAX;
use crate::store::{ClosingId, FenceTrail, Intent, TrailPosition};
use rig::parse;

on_every_store! {
    what_was_invalidated_since_a_look_is_told
    what_a_cascade_has_met_is_told
    what_a_later_chunk_has_met_is_told
    a_write_is_told
    what_was_opened_is_told
    what_was_swept_is_told_as_a_gap
    a_forgotten_fence_is_told_as_a_gap
    more_names_than_are_told_are_a_gap
}

impl Rig {
    /// What was fenced since the position, in order.
    async fn followed(&self, position: &TrailPosition) -> (Vec<String>, FenceTrail) {
        let trail = self.store.fenced_since(Some(position), far()).await.unwrap();
        let names = trail.names.iter().map(|name| name.as_str().to_owned()).collect();
        (names, trail)
    }

    async fn position(&self) -> TrailPosition {
        self.store.fenced_since(None, far()).await.unwrap().position
    }
}

async fn what_was_invalidated_since_a_look_is_told(rig: Rig) {
    rig.invalidate(&["told"]).await;
    let looked = rig.position().await;
    let (names, page) = rig.followed(&looked).await;
    assert!(names.is_empty() && page.is_whole, "{page:?}");
    let names = parse(&["tT", "ka:1"]);
    let another = rig.another();
    another.step(&mut another.begin(&names, Intent::Invalidate), far()).await.unwrap();
    let (names, page) = rig.followed(&looked).await;
    assert_eq!(names, ["ka:1", "tT"]);
    assert!(page.is_whole);
    let (names, again) = rig.followed(&page.position).await;
    assert!(names.is_empty() && again.is_whole, "{again:?}");
}

/// ★ What was made from `a:1` without being told of `T` is reached by the key of `a:1`.
async fn what_a_cascade_has_met_is_told(rig: Rig) {
    rig.fill("a:1", &["tT"]).await;
    rig.fill("b:1", &["ka:1"]).await;
    let looked = rig.position().await;
    assert_eq!(rig.invalidate(&["tT"]).await, 2);
    let (names, page) = rig.followed(&looked).await;
    assert_eq!(names, ["ka:1", "kb:1", "tT"]);
    assert!(page.is_whole);
}

/// ★ A chunk has a number of its own: a look between two chunks does not hide the second.
async fn what_a_later_chunk_has_met_is_told(rig: Rig) {
    let members = INVALIDATE_MEMBERS_PER_CHUNK + 50;
    for member in 0..members {
        rig.fill(&format!("m:{member}"), &["tT"]).await;
    }
    let mut looked = rig.position().await;
    let (mut told, names) = (std::collections::BTreeSet::new(), parse(&["tT"]));
    let mut operation = rig.store.begin(&names, Intent::Invalidate);
    while !operation.is_done() {
        rig.step(&mut operation).await;
        let (found, page) = rig.followed(&looked).await;
        assert!(page.is_whole);
        told.extend(found);
        looked = page.position;
    }
    assert_eq!(told.iter().filter(|name| name.starts_with("km:")).count(), members);
}

async fn a_write_is_told(rig: Rig) {
    let looked = rig.position().await;
    let clock = rig.reading("a:1").await;
    rig.write("a:1", &["tT"], &clock).await;
    assert_eq!(rig.followed(&looked).await.0, ["ka:1"]);
}

async fn what_was_opened_is_told(rig: Rig) {
    let (by, names) = (ClosingId(1), parse(&["tT"]));
    let looked = rig.position().await;
    rig.operate(&names, Intent::Close { by, lasts: SECOND }).await;
    let (closed, page) = rig.followed(&looked).await;
    assert_eq!(closed, ["tT"]);
    rig.operate(&names, Intent::Open { by }).await;
    assert_eq!(rig.followed(&page.position).await.0, ["tT"]);
}

async fn what_was_swept_is_told_as_a_gap(rig: Rig) {
    let looked = rig.position().await;
    rig.store.sweep("a:*", SweepScope::Values, 0, far()).await.unwrap();
    assert!(!rig.followed(&looked).await.1.is_whole);
}

async fn a_forgotten_fence_is_told_as_a_gap(rig: Rig) {
    let rig = rig.without_retention();
    let looked = rig.position().await;
    rig.invalidate(&["tT"]).await;
    rig.wait_a_tick().await;
    // One of them is at home where `T` is.
    let others = ["tE", "tR", "tS", "tU", "tV", "tW", "tX", "tY", "tZ"];
    for other in others {
        rig.invalidate(&[other]).await;
    }
    let (names, page) = rig.followed(&looked).await;
    assert!(!names.contains(&"tT".to_owned()) && !page.is_whole, "{page:?}");
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_clock_that_was_lost_is_told_as_a_gap() {
    let rig = Rig::redis("CACHE_TEST_REDIS_URL").await;
    let looked = rig.position().await;
    rig.raw_command(&["DEL", "~clock"]).await;
    let lost = rig.followed(&looked).await.1;
    assert!(!lost.is_whole, "{lost:?}");
    rig.reading("a:1").await;
    assert!(!rig.followed(&looked).await.1.is_whole);
}

async fn more_names_than_are_told_are_a_gap(rig: Rig) {
    let looked = rig.position().await;
    let names: Vec<Name> = (0..=TRAIL_NAMES_MAX).map(|name| Name::tag(&format!("t{name}")).unwrap()).collect();
    let (first, last) = names.split_at(TRAIL_NAMES_MAX);
    for chunk in first.chunks(200) {
        rig.operate(chunk, Intent::Invalidate).await;
    }
    let (told, page) = rig.followed(&looked).await;
    assert!(told.len() == TRAIL_NAMES_MAX && page.is_whole);
    rig.operate(last, Intent::Invalidate).await;
    assert!(!rig.followed(&looked).await.1.is_whole);
}

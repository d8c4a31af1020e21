//! Looks that change nothing, behind the server's back.

use super::*;
use crate::cache::Cache;
use crate::freshness::TtlClasses;
use crate::invalidation::Invalidation;
use crate::store::redis::sent_by_hand::preview_read_only;

on_every_server! {
    a_preview_of_lost_members_is_everything
    a_preview_writes_nothing
}

async fn previewed(rig: &Rig, tag: &str) -> usize {
    let cache = Cache::new(Some(rig.store.clone()), Default::default(), TtlClasses::default());
    let preview = cache.preview(Invalidation::new().tag(tag)).await.unwrap();
    assert_eq!(preview.stop, None);
    preview.entries.len()
}

/// An invalidation that meets the index clears the namespace; so does any later one.
async fn a_preview_of_lost_members_is_everything(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("b", &[]).await;
    rig.raw_command(&["SET", "~index:tT", "theirs"]).await;
    assert_eq!((previewed(&rig, "S").await, previewed(&rig, "T").await), (0, 2));
    assert!(rig.chunk(&["tT"]).await.lost > 0);
    assert_eq!(previewed(&rig, "S").await, 2);
    rig.raw_command(&["DEL", "~clock"]).await;
    assert_eq!(previewed(&rig, "S").await, 0);
    rig.raw_command(&["SET", "~pending", "theirs"]).await;
    assert_eq!(previewed(&rig, "S").await, 2);
}

/// The server refuses any write that a script run by `EVAL_RO` makes.
async fn a_preview_writes_nothing(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    let mut raw = rig.raw().await;
    for words in [&["pending", "9"][..], &["given", "ka", "tT"], &["members", "0", "tT"]] {
        preview_read_only(rig.namespace(), words, &mut raw).await;
    }
    for (walked, glob) in [("values", "*"), ("indexes", "~index:*")] {
        let glob = format!("{}:{glob}", rig.namespace());
        preview_read_only(rig.namespace(), &[walked, &glob, "0", "9"], &mut raw).await;
    }
}

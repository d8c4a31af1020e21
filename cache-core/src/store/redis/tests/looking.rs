//! Looks that change nothing, behind the server's back.

use super::*;
use crate::cache::Cache;
use crate::config::Config;
use crate::freshness::TtlClasses;
use crate::invalidation::Invalidation;
use crate::store::ClosingId;
use crate::store::redis::sent_by_hand::{explain_read_only, preview_read_only};

on_every_server! {
    a_preview_of_lost_members_is_everything
    a_preview_writes_nothing
    an_explanation_writes_nothing
    the_facts_of_what_another_program_has_put_there
}

async fn previewed(rig: &Rig, tag: &str) -> usize {
    let config = Config { operation_deadline: Duration::from_secs(10), ..Config::default() };
    let cache =
        Cache::new(Some(rig.store.clone()), config, TtlClasses::default(), crate::runtime::tenants::Tenancy::Disabled);
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
}

/// The server refuses any write that a script run by `EVAL_RO` makes.
async fn a_preview_writes_nothing(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    let mut raw = rig.raw().await;
    for words in [&["losses"][..], &["given", "ka", "tT"], &["members", "0", "tT"]] {
        preview_read_only(&rig.root(), words, &mut raw).await;
    }
    for (walked, glob) in [("values", "*"), ("indexes", "~index:*")] {
        let glob = format!("{}{glob}", rig.root());
        preview_read_only(&rig.root(), &[walked, &glob, "0", "9"], &mut raw).await;
    }
}

async fn an_explanation_writes_nothing(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("D", &["ka"]).await;
    rig.close(&["kb"], ClosingId(1), Duration::from_millis(1)).await;
    for key in ["a", "b"] {
        rig.reading(key).await;
        explain_read_only(&rig.root(), key, &mut rig.raw().await).await;
    }
    rig.raw_command(&["DEL", "~clock"]).await;
    explain_read_only(&rig.root(), "a", &mut rig.raw().await).await;
    assert_eq!(rig.raw_command(&["EXISTS", "~clock"]).await, ::redis::Value::Int(0));
}

async fn the_facts_of_what_another_program_has_put_there(rig: Rig) {
    rig.raw_command(&["SET", "text", "theirs"]).await;
    rig.raw_command(&["LPUSH", "list", "theirs"]).await;
    for key in ["~lease:list", "~learned:list", "~index:klist"] {
        rig.raw_command(&["LPUSH", key, "theirs"]).await;
    }
    rig.raw_command(&["SET", "~lease:text", "theirs"]).await;
    rig.raw_command(&["SET", "~clock", "theirs"]).await;
    for key in ["text", "list"] {
        let facts = rig.store.facts(key, far()).await.unwrap();
        assert!(facts.head.is_some(), "something is there: {key}");
        assert_eq!(facts.physical_key, Some(format!("{}{key}", rig.root())));
        assert_eq!((facts.names.len(), facts.dependents, facts.lease, facts.learned), (1, 0, None, None));
    }
}

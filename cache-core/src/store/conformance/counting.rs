//! What is removed is counted by the prefixes of its keys, as far as the reply stays small.

use super::*;
use crate::config::{INVALIDATE_NAMES_PER_CHUNK, REMOVED_PREFIXES_MAX};
use crate::store::Removal;

on_one_partition! {
    so_many_prefixes_are_counted_apart
    what_falls_is_counted_by_prefix
    what_is_not_there_is_not_counted
    what_two_names_of_one_chunk_lead_to_is_counted_once
}

/// Two with a tag, and a chain that is made from the first.
async fn store_some(rig: &Rig) {
    rig.fill("a:1", &["tT"]).await;
    rig.fill("a:2:x", &["tT"]).await;
    rig.fill("b:1", &["ka:1"]).await;
    rig.fill("whole", &["kb:1"]).await;
}

#[track_caller]
fn assert_counted(mut drained: Removal, expected: &[(&str, u64)]) {
    drained.by_prefix.sort();
    let expected: Vec<(Box<str>, u64)> =
        expected.iter().map(|(prefix, removed)| ((*prefix).into(), *removed)).collect();
    assert_eq!(drained.by_prefix, expected);
    assert_eq!(drained.removed, expected.iter().map(|(_, removed)| removed).sum::<u64>());
}

async fn what_falls_is_counted_by_prefix(rig: Rig) {
    store_some(&rig).await;
    assert_counted(rig.chunk(&["tT"]).await, &[("a", 2), ("b", 1), ("whole", 1)]);
    store_some(&rig).await;
    assert_counted(rig.chunk(&["kb:1", "ka:2:x"]).await, &[("a", 1), ("b", 1), ("whole", 1)]);
    store_some(&rig).await;
    let clock = rig.reading("a:1").await;
    assert_counted(rig.write("a:1", &[], &clock).await.drained, &[("a", 1), ("b", 1), ("whole", 1)]);
    store_some(&rig).await;
    let mut cursor = Some(0);
    let mut swept = Removal::default();
    while let Some(at) = cursor {
        let page = rig.store.sweep("*", SweepScope::Values, at, far()).await.unwrap();
        swept.removed += page.drained.removed;
        swept.by_prefix.extend(page.drained.by_prefix);
        cursor = page.next;
    }
    let of_a = swept.by_prefix.iter().filter(|(prefix, _)| **prefix == *"a").map(|(_, removed)| removed).sum::<u64>();
    assert_eq!((swept.removed, of_a), (4, 2));
}

async fn what_is_not_there_is_not_counted(rig: Rig) {
    store_some(&rig).await;
    rig.lose_entry("a:1").await;
    assert_counted(rig.chunk(&["ka:1", "knothing"]).await, &[("b", 1), ("whole", 1)]);
    // Keys whose names are more than a chunk leaves: the last one goes meanwhile.
    let tags: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    rig.fill_many(INVALIDATE_NAMES_PER_CHUNK, &tags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let given: Vec<String> = (0..INVALIDATE_NAMES_PER_CHUNK).map(|number| format!("km:{number}")).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let names = parse(&given);
    let mut operation = rig.store.begin(&names, Intent::Invalidate);
    let mut drained = rig.step(&mut operation).await;
    let last = &given[INVALIDATE_NAMES_PER_CHUNK - 1][1..];
    assert!(drained.pending > 0 && rig.get(last).await.is_some(), "{drained:?}");
    rig.lose_entry(last).await;
    let mut removed = drained.removed;
    while drained.pending > 0 {
        drained = rig.step(&mut operation).await;
        assert_counted(drained.clone(), &[("m", drained.removed)]);
        removed += drained.removed;
    }
    assert_eq!(removed, INVALIDATE_NAMES_PER_CHUNK as u64 - 1);
}

async fn so_many_prefixes_are_counted_apart(rig: Rig) {
    for prefix in 0..REMOVED_PREFIXES_MAX + 5 {
        rig.fill(&format!("{prefix}:1"), &["tT"]).await;
    }
    let drained = rig.chunk(&["tT"]).await;
    assert_eq!((drained.removed, drained.by_prefix.len()), (REMOVED_PREFIXES_MAX as u64 + 5, REMOVED_PREFIXES_MAX));
}

/// Whichever name a chunk follows first, and although one of the two is of an earlier life.
async fn what_two_names_of_one_chunk_lead_to_is_counted_once(rig: Rig) {
    for at in 0..40 {
        let key = format!("m:{at}");
        rig.fill(&key, &["tS", "tT"]).await;
        if at % 2 == 0 {
            rig.lose_entry(&key).await;
            rig.fill(&key, &[if at % 4 == 0 { "tS" } else { "tT" }]).await;
        }
    }
    assert_counted(rig.chunk(&["tS", "tT"]).await, &[("m", 40)]);
    assert_eq!(rig.bookkeeping().await, 0);
}

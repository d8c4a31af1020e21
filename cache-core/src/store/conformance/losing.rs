//! A partition loses everything that it has, and others do not.

use super::*;
use crate::store::Partitions;

const PARTITIONS: u16 = 4;

fn home_of(text: &str) -> u16 {
    Partitions::new(PARTITIONS).home_of_key(text)
}

fn keys() -> impl Iterator<Item = String> {
    (0..12).map(|number| format!("m:{number}"))
}

impl Rig {
    async fn fill_each(&self, names: &[&str]) {
        for key in keys() {
            self.fill(&key, names).await;
        }
    }
}

/// ★ The home of the tag does not know any more where its members are.
#[tokio::test]
async fn what_a_lost_home_had_listed_is_found_everywhere() {
    let rig = Rig::of_partitions(PARTITIONS);
    rig.fill_each(&["tT"]).await;
    rig.lose_partition(home_of("T"));
    let elsewhere = keys().filter(|key| home_of(key) != home_of("T")).count();
    assert!(elsewhere > 3, "the keys should be spread");
    assert_eq!(rig.invalidate(&["tT"]).await, elsewhere as u64);
}

#[tokio::test]
async fn lists_are_complete_again_after_the_first_fill_that_was_refused() {
    let rig = Rig::of_partitions(PARTITIONS);
    rig.fill_each(&["tT"]).await;
    let before = rig.reading("m:1").await;
    rig.lose_partition(home_of("T"));
    assert_eq!(rig.try_fill("m:1", &["tT"], &before).await, FillReply::Refused(Refusal::ForeignIncarnation));
    rig.fill_each(&["tT", "tS"]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 12);
    assert_eq!(rig.bookkeeping().await, 0);
}

/// ★ What it had adopted of the homes is lost too: they would not find what it stores.
#[tokio::test]
async fn a_partition_that_was_lost_stores_nothing_before_the_homes_list_it() {
    let rig = Rig::of_partitions(PARTITIONS);
    let key = keys().find(|key| home_of(key) != home_of("T")).expect("one is elsewhere");
    rig.lose_partition(home_of(&key));
    let clock = rig.reading(&key).await;
    assert_eq!(rig.try_fill(&key, &["tT"], &clock).await, FillReply::Refused(Refusal::ForeignIncarnation));
    let clock = rig.reading(&key).await;
    assert_eq!(rig.try_fill(&key, &["tT"], &clock).await, FillReply::Stored);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

//! What several partitions share: on one server, and on clusters.

use std::sync::Arc;

use super::*;
use crate::config::SETTLE_MARKS_PER_SCRIPT;
use crate::error::ErrorKind;
use crate::store::StoreKey;
use crate::store::redis::RedisPartitions;

macro_rules! on_several {
    ($($name:ident)+) => {
        mod redis_of_four {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::redis_of("CACHE_TEST_REDIS_URL", 4).await).await })+
        }
        mod redis_cluster_of_four {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_REDIS_CLUSTER_URL", 4).await).await
            })+
        }
        mod valkey_cluster_of_four {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_VALKEY_CLUSTER_URL", 4).await).await
            })+
        }
    };
}

on_several! {
    a_namespace_has_one_number_of_partitions
    a_number_that_was_lost_is_written_down_again
    every_partition_has_a_copy_of_the_number
    a_lost_number_comes_back_from_a_copy
    the_first_partition_decides_against_copies
    a_number_that_another_program_has_replaced_is_told
    processes_of_two_numbers_that_start_at_once_leave_a_namespace_for_one_of_them
    what_a_home_has_lost_is_listed_anew_in_the_background
    a_process_that_knows_no_clock_reads_them_once
    marks_that_nothing_hangs_on_are_reaped
    a_mark_of_a_partition_with_members_stays
    losses_of_members_are_made_good_by_partition
    each_reply_that_tells_of_a_foreign_clock_is_seen
    marks_of_a_large_operation_are_settled_by_several_scripts
}

/// The key of an index at the home of a tag, and of that home's clock.
fn home_of(rig: &Rig, tag: &str) -> (String, String) {
    let index = rig.store.physical_key(StoreKey::Tagged(tag)).unwrap();
    let root = index.split_once("~index").unwrap().0.to_owned();
    (index, root + "~clock")
}

/// A key that is at home elsewhere.
fn foreign_key(rig: &Rig, tag: &str) -> String {
    let root = |key: String| key.split_once("}:").unwrap().0.to_owned();
    let home = root(home_of(rig, tag).0);
    let is_foreign = |key: &String| root(rig.store.physical_key(StoreKey::Value(key)).unwrap()) != home;
    (0..).map(|at| format!("x:{at}")).find(is_foreign).unwrap()
}

fn at_home(rig: &Rig, tag: &str) -> usize {
    let clock = home_of(rig, tag).1;
    (0..4).position(|number| rig.store.physical_key(StoreKey::ClockOf(number)).as_ref() == Some(&clock)).unwrap()
}

async fn delete(rig: &Rig, key: &str) {
    ::redis::cmd("DEL").arg(key).query_async::<()>(&mut rig.raw_of(key).await).await.unwrap();
}

async fn exists(rig: &Rig, key: &str) -> bool {
    ::redis::cmd("EXISTS").arg(key).query_async::<u32>(&mut rig.raw_of(key).await).await.unwrap() == 1
}

/// ★ Two processes that take a namespace to have two numbers would not find what the other stores.
async fn a_namespace_has_one_number_of_partitions(rig: Rig) {
    let store = rig.of_another_count(8);
    let error = store.ready(Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("4 partitions") && error.to_string().contains("partitions=4"), "{error}");
    assert!(store.refuses());
    let store = rig.of_another_count(2);
    let names = parse(&["tT"]);
    let error = store.step(&mut store.begin(&names, Intent::Invalidate), far()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = store.read_clock("a", Recall::Nothing, far()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = store.sweep("*", SweepScope::Values, 0, far()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!rig.store.refuses());
    rig.of_another_count(4).ready(Duration::from_secs(10)).await.unwrap();
}

async fn a_number_that_was_lost_is_written_down_again(rig: Rig) {
    let written = format!("{}~partitions", rig.root_of_first());
    assert!(exists(&rig, &written).await);
    delete(&rig, &written).await;
    rig.store.ready(Duration::from_secs(10)).await.unwrap();
    assert!(exists(&rig, &written).await);
}

const IN_TIME: Duration = Duration::from_secs(10);

/// Where each partition has the number.
fn numbers(rig: &Rig) -> Vec<String> {
    let clocks = (0..).map_while(|partition| rig.store.physical_key(StoreKey::ClockOf(partition)));
    clocks.map(|clock| clock.replace("~clock", "~partitions")).collect()
}

async fn text(rig: &Rig, key: &str) -> Option<String> {
    ::redis::cmd("GET").arg(key).query_async(&mut rig.raw_of(key).await).await.unwrap()
}

async fn set_text(rig: &Rig, key: &str, text: &str) {
    ::redis::cmd("SET").arg(key).arg(text).query_async::<()>(&mut rig.raw_of(key).await).await.unwrap();
}

async fn all_say(rig: &Rig, number: &str) {
    for key in numbers(rig) {
        assert_eq!(text(rig, &key).await.as_deref(), Some(number), "{key}");
    }
}

async fn every_partition_has_a_copy_of_the_number(rig: Rig) {
    assert_eq!(numbers(&rig).len(), 4);
    all_say(&rig, "4").await;
    let [_, lost, ..] = &numbers(&rig)[..] else { unreachable!() };
    delete(&rig, lost).await;
    rig.store.ready(IN_TIME).await.unwrap();
    all_say(&rig, "4").await;
    // Without `ready` it is the background that writes them.
    delete(&rig, lost).await;
    rig.another().read_clock("a", Recall::Nothing, far()).await.unwrap();
    let written = async {
        while !exists(&rig, lost).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(IN_TIME, written).await.expect("the copy should be there again");
}

/// ★ Else whoever comes first with another number would not find what is stored.
async fn a_lost_number_comes_back_from_a_copy(rig: Rig) {
    let first = &numbers(&rig)[0];
    delete(&rig, first).await;
    let another = rig.of_another_count(8);
    let error = another.read_clock("a", Recall::Nothing, far()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = another.ready(IN_TIME).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("4 partitions"), "{error}");
    all_say(&rig, "4").await;
    delete(&rig, first).await;
    rig.another().ready(IN_TIME).await.unwrap();
    all_say(&rig, "4").await;
}

/// Whatever lies in place of a copy: an old number, another program's value, one of another type.
async fn the_first_partition_decides_against_copies(rig: Rig) {
    let keys = numbers(&rig);
    let plant = async || {
        set_text(&rig, &keys[1], "8").await;
        set_text(&rig, &keys[2], "theirs").await;
        delete(&rig, &keys[3]).await;
        let mut raw = rig.raw_of(&keys[3]).await;
        ::redis::cmd("LPUSH").arg(&keys[3]).arg("x").query_async::<()>(&mut raw).await.unwrap();
    };
    plant().await;
    let another = rig.of_another_count(8);
    let error = another.ready(IN_TIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(another.refuses());
    rig.another().ready(IN_TIME).await.unwrap();
    all_say(&rig, "4").await;
    // A whole namespace that was emptied may have another number.
    for key in &keys {
        delete(&rig, key).await;
    }
    another.ready(IN_TIME).await.unwrap();
    all_say(&rig, "8").await;
    assert_eq!(rig.store.ready(IN_TIME).await.unwrap_err().kind(), ErrorKind::Config);
    all_say(&rig, "8").await;
}

async fn a_number_that_another_program_has_replaced_is_told(rig: Rig) {
    let keys = numbers(&rig);
    for key in &keys {
        set_text(&rig, key, "theirs").await;
    }
    for store in [rig.another(), rig.store.clone()] {
        let error = store.ready(IN_TIME).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("another program"), "{error}");
        assert!(store.refuses());
    }
    all_say(&rig, "theirs").await;
    delete(&rig, &keys[0]).await;
    rig.store.ready(IN_TIME).await.unwrap();
    all_say(&rig, "4").await;
}

/// ★ The first partition alone decides. If each wrote where it comes first, both would be refused.
async fn processes_of_two_numbers_that_start_at_once_leave_a_namespace_for_one_of_them(rig: Rig) {
    for _ in 0..20 {
        for key in numbers(&rig) {
            delete(&rig, &key).await;
        }
        let stores = [4, 2, 4, 2].map(|count| rig.of_another_count(count));
        let starts = stores.iter().map(|store| store.read_clock("a", Recall::Nothing, far()));
        let started: Vec<bool> = super::super::at_once::all(starts).await.iter().map(Result::is_ok).collect();
        assert_ne!(started[0], started[1], "{started:?}");
        assert_eq!(started[..2], started[2..]);
        let decided = if started[0] { "4" } else { "2" };
        for (store, was_given) in stores.iter().zip(started) {
            assert_eq!(store.ready(IN_TIME).await.is_ok(), was_given);
        }
        for key in numbers(&rig) {
            assert!(text(&rig, &key).await.is_none_or(|number| number == decided));
        }
    }
}

/// ★ Else nothing that has the name is stored any more, or what is stored is not found.
async fn what_a_home_has_lost_is_listed_anew_in_the_background(rig: Rig) {
    let (index, clock) = home_of(&rig, "T");
    let (first, second) = (foreign_key(&rig, "T"), foreign_key(&rig, "T") + ":again");
    rig.fill(&first, &["tT"]).await;
    delete(&rig, &index).await;
    delete(&rig, &clock).await;
    let stored = async {
        while rig.begins_and_fills(&second, &["tT"]).await != FillReply::Stored {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), stored).await.expect("the lists should be complete again");
    assert_eq!(rig.invalidate(&["tT"]).await, 2, "what was there before is listed as well");
}

async fn a_process_that_knows_no_clock_reads_them_once(rig: Rig) {
    let key = foreign_key(&rig, "T");
    rig.fill(&key, &["tT"]).await;
    let another = rig.another();
    let clock = another.read_clock(&key, Recall::Nothing, far()).await.unwrap();
    assert!(clock.homes.unwrap().iter().all(|home| home.is_known()));
    let third = rig.another();
    let names = parse(&["tT"]);
    let mut operation = third.begin(&names, Intent::Invalidate);
    let mut rounds = 0;
    while !operation.is_done() {
        third.step(&mut operation, far()).await.unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, 2, "the home, and the partition that it names");
    assert_eq!(rig.get(&key).await, None);
}

async fn dead_mark(rig: &Rig) -> (RedisPartitions, String, String) {
    let (index, _) = home_of(rig, "T");
    let key = foreign_key(rig, "T");
    rig.fill(&key, &["tT"]).await;
    assert!(exists(rig, &index).await);
    let mut raw = rig.raw_of(&index).await;
    let marks: Vec<String> = ::redis::cmd("ZRANGE").arg(&index).arg(0).arg(-1).query_async(&mut raw).await.unwrap();
    assert!(marks.len() == 1 && marks[0].starts_with('~'), "{marks:?}");
    ::redis::cmd("ZADD").arg(&index).arg(1).arg(&marks[0]).query_async::<()>(&mut raw).await.unwrap();
    let store = rig.partitions_store();
    store.ready(Duration::from_secs(10)).await.unwrap();
    (store, index, key)
}

async fn marks_that_nothing_hangs_on_are_reaped(rig: Rig) {
    let (store, index, key) = dead_mark(&rig).await;
    let member = rig.store.physical_key(StoreKey::Value(&key)).unwrap();
    let own_index = member.replace(&key, "~index:tT");
    delete(&rig, &own_index).await;
    store.reap_marks_of("T").await.unwrap();
    assert!(!exists(&rig, &index).await);
}

/// ★ Else nothing leads to them.
async fn a_mark_of_a_partition_with_members_stays(rig: Rig) {
    let (store, index, key) = dead_mark(&rig).await;
    store.reap_marks_of("T").await.unwrap();
    assert!(exists(&rig, &index).await);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get(&key).await, None);
}

/// No script may hold the server for long.
async fn marks_of_a_large_operation_are_settled_by_several_scripts(rig: Rig) {
    const MARKS: usize = 3 * SETTLE_MARKS_PER_SCRIPT + 1;
    let key = foreign_key(&rig, "T");
    let (index, _) = home_of(&rig, "T");
    let root = |index: &str| index.split_once("~index").unwrap().0.to_owned();
    let at_home = |tag: &String| root(&home_of(&rig, tag).0) == root(&index);
    let tags: Vec<String> = (0..).map(|at| format!("T:{at}")).filter(at_home).take(MARKS).collect();
    let names: Vec<String> = tags.iter().map(|tag| format!("t{tag}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.fill(&key, &names).await;
    let names = parse(&names);
    let mut operation = rig.store.begin(&names, Intent::Invalidate);
    while !operation.is_done() {
        rig.step(&mut operation).await;
    }
    let settlements = operation.settlements();
    let [(home, marks)] = &settlements[..] else { panic!("{settlements:?}") };
    assert_eq!(marks.len(), MARKS);
    assert_eq!(rig.partitions_store().settle_marks(*home, marks).await.unwrap(), 4);
    for tag in &tags {
        assert!(!exists(&rig, &home_of(&rig, tag).0).await, "{tag}");
    }
}

/// ★ Each partition has a mark of its own for that.
async fn losses_of_members_are_made_good_by_partition(rig: Rig) {
    let mut lost = Vec::new();
    for tag in ["T", "R"] {
        let (index, _) = home_of(&rig, tag);
        let mut raw = rig.raw_of(&index).await;
        ::redis::cmd("SET").arg(&index).arg("another program's").query_async::<()>(&mut raw).await.unwrap();
        let names = parse(&[&format!("t{tag}")]);
        let removal = rig.step(&mut rig.store.begin(&names, Intent::Invalidate)).await;
        assert!(removal.lost > 0);
        lost.push(removal.lost);
    }
    assert!(lost[0] < lost[1], "{lost:?}");
    rig.store.make_good(&StoreLoss::Members(lost[0]), far()).await.unwrap();
    let again = async |tag: &str| {
        let names = parse(&[tag]);
        rig.step(&mut rig.store.begin(&names, Intent::Invalidate)).await.lost
    };
    assert_eq!((again("tT").await, again("tR").await), (0, lost[1]));
    rig.store.make_good(&StoreLoss::Members(lost[1]), far()).await.unwrap();
    assert_eq!(again("tR").await, 0);
}

/// ★ Else a replica that lacks what only such a reply told of is taken for whole.
async fn each_reply_that_tells_of_a_foreign_clock_is_seen(rig: Rig) {
    let (store, key, names) = (rig.partitions_store(), foreign_key(&rig, "T"), parse(&["tT"]));
    store.ready(Duration::from_secs(10)).await.unwrap();
    let home = at_home(&rig, "T");
    for told_by in ["a registration", "a state", "a look"] {
        let clock = store.read_clock(&key, Recall::Nothing, far()).await.unwrap();
        rig.invalidate(&["tT"]).await;
        let highest = rig.store.read_clock(&key, Recall::Nothing, far()).await.unwrap().homes.unwrap()[home].seq;
        assert!(store.seen_at_home_of("T") < highest);
        match told_by {
            "a registration" => {
                let (value, ttl) = (Bytes::from_static(b"v"), Duration::from_secs(60));
                let fill =
                    Fill { key: &key, value, names: &names, ttl, clock: &clock, token: Token::new(), learned: None };
                assert_eq!(store.fill(fill, far()).await.unwrap(), FillReply::Refused(Refusal::Fenced));
            }
            "a state" => store.ready(Duration::from_secs(10)).await.unwrap(),
            _ => store.reap_marks_of("T").await.unwrap(),
        }
        assert_eq!(store.seen_at_home_of("T"), highest, "{told_by}");
    }
}

/// ★ A node of a cluster that lacks writes is found by each partition for itself.
#[tokio::test]
async fn a_loss_of_writes_is_made_good_for_every_partition_that_has_it() {
    let rig = Rig::redis_of("CACHE_TEST_REDIS_CLUSTER_URL", 4).await;
    let store = rig.partitions_store();
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = told.clone();
    store.on_loss(Box::new(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        true
    }));
    store.pretend_to_have_seen_more();
    store.ready(Duration::from_secs(10)).await.unwrap();
    assert!(told.load(std::sync::atomic::Ordering::SeqCst) > 0);
    let loss = store.loss().unwrap();
    let StoreLoss::OfPartitions(each) = &loss else { panic!("{loss:?}") };
    assert!(!each.is_empty());
    store.make_good(&loss, far()).await.unwrap();
    assert_eq!(store.loss(), None);
}

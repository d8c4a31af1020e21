//! Dead members leave their indexes, by fills and in the background, and only when nothing needs
//! them.

use std::sync::Arc;

use super::*;
use crate::name::Name;
use crate::store::redis::RedisStore;

on_every_server! {
    a_dead_member_is_reaped_by_later_fills
    a_dead_member_stays_while_something_depends_on_it
    a_membership_stays_while_its_entry_is_there
    a_membership_of_an_earlier_life_goes_although_the_key_is_stored_again
    a_member_stays_while_an_entry_that_depends_on_it_is_there
    a_member_with_more_dependents_than_are_looked_at_stays
    a_load_from_before_a_reaping_is_refused_once_the_clock_is_set_back
    dead_members_that_depend_on_each_other_are_reaped
    members_that_have_to_stay_do_not_keep_others
    an_index_is_due_until_its_last_member_has_left
    a_member_that_has_just_died_stays
    a_short_lived_member_does_not_shorten_anothers_stay
    a_long_lived_member_does_not_put_off_when_an_index_is_due
    a_fill_reaps_more_than_it_adds
    a_fill_reaps_no_more_than_its_share
    what_no_fill_reaps_is_reaped_in_the_background
    old_fences_go_without_traffic
    one_process_reaps_in_the_background_at_a_time
    the_background_comes_back_as_long_as_something_is_on_record
    a_reaper_ends_with_its_work_and_comes_back
    a_reaper_that_ended_with_its_runtime_is_replaced
    a_reaper_that_was_closed_does_not_come_back
    a_tenant_that_comes_back_has_the_reaper_that_still_works_for_it
}

/// Makes `member` look dead for as long as `age` says, and its index due.
async fn kill(rig: &Rig, member: &str, index: &str, age: Duration) {
    let died_at = rig.now_ms().await - age.as_millis() as u64;
    rig.raw_command(&["UNLINK", member]).await;
    rig.raw_command(&["ZADD", &format!("~index:{index}"), &died_at.to_string(), member]).await;
    rig.raw_command(&["ZADD", "~due", "1", index]).await;
}

const LONG_DEAD: Duration = Duration::from_secs(3_600);

async fn a_dead_member_is_reaped_by_later_fills(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    kill(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.bookkeeping().await, 0);
    assert_eq!(rig.raw_command(&["EXISTS", "~due"]).await, ::redis::Value::Int(0));
}

/// ★ `T` reaches `D` through `m` alone.
async fn a_dead_member_stays_while_something_depends_on_it(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.fill("D", &["km"]).await;
    kill(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("D").await, None);
}

/// The clock was ahead while later fills reaped: every time in the index had passed.
async fn age(rig: &Rig, member: &str, index: &str, age: Duration) {
    let died_at = rig.now_ms().await - age.as_millis() as u64;
    rig.raw_command(&["ZADD", &format!("~index:{index}"), &died_at.to_string(), member]).await;
    rig.raw_command(&["ZADD", "~due", "1", index]).await;
}

async fn a_membership_stays_while_its_entry_is_there(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    age(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("m").await, None);
}

async fn a_membership_of_an_earlier_life_goes_although_the_key_is_stored_again(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.lose_entry("m").await;
    rig.fill("m", &["tS"]).await;
    age(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.bookkeeping().await, 1);
    assert_eq!(rig.invalidate(&["tS"]).await, 1);
}

/// ★ `T` reaches `D` through `m` alone.
async fn a_member_stays_while_an_entry_that_depends_on_it_is_there(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    rig.fill("D", &["km"]).await;
    kill(&rig, "m", "tT", LONG_DEAD).await;
    age(&rig, "D", "km", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("D").await, None);
}

/// ★ The one that is still there is the last of them.
async fn a_member_with_more_dependents_than_are_looked_at_stays(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    let dependents: Vec<String> = (0..70).map(|at| format!("D:{at:02}")).collect();
    for dependent in &dependents {
        rig.fill(dependent, &["km"]).await;
    }
    for dependent in &dependents {
        age(&rig, dependent, "km", LONG_DEAD).await;
    }
    for dependent in &dependents[..69] {
        rig.lose_entry(dependent).await;
    }
    rig.raw_command(&["DEL", "~due"]).await;
    kill(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.get("D:69").await, None);
}

/// ★ `m` left its index before its time, so what was made from it is no longer reached.
async fn a_load_from_before_a_reaping_is_refused_once_the_clock_is_set_back(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    let before = rig.reading("D").await;
    kill(&rig, "m", "tT", LONG_DEAD).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.bookkeeping().await, 0);
    let ahead = (rig.now_ms().await + 700_000) * 1_000;
    rig.raw_command(&["ZADD", "~clock", &ahead.to_string(), "!seq"]).await;
    let after = rig.reading("E").await;
    assert_eq!(rig.try_fill("D", &["km"], &before).await, FillReply::Refused(Refusal::TooOld));
    assert_eq!(rig.try_fill("E", &["km"], &after).await, FillReply::Stored);
}

async fn dead_members_that_depend_on_each_other_are_reaped(rig: Rig) {
    rig.fill("a", &["kb", "tT"]).await;
    rig.fill("b", &["ka"]).await;
    kill(&rig, "a", "kb", LONG_DEAD).await;
    kill(&rig, "a", "tT", LONG_DEAD).await;
    kill(&rig, "b", "ka", LONG_DEAD).await;
    for _ in 0..2 {
        rig.fill("other", &[]).await;
    }
    assert_eq!(rig.bookkeeping().await, 0);
}

async fn members_that_have_to_stay_do_not_keep_others(rig: Rig) {
    for at in 0..40 {
        rig.fill(&format!("m:{at:02}"), &["tT"]).await;
        rig.fill(&format!("D:{at:02}"), &[&format!("km:{at:02}")]).await;
    }
    rig.fill("z", &["tT"]).await;
    for at in 0..40 {
        kill(&rig, &format!("m:{at:02}"), "tT", LONG_DEAD).await;
    }
    kill(&rig, "z", "tT", LONG_DEAD - Duration::from_secs(1)).await;
    // Each round looks at 16 of 41, from anywhere.
    for _ in 0..1_000 {
        rig.raw_command(&["ZADD", "~due", "1", "tT"]).await;
        rig.fill("other", &[]).await;
        if rig.raw_command(&["ZSCORE", "~index:tT", "z"]).await == ::redis::Value::Nil {
            break;
        }
    }
    assert_eq!(rig.raw_command(&["ZCARD", "~index:tT"]).await, ::redis::Value::Int(40));
}

/// A look begins anywhere among the dead ones. Whatever it does not see would stay for ever.
async fn an_index_is_due_until_its_last_member_has_left(rig: Rig) {
    let members: Vec<String> = (0..17).flat_map(|at| ["1".to_owned(), format!("m:{at:02}")]).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    for _ in 0..10 {
        rig.raw_command(&[&["ZADD", "~index:tT"], &members[..]].concat()).await;
        rig.raw_command(&["ZADD", "~due", "1", "tT"]).await;
        for _ in 0..100 {
            if rig.reap(Duration::ZERO).await == "nothing" {
                break;
            }
        }
        assert_eq!(number(&rig, &["ZCARD", "~index:tT"]).await, 0);
    }
}

/// ★ A load that read `m` in its last moment has not filled yet.
async fn a_member_that_has_just_died_stays(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    let clock = rig.reading("D").await;
    kill(&rig, "m", "tT", Duration::from_secs(1)).await;
    rig.fill("other", &[]).await;
    assert_eq!(rig.try_fill("D", &["km"], &clock).await, FillReply::Stored);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

async fn a_short_lived_member_does_not_shorten_anothers_stay(rig: Rig) {
    rig.fill("m", &["tT"]).await;
    let score = rig.raw_command(&["ZSCORE", "~index:tT", "m"]).await;
    rig.fill_for("m", &["tT"], Duration::from_millis(1)).await;
    assert_eq!(rig.raw_command(&["ZSCORE", "~index:tT", "m"]).await, score);
}

async fn a_long_lived_member_does_not_put_off_when_an_index_is_due(rig: Rig) {
    rig.fill_for("m", &["tT"], Duration::from_secs(1)).await;
    let due = rig.raw_command(&["ZSCORE", "~due", "tT"]).await;
    rig.fill("n", &["tT"]).await;
    assert_eq!(rig.raw_command(&["ZSCORE", "~due", "tT"]).await, due);
}

/// Fresh names, long dead, and due.
async fn overdue(rig: &Rig, count: usize) {
    let died_at = (rig.now_ms().await - LONG_DEAD.as_millis() as u64).to_string();
    let names: Vec<String> = (0..count).map(|at| format!("tover:{at}")).collect();
    for name in &names {
        rig.raw_command(&["ZADD", &format!("~index:{name}"), &died_at, "dead"]).await;
    }
    let due: Vec<&str> = names.iter().flat_map(|name| ["1", name]).collect();
    rig.raw_command(&[&["ZADD", "~due"], &due[..]].concat()).await;
}

async fn number(rig: &Rig, command: &[&str]) -> usize {
    let ::redis::Value::Int(number) = rig.raw_command(command).await else { panic!("{command:?} tells a number") };
    number as usize
}

/// Or what is on record would grow for ever.
async fn a_fill_reaps_more_than_it_adds(rig: Rig) {
    for names in [1, 5, 20, 300] {
        overdue(&rig, 1_000).await;
        let mut fills = 0;
        while number(&rig, &["ZCOUNT", "~due", "-inf", "2"]).await > 0 {
            let names: Vec<String> = (0..names).map(|at| format!("tfresh:{fills}:{at:03}")).collect();
            rig.fill(&format!("a:{fills}"), &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
            fills += 1;
        }
        assert!(fills * names < 1_000, "{fills} fills of {names} names to reap 1,000");
        rig.sweep("*", &[SweepScope::Values]).await;
    }
}

/// Whatever is due, a fill takes as long as what it adds says.
async fn a_fill_reaps_no_more_than_its_share(rig: Rig) {
    overdue(&rig, 1_000).await;
    rig.fill("a", &[]).await;
    assert!(number(&rig, &["ZCARD", "~due"]).await >= 1_000 - 16);
    rig.raw_command(&["DEL", "~due"]).await;

    // Members that lead to many dead ones.
    let dependents: Vec<String> = (0..60).flat_map(|at| ["1".to_owned(), format!("D:{at}")]).collect();
    let dependents: Vec<&str> = dependents.iter().map(String::as_str).collect();
    rig.raw_command(&[&["ZADD", "~index:km"], &dependents[..]].concat()).await;
    for tag in ["tT", "tU", "tV"] {
        rig.raw_command(&["ZADD", &format!("~index:{tag}"), "1", "m"]).await;
        rig.raw_command(&["ZADD", "~due", "1", tag]).await;
    }
    rig.fill("a", &[]).await;
    assert_eq!(number(&rig, &["ZCARD", "~due"]).await, 2);
}

/// Until it is so; a test fails after a minute.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it should have come to be so");
}

/// What a store keeps for so long that comes to its end within a test.
const BRIEF: Duration = Duration::from_millis(200);

/// An entry that dies at once.
async fn fill_briefly(store: &RedisStore, names: &[Name]) {
    let (value, ttl) = (Bytes::from_static(b"v"), Duration::from_millis(1));
    loop {
        let clock = store.read_clock("a", Recall::Nothing, far()).await.unwrap();
        let (value, token) = (value.clone(), Token::new());
        let fill = Fill { key: "a", value, names, ttl, clock: &clock, token, learned: None };
        // A busy machine may be too slow for it.
        if store.fill(fill, far()).await.unwrap() == FillReply::Stored {
            return;
        }
    }
}

async fn what_no_fill_reaps_is_reaped_in_the_background(rig: Rig) {
    let store = rig.redis_store(BRIEF);
    let names: Vec<Name> = (0..250).map(|at| Name::tag(&format!("{at:03}")).unwrap()).collect();
    overdue(&rig, 1_500).await;
    fill_briefly(&store, &names[..1]).await;
    fill_briefly(&store, &names).await;
    assert!(rig.bookkeeping().await > 0, "a fill reaps its share");
    until(async || rig.bookkeeping().await == 0).await;
    assert_eq!(number(&rig, &["EXISTS", "~due"]).await, 0);
}

async fn old_fences_go_without_traffic(rig: Rig) {
    let store = rig.redis_store(BRIEF);
    rig.invalidate(&["t0"]).await;
    rig.add_fences(5_000, 1_000_000).await;
    first_step(&store, &parse(&["t0"]), Intent::Invalidate).await.unwrap();
    until(async || number(&rig, &["ZCOUNT", "~clock", "0", "+inf"]).await == 1).await; // the sequence
}

async fn one_process_reaps_in_the_background_at_a_time(rig: Rig) {
    let (always, long) = (Duration::ZERO, Duration::from_secs(3_600));
    assert_eq!(rig.reap(always).await, "nothing");
    assert_eq!(number(&rig, &["EXISTS", "~clock"]).await, 0, "nor is anything put on record");
    overdue(&rig, 1_000).await;
    assert_eq!(rig.reap(long).await, "more");
    assert_eq!(rig.reap(long).await, "later", "another one is at it");
    assert_eq!(number(&rig, &["ZCARD", "~due"]).await, 500);
    // That one came from the future.
    rig.raw_command(&["ZADD", "~clock", "-9000000000000000", "!reaper"]).await;
    assert_eq!(rig.reap(long).await, "more");
    assert_eq!(rig.reap(always).await, "nothing");
}

async fn the_background_comes_back_as_long_as_something_is_on_record(rig: Rig) {
    let always = Duration::ZERO;
    rig.invalidate(&["t0"]).await;
    assert_eq!(rig.reap(always).await, "later", "its fence is young");
    rig.add_fences(1_500, 1_000_000).await;
    for _ in 0..2 {
        assert_eq!(rig.reap(always).await, "more");
    }
    assert_eq!(rig.reap(always).await, "later");
    assert_eq!(number(&rig, &["ZCOUNT", "~clock", "0", "+inf"]).await, 2, "the sequence and the young one");
    rig.raw_command(&["ZREM", "~clock", "t0"]).await;
    assert_eq!(rig.reap(always).await, "nothing");
    rig.fill("a", &["tT"]).await;
    assert_eq!(rig.reap(always).await, "later", "it is alive");
}

async fn a_reaper_ends_with_its_work_and_comes_back(rig: Rig) {
    let store = rig.redis_store(BRIEF);
    assert!(store.namespace.reaper.is_idle());
    for _ in 0..2 {
        fill_briefly(&store, &parse(&["tT"])).await;
        assert!(!store.namespace.reaper.is_idle());
        until(async || store.namespace.reaper.is_idle()).await;
        assert_eq!(rig.bookkeeping().await, 0);
    }
}

async fn a_reaper_that_ended_with_its_runtime_is_replaced(rig: Rig) {
    let store = Arc::new(rig.redis_store(BRIEF));
    let elsewhere = store.clone();
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fill_briefly(&elsewhere, &parse(&["tT"])));
    });
    tokio::task::spawn_blocking(|| done.join().unwrap()).await.unwrap();
    assert!(store.namespace.reaper.is_idle());
    fill_briefly(&store, &parse(&["tT"])).await;
    until(async || store.namespace.reaper.is_idle() && rig.bookkeeping().await == 0).await;
}

async fn a_reaper_that_was_closed_does_not_come_back(rig: Rig) {
    let store = rig.redis_store(Duration::from_secs(600));
    fill_briefly(&store, &parse(&["tT"])).await;
    assert!(!store.namespace.reaper.is_idle());
    store.end_reaping();
    until(async || store.namespace.reaper.is_idle()).await;
    fill_briefly(&store, &parse(&["tT"])).await;
    assert!(store.namespace.reaper.is_idle());
}

/// A process that opens ever more tenants would have ever more of them.
async fn a_tenant_that_comes_back_has_the_reaper_that_still_works_for_it(rig: Rig) {
    let (store, namespace) = (rig.redis_store(BRIEF), format!("{}@7", rig.namespace()));
    fill_briefly(&store.tenant(&namespace), &parse(&["tT"])).await;
    let back = store.tenant(&namespace);
    assert!(!back.namespace.reaper.is_idle());
    until(async || back.namespace.reaper.is_idle()).await;
}

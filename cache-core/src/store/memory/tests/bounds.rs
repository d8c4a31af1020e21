//! What keeps the store small, and that keeping it small hides nothing from an invalidation.

use std::time::Duration;

use bytes::Bytes;

use super::{LEASE, Partition, TTL, key, tag};
use crate::config::MEMORY_LEARNED_SHARE;
use crate::store::{Fill, FillReply, Recall, Refusal};

fn small() -> Partition {
    Partition::with(|settings| settings.bytes_max = 20_000)
}

#[test]
fn bytes_stay_bounded_whatever_is_stored() {
    let mut partition = small();
    for number in 0..500 {
        partition.stored(&format!("a:{number}"), &[tag(&format!("t:{}", number % 7)), key("b")]);
        partition.invalidate(&[tag(&format!("u:{number}"))]);
    } // `check` looks at the bytes after each step
    assert!(partition.has("a:499"));
    assert!(!partition.has("a:0"));
}

#[test]
fn an_entry_larger_than_the_store_pushes_nothing_out() {
    let mut partition = small();
    partition.stored("a", &[]);
    let load = partition.load("large");
    let fill = Fill {
        key: "large",
        value: Bytes::from(vec![0; 20_000]),
        names: &[tag("t")],
        ttl: TTL,
        clock: &load.clock,
        token: load.token,
        learned: None,
    };
    partition.state.fill(&key("large"), &fill, &[], partition.now);
    partition.check();
    assert!(partition.has("a"));
    assert!(!partition.has("large"));
}

#[test]
fn a_store_without_room_stores_nothing_and_forgets_nothing() {
    let mut partition = Partition::with(|settings| settings.bytes_max = 0);
    let load = partition.load("a");
    let late = partition.load("b");
    partition.invalidate(&[key("b")]);
    partition.fill(&load, &[tag("t")]);
    assert!(!partition.has("a"));
    assert!(matches!(partition.fill(&late, &[]), FillReply::Refused(_)));
}

#[test]
fn what_is_read_stays_when_what_is_not_read_is_evicted() {
    let mut partition = small();
    partition.stored("hot", &[]);
    for number in 0..500 {
        assert!(partition.has("hot"));
        partition.stored(&format!("cold:{number}"), &[]);
    }
    assert!(partition.has("hot"));
}

#[test]
fn an_evicted_entry_leaves_its_indexes_and_is_fenced() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("t")]);
    let load = partition.load("outer"); // and reads `a`
    partition.state.evict_entry(&key("a"), partition.now);
    partition.check();
    assert_eq!(partition.state.indexes.len(), 0);
    // `t` no longer leads to `a`, so `outer` would not be reached.
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("a")]), FillReply::Refused(Refusal::Fenced));
}

#[test]
fn an_evicted_entry_with_dependents_still_leads_to_them() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("t")]);
    partition.stored("outer", &[key("a")]);
    partition.state.evict_entry(&key("a"), partition.now);
    partition.check();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
    assert!(!partition.has("outer"));
}

#[test]
fn memberships_of_an_evicted_entry_go_when_nothing_depends_on_it_any_more() {
    let mut partition = Partition::new();
    partition.stored_for("a", &[tag("t")], TTL * 1_000);
    partition.stored("outer", &[key("a")]);
    partition.state.evict_entry(&key("a"), partition.now);
    partition.invalidate(&[key("a")]);
    partition.pass(partition.state.settings.fence_retention);
    partition.settle();
    assert_eq!(partition.state.indexes.len(), 0);
}

#[test]
fn a_dead_member_with_a_live_dependent_stays() {
    let mut partition = Partition::new();
    partition.stored_for("middle", &[tag("t")], Duration::from_secs(1));
    partition.stored_for("outer", &[key("middle")], TTL * 100);
    partition.pass(TTL * 99);
    partition.settle();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
}

#[test]
fn a_dead_member_with_a_live_dependent_further_on_stays() {
    let mut partition = Partition::new();
    partition.stored_for("inner", &[tag("t")], Duration::from_secs(1));
    partition.stored_for("middle", &[key("inner")], Duration::from_secs(1));
    partition.stored_for("outer", &[key("middle")], TTL * 100);
    partition.pass(TTL * 99);
    partition.settle();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
}

// A load that read the member just before it expired is not in any index yet.
#[test]
fn a_dead_member_stays_while_a_load_that_read_it_may_fill() {
    let mut partition = Partition::new();
    partition.stored_for("inner", &[tag("t")], Duration::from_secs(1));
    let load = partition.load("outer"); // and reads `inner`
    partition.pass(Duration::from_secs(2));
    partition.settle();
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("inner")]), FillReply::Refused(Refusal::Fenced));
}

// Everything is over while the clock is ahead, and whatever nobody came to collect is back with it.
#[test]
fn a_clock_that_was_ahead_hides_no_entry_from_its_tags() {
    let mut partition = Partition::new();
    for number in 0..200 {
        partition.stored(&format!("a:{number}"), &[]);
    }
    for number in 0..20 {
        partition.stored(&format!("b:{number}"), &[tag("t")]);
    }
    let right = partition.now;
    partition.pass(Duration::from_secs(700));
    for number in 0..5 {
        partition.stored(&format!("c:{number}"), &[]);
    }
    partition.now = right;
    partition.check();
    let left = (0..20).filter(|number| partition.has(&format!("b:{number}"))).count() as u64;
    assert_eq!(partition.invalidate(&[tag("t")]), left);
    assert!((0..20).all(|number| !partition.has(&format!("b:{number}"))));
}

#[test]
fn a_load_from_before_a_reaping_is_refused_once_the_clock_is_set_back() {
    let mut partition = Partition::new();
    partition.stored("inner", &[tag("t")]);
    let load = partition.load("outer"); // and reads `inner`
    let right = partition.now;
    partition.pass(Duration::from_secs(700));
    partition.settle();
    partition.now = right;
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("inner")]), FillReply::Refused(Refusal::TooOld));
    let load = partition.load("outer");
    assert_eq!(partition.fill(&load, &[key("inner")]), FillReply::Stored);
}

#[test]
fn a_circle_of_dead_members_is_reaped() {
    let mut partition = Partition::new();
    partition.stored_for("a", &[key("b")], TTL);
    partition.stored_for("b", &[key("a")], TTL * 2);
    partition.stored_for("outer", &[key("a")], TTL * 3);
    for _ in 0..20 {
        partition.pass(TTL);
        partition.settle();
    }
    assert_eq!(partition.state.indexes.len(), 0);
}

#[test]
fn a_member_that_was_refilled_is_not_reaped() {
    let mut partition = Partition::new();
    partition.stored_for("a", &[tag("t")], TTL);
    partition.pass(TTL / 2);
    partition.stored_for("a", &[tag("t")], TTL * 100);
    partition.stored_for("a", &[tag("t")], TTL * 50);
    partition.pass(TTL * 49);
    partition.settle();
    assert_eq!(partition.invalidate(&[tag("t")]), 1);
}

#[test]
fn a_refill_never_shortens_a_membership() {
    let mut partition = Partition::new();
    partition.stored_for("middle", &[tag("t")], TTL);
    partition.stored_for("outer", &[key("middle")], TTL * 100);
    partition.stored_for("outer", &[key("middle")], TTL);
    partition.pass(TTL * 50);
    partition.settle();
    assert!(partition.state.indexes.is_member(&key("middle"), &key("outer")), "it is not due");
    assert!(partition.state.indexes.is_member(&tag("t"), &key("middle")), "what depends on it does not count as dead");
}

#[test]
fn leases_that_nobody_gave_back_are_collected() {
    let mut partition = Partition::new();
    for number in 0..100 {
        partition.load(&format!("a:{number}"));
    }
    assert_eq!(partition.state.leases.len(), 100);
    partition.pass(LEASE);
    partition.settle();
    assert_eq!(partition.state.leases.len(), 0);
}

#[test]
fn bookkeeping_that_is_dropped_for_room_lives_on_in_the_floor() {
    let mut partition = Partition::new();
    partition.stored("a", &[tag("t")]);
    partition.stored("b", &[key("a")]);
    let load = partition.load("outer"); // and reads `a`
    partition.state.evict_entry(&key("a"), partition.now);
    let room = std::mem::replace(&mut partition.state.settings.bytes_max, 0);
    partition.state.tidy(0, partition.now);
    partition.state.settings.bytes_max = room;
    assert_eq!(partition.state.bytes(), 0);
    // `t` no longer leads to `a`.
    partition.invalidate(&[tag("t")]);
    assert_eq!(partition.fill(&load, &[key("a")]), FillReply::Refused(Refusal::BelowFloor));
}

#[test]
fn bookkeeping_goes_back_to_nearly_nothing_through_fills_alone() {
    let mut partition = Partition::new();
    let mut most = 0;
    for number in 0..150_u32 {
        let load = partition.load(&format!("a:{number}"));
        let names: Vec<_> = (0..50).map(|other| tag(&format!("{number}:{other:02}"))).collect();
        let fill = Fill {
            key: &load.key,
            value: Bytes::new(),
            names: &names,
            ttl: Duration::from_secs(1),
            clock: &load.clock,
            token: load.token,
            learned: None,
        };
        partition.state.fill(&key(&load.key), &fill, &[], partition.now);
        partition.pass(Duration::from_secs(1));
        most = most.max(partition.state.indexes.len());
    }
    // 61 s of fills at most, one a second, 50 tags each.
    assert!(most <= (61 + 2) * 50, "{most} indexes");
    partition.pass(partition.state.settings.fence_retention + Duration::from_secs(1));
    for number in 0..150 {
        partition.stored_for("a", &[tag(&format!("last:{}", number % 2))], TTL);
    }
    assert!(partition.state.indexes.len() <= 2);
    assert!(partition.state.leases.len() <= 1);
}

#[test]
fn what_is_learned_counts_and_has_a_share() {
    let mut partition = small();
    let teach = |partition: &mut Partition, logical: &str, learned| {
        let load = partition.load(logical);
        let (value, names) = (Bytes::from_static(b"v"), &[]);
        let fill = Fill { key: logical, value, names, ttl: TTL, clock: &load.clock, token: load.token, learned };
        assert_eq!(partition.state.fill(&key(logical), &fill, &[], partition.now), FillReply::Stored);
        partition.check();
    };
    let state = Bytes::from_static(&[0; 41]);
    teach(&mut partition, "a:0", None);
    let before = partition.state.bytes();
    teach(&mut partition, "a:0", Some((state.clone(), TTL)));
    assert!(partition.state.bytes() >= before + state.len());
    for number in 0..500 {
        partition.pass(Duration::from_millis(1));
        teach(&mut partition, &format!("a:{number}"), Some((state.clone(), TTL)));
        assert!(partition.state.learned.bytes() <= 20_000 / MEMORY_LEARNED_SHARE);
    }
    let recalled = |logical| partition.state.read_clock(&key(logical), Recall::Learned, partition.now).learned;
    assert_eq!((recalled("a:499"), recalled("a:0")), (Some(state), None));
}

//! What keeps the store small, and that keeping it small hides nothing from an invalidation.

use std::time::Duration;

use super::{Partition, TTL, key, tag};
use crate::store::{FillReply, Refusal};

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
    let fill = crate::store::Fill {
        key: "large",
        value: vec![0; 20_000].into(),
        names: &[tag("t")],
        ttl: TTL,
        clock: &load.clock,
        token: load.token,
    };
    partition.state.fill(&key("large"), &fill, partition.now);
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
fn bookkeeping_goes_back_to_nearly_nothing_through_fills_alone() {
    let mut partition = Partition::new();
    let step = Duration::from_millis(100);
    let mut most = 0;
    for number in 0..3_000_u32 {
        let load = partition.load(&format!("a:{number}"));
        let names: Vec<_> = (0..5).map(|tag_number| tag(&format!("{number}:{tag_number}"))).collect();
        let fill = crate::store::Fill {
            key: &load.key,
            value: bytes::Bytes::new(),
            names: &names,
            ttl: Duration::from_secs(1),
            clock: &load.clock,
            token: load.token,
        };
        partition.state.fill(&key(&load.key), &fill, partition.now);
        partition.pass(step);
        most = most.max(partition.state.indexes.len());
    }
    // 61 s of fills at most, 10 a second, 5 tags each.
    assert!(most <= 61 * 10 * 5 + 50, "{most} indexes");
    partition.pass(partition.state.settings.fence_retention + Duration::from_secs(1));
    for number in 0..300 {
        partition.stored_for("a", &[tag(&format!("last:{}", number % 2))], TTL);
    }
    assert!(partition.state.indexes.len() <= 2);
    assert!(partition.state.leases.len() <= 1);
}

//! What the counters of prefixes add up to.

use super::*;

#[test]
fn hit_rate_is_the_share_of_hits() {
    let counted = CounterTable::default();
    counted.prefix("flight").hits(3);
    counted.prefix("flight").misses(1);
    let stats = counted.snapshot();
    assert_eq!(stats.prefix("flight").hit_rate(), 0.75);
    assert_eq!(stats.hit_rate(), 0.75);
    assert_eq!(stats.prefix("unused").hit_rate(), 0.0);
}

#[test]
fn the_table_of_prefixes_is_bounded() {
    let counted = CounterTable::default();
    for prefix in 0..STATS_PREFIXES_MAX + 10 {
        counted.prefix(&format!("p{prefix}")).hits(1);
    }
    let stats = counted.snapshot();
    assert_eq!(stats.prefixes().count(), STATS_PREFIXES_MAX + 1);
    assert_eq!(stats.prefix(OTHER_PREFIXES).hits, 10);
    assert_eq!(stats.total().hits, STATS_PREFIXES_MAX as u64 + 10);
}

#[test]
fn values_are_expected_to_be_large_at_once_and_small_after_a_while() {
    let counters = Counters::default();
    counters.values_seen(0, 0);
    assert_eq!(counters.value_bytes(), None);
    counters.values_seen(10, 1_000);
    assert_eq!(counters.value_bytes(), Some(100));
    counters.values_seen(1, 4_000);
    assert_eq!(counters.value_bytes(), Some(4_000));
    counters.values_seen(100, 10_000);
    assert_eq!(counters.value_bytes(), Some(3_025));
    (0..20).for_each(|_| counters.values_seen(100, 10_000));
    assert!(counters.value_bytes().is_some_and(|bytes| bytes < 150));
}

#[test]
fn it_is_serialized_with_every_counter_by_its_name() {
    let counted = CounterTable::default();
    counted.prefix("flight").hits(2);
    counted.prefix("flight").load_ended(Some(Duration::from_millis(3)));
    counted.prefix("flight").may_be_said();
    counted.unprefixed.invalidated(1);
    let json = serde_json::to_value(counted.snapshot()).unwrap();
    let flight = &json["prefixes"]["flight"];
    assert_eq!(
        (&flight["hits"], &flight["load_time_us"], &flight["invalidated"]),
        (&2.into(), &3_000.into(), &0.into())
    );
    assert_eq!((&json["total"]["hits"], &json["total"]["invalidated"]), (&2.into(), &1.into()));
    let names = counted.snapshot().total().counters().map(|(name, _)| name);
    assert!(names.chain(["load_time_us", "store_time_us"]).all(|name| flight[name].is_u64()), "{flight}");
    assert_eq!(flight.as_object().unwrap().len(), counted.snapshot().total().counters().count() + 2);
}

#[test]
fn it_is_iterated_by_prefix_in_order() {
    let counted = CounterTable::default();
    for (hits, prefix) in ["b", "a"].into_iter().enumerate() {
        counted.prefix(prefix).hits(hits as u64);
    }
    let stats = counted.snapshot();
    let mut seen = Vec::new();
    for (prefix, counters) in &stats {
        seen.push((prefix, counters.hits));
    }
    assert_eq!(seen, [("a", 1), ("b", 0)]);
    assert_eq!((&stats).into_iter().len(), 2);
}

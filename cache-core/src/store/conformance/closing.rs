//! Names that operations have closed.

use super::*;
use crate::config::{CLOSED_NAMES_MAX, INVALIDATE_NAMES_PER_CHUNK, REACHED_NAMES_MAX};
use crate::error::ErrorKind;
use crate::store::ClosingId;

on_every_store! {
    a_closed_name_refuses_every_fill_that_carries_it
    closing_removes_what_the_names_reach
    a_load_from_before_a_closing_is_refused_after_it
    a_load_from_within_a_closing_is_refused_after_it
    a_load_that_began_after_the_opening_is_stored
    an_operation_opens_its_own_marks_alone
    closing_again_closes_no_more_than_once
    an_invalidation_does_not_open_what_is_closed
    a_mark_that_ends_by_itself_refuses_what_began_before
    a_closing_again_lasts_longer
    a_write_opens_what_its_own_operation_has_closed
    a_write_of_many_names_is_stored_although_its_own_operation_has_closed_its_key
    a_write_is_not_stored_over_what_another_operation_has_closed
    a_write_is_not_stored_over_an_invalidation_while_its_key_is_closed
    the_lease_of_a_closed_key_is_free
    a_write_opens_what_its_own_operation_has_reached
    what_a_closing_reaches_is_closed_too
    what_an_expired_entry_leads_to_is_closed_too
    what_is_reached_in_a_circle_is_closed_too
    what_is_reached_stays_closed_as_long_as_its_operation_renews
    what_was_closed_one_after_the_other_is_renewed_and_opened_at_once
    who_closes_a_closed_name_closes_what_it_had_led_to
    who_closes_a_reached_name_closes_what_it_had_led_to
    clear_leaves_closed_names_closed
}

// Limits of one partition; and who goes on with what another one has begun to close counts, where
// there are several, as who came before: nothing was promised to the other one yet.
on_one_partition! {
    what_is_closed_at_once_is_bounded
    a_circle_that_was_closed_leaves_the_indexes_of_what_is_stored
    what_is_reached_beyond_the_limit_closes_what_depends_on_keys
    who_closes_a_closed_name_takes_over_that_all_dependents_are_closed
    who_goes_on_with_a_closing_closes_what_it_reaches
    many_closed_names_end_a_slice_at_a_time
}

const LONG: Duration = Duration::from_secs(3_600);
/// Ends before a test can look.
const SHORT: Duration = Duration::from_millis(1);
const ONE: ClosingId = ClosingId(1);
const OTHER: ClosingId = ClosingId(2);

impl Rig {
    pub(in crate::store) async fn close(&self, names: &[&str], by: ClosingId, lasts: Duration) -> u64 {
        self.operate(&parse(names), Intent::Close { by, lasts }).await
    }

    async fn close_many(&self, count: usize, by: ClosingId) {
        self.operate(&many(count, 0), Intent::Close { by, lasts: LONG }).await;
    }

    pub(in crate::store) async fn open(&self, names: &[&str], by: ClosingId) -> u64 {
        self.operate(&parse(names), Intent::Open { by }).await
    }

    async fn write_opening(&self, key: &str, names: &[&str], clock: &ClockReading, by: ClosingId) -> FillReply {
        self.write_bytes_opening(key, &parse(names), clock, by, key.as_bytes()).await
    }

    pub(in crate::store) async fn write_bytes_opening(
        &self,
        key: &str,
        names: &[Name],
        clock: &ClockReading,
        by: ClosingId,
        payload: &[u8],
    ) -> FillReply {
        let value = rig::stored(names, payload);
        let clock = &self.of_key(key, clock);
        let fill = Fill { key, value, names, ttl: 600 * SECOND, clock, token: Token::new(), learned: None };
        let written = self.store.write(fill, Some(by), far()).await.unwrap();
        self.finish(written.rest).await;
        written.fill
    }

    pub(in crate::store) async fn begins_and_fills(&self, key: &str, names: &[&str]) -> FillReply {
        let clock = self.reading(key).await;
        self.try_fill(key, names, &clock).await
    }

    /// Until no mark is left: each fill may take some away.
    pub(in crate::store) async fn until_opened(&self, key: &str, names: &[&str]) {
        let stored = async {
            while self.begins_and_fills(key, names).await != FillReply::Stored {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(10 * SECOND, stored).await.expect("the marks should have ended");
    }
}

async fn close_once(rig: &Rig, names: &[Name], by: ClosingId, lasts: Duration) -> Result<Removal, Error> {
    first_step(&*rig.store, names, Intent::Close { by, lasts }).await
}

const CLOSED: FillReply = FillReply::Refused(Refusal::Closed);
const FENCED: FillReply = FillReply::Refused(Refusal::Fenced);

async fn a_closed_name_refuses_every_fill_that_carries_it(rig: Rig) {
    rig.close(&["kb", "tT"], ONE, LONG).await;
    assert_eq!(rig.begins_and_fills("b", &[]).await, CLOSED, "its key");
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, CLOSED, "a tag");
    assert_eq!(rig.begins_and_fills("a", &["kb"]).await, CLOSED, "a dependency");
    assert_eq!(rig.begins_and_fills("a", &["kc", "tS"]).await, FillReply::Stored);
    let many: Vec<String> = (0..600).map(|number| format!("t{number:04}")).chain(["tT".to_owned()]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(rig.begins_and_fills("c", &many).await, CLOSED, "among many names");
    let another = rig.another();
    let clock = another.read_clock("b", Recall::Nothing, far()).await.unwrap();
    let value = rig::stored(&[], b"b");
    let fill = Fill { key: "b", value, names: &[], ttl: SECOND, clock: &clock, token: Token::new(), learned: None };
    assert_eq!(another.fill(fill, far()).await.unwrap(), CLOSED, "of any process");
    assert_eq!((rig.get("b").await, rig.get("c").await), (None, None));
}

async fn closing_removes_what_the_names_reach(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("b", &["ka"]).await;
    rig.fill("c", &[]).await;
    assert_eq!(rig.close(&["tT", "kc"], ONE, LONG).await, 3);
    assert_eq!((rig.get("a").await, rig.get("b").await, rig.get("c").await), (None, None, None));
    assert_eq!(rig.open(&["tT", "kc"], ONE).await, 0);
}

async fn a_load_from_before_a_closing_is_refused_after_it(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.close(&["tT"], ONE, LONG).await;
    rig.open(&["tT"], ONE).await;
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FENCED);
}

async fn a_load_from_within_a_closing_is_refused_after_it(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    rig.open(&["tT"], ONE).await;
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FENCED);
}

async fn a_load_that_began_after_the_opening_is_stored(rig: Rig) {
    rig.close(&["tT", "ka"], ONE, LONG).await;
    rig.open(&["tT", "ka"], ONE).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, FillReply::Stored);
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
}

async fn an_operation_opens_its_own_marks_alone(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    rig.close(&["tT", "tS"], OTHER, LONG).await;
    rig.open(&["tT", "tS"], ONE).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, CLOSED);
    assert_eq!(rig.begins_and_fills("a", &["tS"]).await, CLOSED, "it was never closed by who opens it");
    rig.open(&["tT", "tS"], OTHER).await;
    assert_eq!(rig.begins_and_fills("a", &["tS", "tT"]).await, FillReply::Stored);
}

/// A client may send a command twice.
async fn closing_again_closes_no_more_than_once(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    rig.close(&["tT"], ONE, LONG).await;
    rig.open(&["tT"], ONE).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, FillReply::Stored);
    rig.close(&["tT"], OTHER, LONG).await;
    rig.open(&["tT"], ONE).await;
    assert_eq!(rig.begins_and_fills("b", &["tT"]).await, CLOSED);
}

async fn an_invalidation_does_not_open_what_is_closed(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    rig.invalidate(&["tT"]).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, CLOSED);
}

async fn a_mark_that_ends_by_itself_refuses_what_began_before(rig: Rig) {
    rig.close(&["tT"], ONE, SHORT).await;
    let clock = rig.reading("a").await;
    rig.until_opened("b", &["tT"]).await;
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FENCED);
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, FillReply::Stored);
    assert_eq!(rig.open(&["tT"], ONE).await, 2, "who is late still invalidates");
}

async fn a_closing_again_lasts_longer(rig: Rig) {
    rig.close(&["tT"], ONE, 500 * SHORT).await;
    rig.close(&["tT"], ONE, LONG).await;
    rig.close(&["tS"], OTHER, 500 * SHORT).await;
    rig.until_opened("b", &["tS"]).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, CLOSED);
}

async fn a_write_opens_what_its_own_operation_has_closed(rig: Rig) {
    rig.close(&["ka"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write_opening("a", &["tT"], &clock, ONE).await, FillReply::Stored);
    assert_eq!(rig.get("a").await.as_deref(), Some(&b"a"[..]));
    assert_eq!(rig.try_fill("a", &[], &clock).await, FENCED);
    assert_eq!(rig.begins_and_fills("a", &[]).await, FillReply::Stored);
    assert_eq!(rig.write_opening("a", &[], &rig.reading("a").await, ONE).await, FillReply::Stored, "sent twice");
}

/// Whether its names are registered by scripts of their own, or its value is staged.
async fn a_write_of_many_names_is_stored_although_its_own_operation_has_closed_its_key(rig: Rig) {
    for (key, count, bytes) in [("a", 300, 100 << 10), ("b", 4_050, 10)] {
        let names = many(count, 1_000);
        let own = format!("k{key}");
        rig.close(&[&own], ONE, LONG).await;
        let (clock, payload) = (rig.reading(key).await, vec![7; bytes]);
        assert_eq!(rig.write_bytes_opening(key, &names, &clock, ONE, &payload).await, FillReply::Stored);
        assert_eq!(rig.get(key).await.unwrap(), payload);
    }
    assert_eq!(rig.invalidate(&["t1299"]).await, 2);
    assert_eq!(rig.operate(&many(4_050, 1_000), Intent::Invalidate).await, 0);
    assert_eq!(rig.bookkeeping().await, 0);
    rig.close(&["t1280"], ONE, LONG).await;
    rig.close(&["kc"], OTHER, LONG).await;
    let clock = rig.reading("c").await;
    assert_eq!(rig.write_bytes_opening("c", &many(400, 1_000), &clock, OTHER, b"c").await, CLOSED, "a tag");
    assert_eq!(rig.get("c").await, None);
}

async fn a_write_is_not_stored_over_what_another_operation_has_closed(rig: Rig) {
    rig.close(&["ka"], ONE, LONG).await;
    rig.close(&["ka"], OTHER, LONG).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write_opening("a", &[], &clock, ONE).await, CLOSED);
    assert_eq!(rig.begins_and_fills("a", &[]).await, CLOSED, "the other has it closed");
    assert_eq!(rig.write_opening("a", &[], &clock, OTHER).await, FENCED, "the first may be the later one");
    assert_eq!(rig.begins_and_fills("a", &[]).await, FillReply::Stored);
    rig.close(&["ka"], ONE, LONG).await;
    rig.close(&["tT"], OTHER, LONG).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write_opening("a", &["tT"], &clock, ONE).await, CLOSED, "a tag");
    assert_eq!(rig.begins_and_fills("a", &[]).await, FillReply::Stored, "opened all the same");
    rig.close(&["tS"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write("a", &["tS"], &clock).await.fill, CLOSED, "a write of no operation");
}

async fn a_write_is_not_stored_over_an_invalidation_while_its_key_is_closed(rig: Rig) {
    rig.close(&["ka"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    rig.invalidate(&["ka"]).await;
    assert_eq!(rig.write_opening("a", &[], &clock, ONE).await, FENCED);
}

/// `summary` depends on `order` without having consumed it, and is stored while `order` is away.
async fn what_a_closing_reaches_is_closed_too(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.fill("summary", &["korder"]).await;
    let before = rig.reading("summary").await;
    assert_eq!(rig.close(&["kcustomer"], ONE, LONG).await, 2);
    let within = rig.reading("summary").await;
    assert_eq!(rig.try_fill("summary", &["korder"], &before).await, FENCED);
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    assert_eq!(rig.begins_and_fills("report", &["ksummary"]).await, CLOSED, "two steps away");
    rig.close(&["kother"], OTHER, LONG).await;
    rig.open(&["kother"], OTHER).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED, "not the other's to open");
    rig.open(&["kcustomer"], ONE).await;
    assert_eq!(rig.try_fill("summary", &["korder"], &within).await, FENCED);
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
    assert_eq!(rig.begins_and_fills("report", &["ksummary"]).await, FillReply::Stored);
}

/// Three partitions, one leading to the next. What becomes of what depends on the names there:
/// while the tag is closed, after it was invalidated as well, and after it was opened.
async fn around_a_change_in_three_partitions(rig: Rig) -> [FillReply; 6] {
    rig.fill("a", &["tT"]).await;
    rig.fill("b", &["ka"]).await;
    rig.close(&["tT"], ONE, LONG).await;
    let closed = [rig.begins_and_fills("c", &["ka"]).await, rig.begins_and_fills("c", &["kb"]).await];
    rig.invalidate(&["tT"]).await;
    rig.close(&["tT"], ONE, 2 * LONG).await;
    let renewed = [rig.begins_and_fills("c", &["ka"]).await, rig.begins_and_fills("c", &["kb"]).await];
    rig.open(&["tT"], ONE).await;
    let opened = [rig.begins_and_fills("c", &["ka"]).await, rig.begins_and_fills("c", &["kb"]).await];
    [closed[0], closed[1], renewed[0], renewed[1], opened[0], opened[1]]
}

/// ★ What depends on them is not reached any more when the change is made.
#[tokio::test]
async fn each_rule_of_closings_in_several_partitions_is_needed() {
    use crate::store::rules::Rule::*;
    let expected = [CLOSED, CLOSED, CLOSED, CLOSED, FillReply::Stored, FillReply::Stored];
    assert_eq!(around_a_change_in_three_partitions(Rig::of_partitions(16)).await, expected);
    for rule in [ClosingsFollowMarks, MarksOfClosedNamesStay] {
        assert_ne!(around_a_change_in_three_partitions(Rig::breaking(rule, 16)).await, expected, "without {rule:?}");
    }
}

async fn what_is_reached_in_a_circle_is_closed_too(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("b", &["ka"]).await;
    rig.fill("c", &["kb"]).await;
    rig.fill("a", &["kc", "tT"]).await;
    rig.close(&["tT"], ONE, LONG).await;
    for name in ["ka", "kb", "kc"] {
        assert_eq!(rig.begins_and_fills("summary", &[name]).await, CLOSED, "{name}");
    }
    rig.open(&["tT"], ONE).await;
    assert_eq!(rig.begins_and_fills("summary", &["ka", "kb", "kc"]).await, FillReply::Stored);
}

/// Of several partitions none sees that it is one.
async fn a_circle_that_was_closed_leaves_the_indexes_of_what_is_stored(rig: Rig) {
    rig.fill("a", &["tT"]).await;
    rig.fill("b", &["ka"]).await;
    rig.fill("a", &["kb", "tT"]).await;
    rig.close(&["tT"], ONE, LONG).await;
    rig.open(&["tT"], ONE).await;
    rig.fill("summary", &["ka", "kb", "kc"]).await;
    assert_eq!(rig.bookkeeping().await, 3);
}

async fn what_an_expired_entry_leads_to_is_closed_too(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.fill("summary", &["korder"]).await;
    rig.store.discard("order", Token::new(), None, far()).await.unwrap();
    assert_eq!(rig.close(&["kcustomer"], ONE, LONG).await, 1);
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    rig.open(&["kcustomer"], ONE).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
}

async fn who_goes_on_with_a_closing_closes_what_it_reaches(rig: Rig) {
    const MANY: usize = 400;
    let orders: Vec<String> = (0..MANY).map(|number| format!("order:{number:03}")).collect();
    for order in &orders {
        rig.fill(order, &["kcustomer"]).await;
    }
    let first = close_once(&rig, &parse(&["kcustomer"]), ONE, LONG).await.unwrap();
    assert!(first.pending > 0, "there should be more than one chunk");
    rig.invalidate(&["kcustomer"]).await;
    for order in &orders {
        assert_eq!(rig.begins_and_fills("summary", &[&format!("k{order}")]).await, CLOSED);
    }
    rig.open(&["kcustomer"], ONE).await;
    rig.until_opened("summary", &["korder:000"]).await;
    rig.until_opened("summary", &["korder:399"]).await;
}

async fn what_is_reached_stays_closed_as_long_as_its_operation_renews(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.close(&["kcustomer"], ONE, 500 * SHORT).await;
    rig.close(&["kcustomer"], ONE, LONG).await;
    rig.close(&["tS"], OTHER, 500 * SHORT).await;
    rig.until_opened("b", &["tS"]).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    rig.open(&["kcustomer"], ONE).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
    rig.close(&["korder"], ONE, SHORT).await;
    let within = rig.reading("report").await;
    rig.until_opened("b", &["korder", "ksummary"]).await;
    assert_eq!(rig.try_fill("report", &["ksummary"], &within).await, FENCED, "they end with it");
}

/// ★ Names come together that different chunks have closed, where there are several partitions.
async fn what_was_closed_one_after_the_other_is_renewed_and_opened_at_once(rig: Rig) {
    let (names, reached) = (["kcustomer", "kitem"], ["korder", "kpart"]);
    rig.fill("order", &[names[0]]).await;
    rig.fill("part", &[names[1]]).await;
    for (name, lasts) in std::iter::zip(names, [1_000, 1_100]) {
        rig.close(&[name], ONE, lasts * SHORT).await;
    }
    rig.close(&names, ONE, LONG).await;
    rig.close(&["tS"], OTHER, 1_200 * SHORT).await;
    rig.until_opened("b", &["tS"]).await;
    for name in reached {
        assert_eq!(rig.begins_and_fills("summary", &[name]).await, CLOSED, "{name}");
    }
    rig.close(&names[1..], ONE, 2 * LONG).await;
    rig.open(&names, ONE).await;
    for name in reached {
        assert_eq!(rig.begins_and_fills("summary", &[name]).await, FillReply::Stored, "{name}");
    }
}

async fn a_write_opens_what_its_own_operation_has_reached(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.close(&["kcustomer"], ONE, LONG).await;
    let clock = rig.reading("customer").await;
    assert_eq!(rig.write_opening("customer", &["korder"], &clock, ONE).await, FillReply::Stored);
    assert_eq!(rig.try_fill("summary", &["korder"], &clock).await, FENCED);
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
}

async fn what_is_reached_beyond_the_limit_closes_what_depends_on_keys(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.close_many(REACHED_NAMES_MAX, OTHER).await;
    rig.close(&["kcustomer"], ONE, LONG).await;
    let within = rig.reading("summary").await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, FillReply::Stored, "it depends on no key");
    rig.open(&["kcustomer"], ONE).await;
    let refused = rig.try_fill("summary", &["korder"], &within).await;
    assert_eq!(refused, FillReply::Refused(Refusal::BelowFloor));
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
}

async fn who_closes_a_closed_name_closes_what_it_had_led_to(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.fill("total", &["korder"]).await;
    rig.close(&["kcustomer"], ONE, LONG).await;
    rig.close(&["tT", "kcustomer"], OTHER, LONG).await;
    rig.open(&["kcustomer"], ONE).await;
    let within = rig.reading("summary").await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    assert_eq!(rig.begins_and_fills("summary", &["ktotal"]).await, CLOSED, "two steps away");
    rig.open(&["tT", "kcustomer"], OTHER).await;
    assert_eq!(rig.try_fill("summary", &["korder"], &within).await, FENCED);
    assert_eq!(rig.begins_and_fills("summary", &["korder", "ktotal"]).await, FillReply::Stored);
}

async fn who_closes_a_reached_name_closes_what_it_had_led_to(rig: Rig) {
    rig.fill("customer", &["tT"]).await;
    rig.fill("order", &["kcustomer"]).await;
    rig.close(&["tT"], ONE, LONG).await;
    rig.close(&["kcustomer"], OTHER, LONG).await;
    rig.open(&["tT"], ONE).await;
    rig.close(&["kcustomer"], OTHER, 2 * LONG).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    rig.open(&["kcustomer"], OTHER).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
    assert_eq!(rig.begins_and_fills("customer", &["tT"]).await, FillReply::Stored);
}

async fn who_closes_a_closed_name_takes_over_that_all_dependents_are_closed(rig: Rig) {
    rig.fill("order", &["kcustomer"]).await;
    rig.close_many(REACHED_NAMES_MAX, ClosingId(3)).await;
    rig.close(&["kcustomer"], ONE, LONG).await;
    rig.close(&["kcustomer"], OTHER, LONG).await;
    rig.open(&["kcustomer"], ONE).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, CLOSED);
    rig.open(&["kcustomer"], OTHER).await;
    assert_eq!(rig.begins_and_fills("summary", &["korder"]).await, FillReply::Stored);
}

/// Nobody waits for a load that is not stored.
async fn the_lease_of_a_closed_key_is_free(rig: Rig) {
    rig.close(&["ka"], ONE, LONG).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    rig.open(&["ka"], ONE).await;
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Granted(_)));
    assert!(matches!(rig.lease("a", Token::new()).await, LeaseReply::Held { .. }));
}

async fn clear_leaves_closed_names_closed(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    rig.sweep("*", &[SweepScope::Values, SweepScope::AllIndexes]).await;
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, CLOSED);
}

fn many(count: usize, first: usize) -> Vec<Name> {
    (first..first + count).map(|number| Name::tag(&number.to_string()).unwrap()).collect()
}

async fn what_is_closed_at_once_is_bounded(rig: Rig) {
    rig.close_many(CLOSED_NAMES_MAX, ONE).await;
    rig.fill("a", &["tT"]).await;
    let error = close_once(&rig, &parse(&["tT"]), ONE, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(rig.get("a").await.is_some(), "nothing was done");
    close_once(&rig, &many(10, 0), ONE, LONG).await.expect("what is closed may be closed again");
    rig.operate(&many(1, 0), Intent::Open { by: ONE }).await;
    close_once(&rig, &parse(&["tT"]), OTHER, LONG).await.expect("there is room again");
    assert_eq!(rig.begins_and_fills("b", &["t9999"]).await, CLOSED);
}

async fn many_closed_names_end_a_slice_at_a_time(rig: Rig) {
    for by in 0..6 {
        close_once(&rig, &many(INVALIDATE_NAMES_PER_CHUNK, 0), ClosingId(by), SHORT).await.unwrap();
    }
    let clock = rig.reading("a").await;
    rig.until_opened("b", &["t0", "t255"]).await;
    assert!(matches!(rig.try_fill("a", &["t128"], &clock).await, FillReply::Refused(_)));
    assert_eq!(rig.begins_and_fills("a", &["t128"]).await, FillReply::Stored);
}

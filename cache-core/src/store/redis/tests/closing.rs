//! Marks of closed names in the clock.

use super::*;
use crate::name::Name;
use crate::store::ClosingId;

on_every_server! {
    what_is_closed_stays_closed_on_a_new_primary
    nothing_is_left_of_names_that_were_opened_or_have_ended
    a_clock_that_is_lost_takes_its_marks_along
    a_write_with_many_names_registers_every_index_of_them
}

const LONG: Duration = Duration::from_secs(3_600);
const ONE: ClosingId = ClosingId(1);
const OTHER: ClosingId = ClosingId(2);
const CLOSED: FillReply = FillReply::Refused(Refusal::Closed);

/// How many members of the clock are about closed names.
async fn marks(rig: &Rig) -> usize {
    match rig.raw_command(&["ZRANGE", "~clock", "(0", "(1", "BYSCORE"]).await {
        ::redis::Value::Array(members) => members.len(),
        reply => panic!("{reply:?}"),
    }
}

/// A replica that has taken over has the marks, and the operations go on.
async fn what_is_closed_stays_closed_on_a_new_primary(rig: Rig) {
    let many: Vec<String> = (0..250).map(|number| format!("t{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    rig.close(&many, ONE, LONG).await;
    rig.close(&["t0"], OTHER, LONG).await;
    let before = marks(&rig).await;
    rig.take_over().await;
    rig.reading("a").await;
    assert_eq!(marks(&rig).await, before);
    for tag in ["t0", "t249"] {
        assert_eq!(rig.begins_and_fills("a", &[tag]).await, CLOSED);
    }
    rig.open(&many, ONE).await;
    assert_eq!(rig.begins_and_fills("a", &["t0"]).await, CLOSED);
    rig.open(&["t0"], OTHER).await;
    assert_eq!(rig.begins_and_fills("a", &["t0", "t249"]).await, FillReply::Stored);
    assert_eq!(marks(&rig).await, 0);
}

async fn nothing_is_left_of_names_that_were_opened_or_have_ended(rig: Rig) {
    rig.close(&["ka", "tT"], ONE, LONG).await;
    rig.close(&["tT"], OTHER, Duration::from_millis(1)).await;
    assert_eq!(marks(&rig).await, 6, "three marks, two names, and the number of marks");
    rig.open(&["ka", "tT"], ONE).await;
    rig.until_opened("a", &["tT"]).await;
    assert_eq!(marks(&rig).await, 0);
}

/// With everything else: see `store/redis/lua/clock.lua`.
async fn a_clock_that_is_lost_takes_its_marks_along(rig: Rig) {
    rig.close(&["tT"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    rig.raw_command(&["DEL", "~clock"]).await;
    assert_eq!(rig.try_fill("a", &["tT"], &clock).await, FillReply::Refused(Refusal::ForeignIncarnation));
    assert_eq!(rig.begins_and_fills("a", &["tT"]).await, FillReply::Stored);
    rig.close(&["tT"], ONE, LONG).await;
    assert_eq!(rig.get("a").await, None, "a renewal removes what was stored meanwhile");
    rig.open(&["tT"], ONE).await;
    rig.open(&["tT"], ONE).await;
    assert_eq!((marks(&rig).await, rig.begins_and_fills("a", &["tT"]).await), (0, FillReply::Stored));
}

async fn a_write_with_many_names_registers_every_index_of_them(rig: Rig) {
    let names: Vec<Name> = (1_000..5_050).map(|number| Name::tag(&number.to_string()).unwrap()).collect();
    rig.close(&["ka"], ONE, LONG).await;
    let clock = rig.reading("a").await;
    assert_eq!(rig.write_bytes_opening("a", &names, &clock, ONE, b"a").await, FillReply::Stored);
    let due = rig.raw_command(&["ZCARD", "~due"]).await;
    assert_eq!((rig.bookkeeping().await, due), (names.len(), ::redis::Value::Int(names.len() as i64)));
}

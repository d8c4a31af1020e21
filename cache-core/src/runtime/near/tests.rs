//! One table of copies, with its placeholders and its limits.

use super::*;
use crate::key::CachedFunction;
use crate::observe::CounterTable;

static FUNCTION: CachedFunction = CachedFunction::of_one("function", ":{}");

fn near(entries_max: usize, bytes_max: usize) -> Arc<Near> {
    let config = Config { near_entries_max: entries_max, near_bytes_max: bytes_max, ..Config::default() };
    Near::new(fastrand::u128(..), &config, None)
}

fn place(id: u64) -> NearPlace {
    NearPlace::new(&FUNCTION).part(&id).finish().unwrap()
}

fn key(id: u64) -> Arc<str> {
    format!("function:{id}").into()
}

fn keep_as(placeholder: Placeholder, id: u64, voucher: &Arc<Voucher>, value: u64) {
    keep_at(&place(id), 100, placeholder, voucher, value);
}

fn keep_at(place: &NearPlace, bytes: usize, placeholder: Placeholder, voucher: &Arc<Voucher>, value: u64) {
    placeholder.keep(NewCopy {
        place,
        lifespan: Lifespan::Near(Duration::from_secs(5)),
        bytes,
        voucher: voucher.clone(),
        counters: SharedCounters::Looked(CounterTable::default().prefix("function")),
        value,
    });
}

fn keep(near: &Arc<Near>, id: u64) {
    keep_as(near.expect(&key(id)).unwrap(), id, &Voucher::for_good(), id);
}

impl Near {
    fn check(&self) {
        let board = self.board();
        board.check();
    }
}

#[test]
fn a_copy_is_served_until_its_entry_changes() {
    let near = near(10, 1 << 20);
    keep(&near, 1);
    keep(&near, 2);
    assert_eq!((near.get::<u64>(&place(1), None), near.get::<u64>(&place(3), None)), (Some(1), None));
    assert_eq!(near.get::<u32>(&place(1), None), None, "of another type");
    drop(near.changed("function:1"));
    assert_eq!((near.get::<u64>(&place(1), None), near.get::<u64>(&place(2), None)), (None, Some(2)));
    drop(near.lost());
    assert_eq!(near.get::<u64>(&place(2), None), None);
    near.check();
    assert!(near.board().is_empty() && near.table.len() == 0);
}

#[test]
fn a_read_that_began_before_a_change_makes_no_copy() {
    let (near, voucher) = (near(10, 1 << 20), Voucher::for_good());
    for change in [|near: &Near| near.changed("function:1"), Near::lost] {
        let placeholder = near.expect(&key(1)).unwrap();
        drop(change(&near));
        let later = near.expect(&key(1)).unwrap();
        keep_as(placeholder, 1, &voucher, 1);
        assert_eq!(near.get::<u64>(&place(1), None), None);
        keep_as(later, 1, &voucher, 2);
        assert_eq!(near.get::<u64>(&place(1), None), Some(2));
    }
    near.check();
}

#[test]
fn a_connection_that_has_ended_makes_no_copy_and_vouches_for_none() {
    let (near, voucher) = (near(10, 1 << 20), Voucher::of_connection());
    voucher.answered(clock::now());
    let (before, after) = (near.expect(&key(1)).unwrap(), near.expect(&key(2)).unwrap());
    keep_as(before, 1, &voucher, 1);
    assert_eq!(near.get::<u64>(&place(1), None), Some(1));
    voucher.revoke();
    keep_as(after, 2, &voucher, 2);
    assert_eq!((near.get::<u64>(&place(1), None), near.get::<u64>(&place(2), None)), (None, None));
    assert_eq!(near.table.len(), 1);
}

#[test]
fn after_a_change_of_this_process_a_later_answer_is_needed() {
    let (near, voucher) = (near(10, 1 << 20), Voucher::of_connection());
    voucher.answered(clock::now());
    keep_as(near.expect(&key(1)).unwrap(), 1, &voucher, 1);
    assert_eq!(near.get::<u64>(&place(1), None), Some(1));
    near.doubt();
    assert_eq!(near.get::<u64>(&place(1), None), None);
    voucher.answered(clock::now());
    assert_eq!(near.get::<u64>(&place(1), None), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_ends_with_its_lifetime_or_with_the_silence_of_its_connection() {
    let (near, voucher) = (near(10, 1 << 20), Voucher::of_connection());
    voucher.answered(clock::now());
    keep_as(near.expect(&key(1)).unwrap(), 1, &voucher, 1);
    keep_as(near.expect(&key(2)).unwrap(), 2, &Voucher::for_good(), 2);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!((near.get(&place(1), None), near.get(&place(2), None)), (Some(1_u64), Some(2_u64)));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!((near.get::<u64>(&place(1), None), near.get(&place(2), None)), (None, Some(2_u64)));
    tokio::time::advance(Duration::from_millis(3_998)).await;
    assert_eq!(near.get(&place(2), None), Some(2_u64));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(near.get::<u64>(&place(2), None), None);
}

#[test]
fn the_copies_that_are_not_used_give_way_by_number_and_by_size() {
    for near in [near(3, 1 << 20), near(100, 3 * 424 + 423)] {
        (0..3).for_each(|id| keep(&near, id));
        assert_eq!((near.get(&place(0), None), near.get(&place(2), None)), (Some(0_u64), Some(2_u64)));
        keep(&near, 3);
        let kept: Vec<u64> = (0..4).filter_map(|id| near.get(&place(id), None)).collect();
        assert_eq!(kept, [0, 2, 3]);
        near.check();
        assert_eq!(near.table.len(), 3);
    }
}

/// The arguments are a part of the copy.
#[test]
fn long_arguments_count() {
    let (near, argument) = (near(100, 10_000), "x".repeat(3_000));
    let place = |id: u64| NearPlace::new(&FUNCTION).part(&id).part(&*argument).finish().unwrap();
    for id in 0..10 {
        keep_at(&place(id), 100, near.expect(&key(id)).unwrap(), &Voucher::for_good(), id);
    }
    let kept: Vec<u64> = (0..10).filter_map(|id| near.get(&place(id), None)).collect();
    assert_eq!(kept.len(), 2, "of 3.4 KB each, 10 KB hold two");
    near.check();
}

/// It would push out the others first.
#[test]
fn a_copy_that_is_larger_than_all_may_be_is_not_taken_in() {
    let near = near(100, 10_000);
    (0..3).for_each(|id| keep(&near, id));
    keep_at(&place(3), 9_800, near.expect(&key(3)).unwrap(), &Voucher::for_good(), 3);
    let kept: Vec<u64> = (0..4).filter_map(|id| near.get(&place(id), None)).collect();
    assert_eq!(kept, [0, 1, 2]);
    near.check();
}

#[test]
fn one_place_holds_one_copy() {
    let (near, voucher) = (near(10, 1 << 20), Voucher::for_good());
    for value in 0..3 {
        keep_as(near.expect(&key(1)).unwrap(), 1, &voucher, value);
        assert_eq!(near.get(&place(1), None), Some(value));
    }
    near.check();
    assert_eq!(near.table.len(), 1);
}

#[test]
fn reads_under_way_are_bounded_and_leave_nothing_behind() {
    let near = near(10, 1 << 20);
    let mut expected: Vec<_> =
        (0..crate::config::NEAR_READS_MAX as u64).map(|id| near.expect(&key(id)).unwrap()).collect();
    assert!(near.expect(&key(0)).is_none());
    expected.pop();
    assert!(near.expect(&key(0)).is_some());
    drop(expected);
    near.check();
    assert!(near.board().is_empty());
    assert!(self::near(0, 1 << 20).expect(&key(0)).is_none(), "no copies are to be kept");
}

#[test]
fn whatever_happens_table_and_board_agree() {
    let mut random = fastrand::Rng::with_seed(7);
    let near = near(20, 20 * 300);
    let mut expected = Vec::new();
    for _ in 0..20_000 {
        let id = random.u64(..40);
        match random.u8(..10) {
            0..=3 => expected.push((id, near.expect(&key(id)).unwrap())),
            4..=6 if !expected.is_empty() => {
                let (id, placeholder) = expected.swap_remove(random.usize(..expected.len()));
                keep_as(placeholder, id, &Voucher::for_good(), id);
            }
            7 if random.u8(..50) == 0 => drop(near.lost()),
            7 => drop(expected.pop()),
            8 => drop(near.changed(&key(id))),
            _ => assert!(near.get::<u64>(&place(id), None).is_none_or(|value| value == id)),
        }
        near.check();
        assert!(expected.len() < 2_000);
    }
}

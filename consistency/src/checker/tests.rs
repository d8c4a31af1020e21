use super::naive::is_stale;
use super::*;
use crate::record::How;

fn part(kind: Kind, at: u16, loaded: u64, version: u64) -> Part {
    Part { kind, at, by: 1, loaded, version }
}

fn read(process: u16, start: u64, parts: &[Part]) -> Read {
    Read { process, start, end: start + 1, is_copy: false, parts: parts.to_vec() }
}

/// Process 1 has invalidated these names between `start` and `end`.
fn change(start: u64, end: u64, names: &[Name]) -> Change {
    let names = names.to_vec();
    Change { process: 1, how: How::Tag, start, end, since: start, scope: Scope::Everybody, committed: None, names }
}

/// How many reads of a history of two processes are stale.
fn stale_of(calls: Vec<Call>) -> u64 {
    let mut checker = Checker::new();
    checker.begin(1, 0);
    checker.begin(2, 0);
    let (complete_until, oldest_open) = (u64::MAX, u64::MAX);
    checker.take(1, Batch { complete_until, oldest_open, settled: 0, calls });
    checker.take(2, Batch { complete_until, oldest_open, settled: 0, calls: Vec::new() });
    checker.stale_count()
}

fn judged(change: Change, read: Read) -> u64 {
    stale_of(vec![Call::Read(read), Call::Change(change)])
}

#[test]
fn a_read_after_an_invalidation_is_not_served_an_earlier_load() {
    let leaf = |loaded| [part(Kind::Leaf, 3, loaded, 1)];
    let invalidated = || change(20, 30, &[Name::Key(Kind::Leaf, 3)]);
    assert_eq!(judged(invalidated(), read(2, 31, &leaf(19))), 1);
    assert_eq!(judged(invalidated(), read(2, 31, &leaf(20))), 0, "a load that began with it");
    assert_eq!(judged(invalidated(), read(2, 30, &leaf(19))), 0, "a read that began before it returned");
    assert_eq!(judged(invalidated(), read(2, 31, &[part(Kind::Leaf, 4, 19, 1)])), 0, "another row");
}

#[test]
fn each_way_to_name_an_entry_counts_for_all_that_is_made_from_it() {
    let names = [
        Name::Key(Kind::Leaf, 1),
        Name::Key(Kind::Pair, 2),
        Name::Row(3),
        Name::Group(0),
        Name::Prefix(Kind::Leaf),
        Name::Suffix(1),
        Name::All,
    ];
    for name in names {
        assert_eq!(judged(change(20, 30, &[name]), read(2, 31, &[part(Kind::Board, 0, 10, 0)])), 1, "{name:?}");
    }
    for (kind, name) in [(Kind::ChainA, Name::Group(1)), (Kind::RingB, Name::Row(1)), (Kind::Text, Name::Row(1))] {
        assert_eq!(judged(change(20, 30, &[name]), read(2, 31, &[part(kind, 1, 10, 0)])), 1, "{kind:?}");
    }
    let pair_alone = change(20, 30, &[Name::Key(Kind::Pair, 1)]);
    assert_eq!(judged(pair_alone, read(2, 31, &[part(Kind::Leaf, 1, 10, 0)])), 0, "a leaf is not made from pairs");
}

#[test]
fn every_part_of_a_value_is_judged() {
    let parts = [part(Kind::Pair, 1, 40, 0), part(Kind::Leaf, 1, 40, 9), part(Kind::Leaf, 2, 10, 9)];
    assert_eq!(judged(change(20, 30, &[Name::Row(2)]), read(2, 50, &parts)), 1);
    assert_eq!(judged(change(20, 30, &[Name::Row(3)]), read(2, 50, &parts)), 0);
}

#[test]
fn a_version_that_was_replaced_before_an_invalidation_is_not_served_after_it() {
    let committed = |since| Change { since, committed: Some((3, 8)), ..change(20, 30, &[Name::Row(3)]) };
    let put = |version| [part(Kind::Leaf, 3, NO_LOAD, version)];
    assert_eq!(judged(committed(20), read(2, 31, &put(7))), 1, "what is put has no load");
    assert_eq!(judged(committed(20), read(2, 31, &put(8))), 0);
    // A row that is committed while its names are closed: a load that began before may be of it.
    assert_eq!(judged(committed(0), read(2, 31, &[part(Kind::Leaf, 3, 10, 8)])), 0);
    assert_eq!(judged(committed(0), read(2, 31, &[part(Kind::Leaf, 3, 25, 7)])), 1);
    let of_leaves = Change { names: vec![Name::Key(Kind::Leaf, 3)], ..committed(20) };
    assert_eq!(judged(of_leaves, read(2, 31, &[part(Kind::Early, 3, 10, 7)])), 0, "this entry is not named");
}

#[test]
fn a_copy_may_lag_behind_the_changes_of_other_processes_alone() {
    let copy = |process, start| Read { is_copy: true, ..read(process, start, &[part(Kind::Near, 3, 10, 0)]) };
    let changed = || change(20, 30, &[Name::Row(3)]);
    assert_eq!(judged(changed(), copy(2, 30 + COPY_LAG)), 0);
    assert_eq!(judged(changed(), copy(2, 31 + COPY_LAG)), 1);
    assert_eq!(judged(changed(), copy(1, 31)), 1, "its own change");
}

#[test]
fn an_invalidation_that_failed_counts_for_its_own_process() {
    let failed = || Change { scope: Scope::OwnProcess, ..change(20, 30, &[Name::Row(3)]) };
    assert_eq!(judged(failed(), read(2, 31, &[part(Kind::Leaf, 3, 10, 1)])), 0);
    assert_eq!(judged(failed(), read(1, 31, &[part(Kind::Leaf, 3, 10, 1)])), 1);
}

#[test]
fn an_invalidation_that_never_returned_promises_nothing() {
    assert_eq!(stale_of(vec![Call::Read(read(2, 31, &[part(Kind::Leaf, 3, 10, 1)]))]), 0);
}

#[test]
fn a_read_waits_for_what_others_have_to_tell() {
    let mut checker = Checker::new();
    checker.begin(1, 0);
    checker.begin(2, 0);
    let stale = Call::Read(read(2, 31, &[part(Kind::Leaf, 3, 10, 1)]));
    checker.take(2, Batch { complete_until: 100, oldest_open: 100, settled: 0, calls: vec![stale] });
    checker.take(1, Batch { complete_until: 31, oldest_open: 31, settled: 0, calls: Vec::new() });
    assert_eq!((checker.judged(), checker.waiting.oldest()), (0, 31));
    let late = Call::Change(change(20, 30, &[Name::Row(3)]));
    checker.take(1, Batch { complete_until: 32, oldest_open: 32, settled: 0, calls: vec![late] });
    assert_eq!((checker.judged(), checker.stale_count()), (1, 1));
    let stale = &checker.stale()[0];
    assert_eq!(stale.least, Least::Loaded(20));
    assert_eq!(stale.missed.as_ref().map(|change| change.end), Some(30));
}

#[test]
fn a_failed_invalidation_counts_for_all_from_when_its_process_owes_nothing() {
    let mut checker = Checker::new();
    checker.begin(1, 0);
    checker.begin(2, 0);
    let failed = Change { scope: Scope::OwnProcess, ..change(20, 30, &[Name::Row(3)]) };
    let owes = Batch { complete_until: 40, oldest_open: 40, settled: 0, calls: vec![Call::Change(failed)] };
    checker.take(1, owes);
    checker.take(1, Batch { complete_until: 200, oldest_open: 200, settled: 50, calls: Vec::new() });
    let old = |start| Call::Read(read(2, start, &[part(Kind::Leaf, 3, 10, 1)]));
    let calls = vec![old(45), old(50)];
    checker.take(2, Batch { complete_until: 60, oldest_open: 60, settled: 0, calls });
    assert_eq!((checker.judged(), checker.stale_count()), (2, 0));
    checker.take(2, Batch { complete_until: 70, oldest_open: 70, settled: 0, calls: vec![old(51)] });
    assert_eq!(checker.take_stale_starts(), [51]);
    assert_eq!(checker.stale()[0].missed.as_ref().map(|change| change.end), Some(50));
}

#[test]
fn a_process_that_was_killed_is_not_waited_for() {
    let mut checker = Checker::new();
    checker.begin(1, 0);
    checker.begin(2, 0);
    let fine = Call::Read(read(2, 31, &[part(Kind::Leaf, 3, 10, 1)]));
    checker.take(2, Batch { complete_until: 100, oldest_open: 100, settled: 0, calls: vec![fine] });
    checker.end(1);
    assert_eq!((checker.judged(), checker.stale_count()), (1, 0));
}

/// A history of small numbers, so that calls meet at every edge.
fn history(random: &mut fastrand::Rng) -> (Vec<Read>, Vec<Change>) {
    let unit = SECOND / 4;
    let time = |random: &mut fastrand::Rng| random.u64(0..40) * unit;
    let kinds = [Kind::Leaf, Kind::Pair, Kind::ChainA, Kind::RingB, Kind::Near];
    let names = [
        Name::Key(Kind::Leaf, 0),
        Name::Key(Kind::Pair, 0),
        Name::Key(Kind::ChainC, 1),
        Name::Row(0),
        Name::Row(1),
        Name::Group(0),
        Name::Prefix(Kind::Leaf),
        Name::Suffix(1),
        Name::All,
    ];
    let reads = (0..30).map(|_| {
        let start = time(random);
        let parts = (0..random.usize(1..3)).map(|_| {
            let loaded = if random.u8(0..8) == 0 { NO_LOAD } else { time(random) };
            part(kinds[random.usize(..kinds.len())], random.u16(0..2), loaded, random.u64(0..6))
        });
        let parts: Vec<Part> = parts.collect();
        let (process, is_copy) = (random.u16(1..4), random.bool());
        Read { process, start, end: start + random.u64(0..4) * unit, is_copy, parts }
    });
    let reads: Vec<Read> = reads.collect();
    let changes = (0..12).map(|_| {
        let start = time(random);
        let names = (0..random.usize(1..3)).map(|_| names[random.usize(..names.len())]).collect();
        let since = if random.bool() { start } else { 0 };
        let scope = if random.u8(0..4) == 0 { Scope::OwnProcess } else { Scope::Everybody };
        let committed = random.bool().then(|| (random.u16(0..2), random.u64(1..6)));
        let (process, end) = (random.u16(1..4), start + random.u64(0..6) * unit);
        Change { process, how: How::Tag, start, end, since, scope, committed, names }
    });
    (reads, changes.collect())
}

/// Tells a history as processes would: each what has ended, in batches of its own.
fn told(reads: &[Read], changes: &[Change], random: &mut fastrand::Rng) -> u64 {
    let mut checker = Checker::new();
    let mut left: Vec<Vec<(u64, u64, Call)>> = vec![Vec::new(); 4];
    for read in reads {
        left[usize::from(read.process)].push((read.end, read.start, Call::Read(read.clone())));
    }
    for change in changes {
        left[usize::from(change.process)].push((change.end, change.start, Call::Change(change.clone())));
    }
    (1..4).for_each(|process| checker.begin(process, 0));
    let mut told_until = [0; 4];
    while left.iter().any(|calls| !calls.is_empty()) {
        let process = random.u16(1..4);
        let of = usize::from(process);
        told_until[of] += random.u64(0..8) * SECOND / 4;
        let until = told_until[of];
        let (ended, open): (Vec<_>, Vec<_>) = left[of].drain(..).partition(|(end, ..)| *end < until);
        let oldest_open = open.iter().map(|(_, start, _)| *start).min().unwrap_or(until).min(until);
        left[of] = open;
        let calls = ended.into_iter().map(|(.., call)| call).collect();
        checker.take(process, Batch { complete_until: until, oldest_open, settled: 0, calls });
    }
    (1..4).for_each(|process| checker.end(process));
    assert_eq!(checker.judged(), reads.len() as u64);
    checker.stale_count()
}

#[test]
fn the_checker_agrees_with_the_definition() {
    let seed = std::env::var("CACHE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut stale, mut fine, reach) = (0, 0, Reach::new());
    for round in 0..500 {
        let (reads, changes) = history(&mut random);
        let by_definition = reads.iter().filter(|read| is_stale(read, &changes, &reach)).count() as u64;
        assert_eq!(told(&reads, &changes, &mut random), by_definition, "seed {seed}, round {round}");
        stale += by_definition;
        fine += reads.len() as u64 - by_definition;
    }
    assert!(stale > 1_000 && fine > 1_000, "{stale} and {fine}");
}

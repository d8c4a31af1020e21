//! What came of each fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use hdrhistogram::Histogram;

use super::Promise;
use super::left::Left;
use crate::clock::SECOND;
use crate::record::{Came, Change, How, Probe};

/// One episode. Times are the history's; [`u64::MAX`] is one that has not come.
#[derive(Debug)]
struct Row {
    title: String,
    promise: Promise,
    /// The partitions that are struck; none: all.
    struck_partitions: BTreeSet<u16>,
    calm_from: u64,
    strikes_from: u64,
    over_from: u64,
    recovers_by: u64,
    rests_from: u64,
    /// Calls, in microseconds: before the fault, and while it lasted.
    calm: Calls,
    struck: Calls,
    /// The last hit of each process where the fault strikes, and the longest time without one.
    last_hits: BTreeMap<u16, u64>,
    without_hit: u64,
    /// Invalidations while it lasted.
    invalidations: Histogram<u64>,
    /// Those that failed.
    owed: u64,
    /// The first hit of each process since the fault was over, and when it owed nothing.
    hits: BTreeMap<u16, u64>,
    settled: BTreeMap<u16, u64>,
    /// Processes that stood still: who, since when, until when.
    still: Vec<(u16, u64, u64)>,
    reads: u64,
    failed_calls: u64,
    panics: u64,
    stale: Vec<u64>,
    left: Left,
}

/// How long calls took: where the fault strikes, and elsewhere.
#[derive(Debug)]
struct Calls {
    there: Histogram<u64>,
    elsewhere: Histogram<u64>,
}

impl Calls {
    fn new() -> Self {
        Self { there: histogram(), elsewhere: histogram() }
    }

    fn record(&mut self, is_there: bool, us: u64) {
        record(if is_there { &mut self.there } else { &mut self.elsewhere }, us);
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are possible")
}

fn record(histogram: &mut Histogram<u64>, us: u64) {
    histogram.record(us).expect("the histogram grows");
}

impl Row {
    fn new(title: String, promise: Promise, struck_partitions: BTreeSet<u16>, now: u64) -> Self {
        Self {
            title,
            promise,
            struck_partitions,
            calm_from: u64::MAX,
            strikes_from: u64::MAX,
            // Until there is a fault, a process has recovered with its first hit.
            over_from: now,
            recovers_by: u64::MAX,
            rests_from: u64::MAX,
            calm: Calls::new(),
            struck: Calls::new(),
            last_hits: BTreeMap::new(),
            without_hit: 0,
            invalidations: histogram(),
            owed: 0,
            hits: BTreeMap::new(),
            settled: BTreeMap::new(),
            still: Vec::new(),
            reads: 0,
            failed_calls: 0,
            panics: 0,
            stale: Vec::new(),
            left: Left::default(),
        }
    }

    fn take(&mut self, probe: &Probe) {
        let overlaps = |from, until| probe.start < until && probe.end > from;
        if self.still.iter().any(|(process, from, until)| *process == probe.process && overlaps(*from, *until)) {
            return;
        }
        if probe.start > self.over_from && probe.came == Came::Hit {
            self.hits.entry(probe.process).or_insert(probe.end);
        }
        let is_there = self.struck_partitions.is_empty() || self.struck_partitions.contains(&probe.partition);
        if is_there && probe.came == Came::Hit {
            self.note_hit(probe);
        }
        let took_us = (probe.end - probe.start) / 1_000;
        let is_read = matches!(probe.came, Came::Hit | Came::Loaded);
        let is_struck = overlaps(self.strikes_from, self.over_from.max(self.strikes_from));
        let is_calm = probe.start > self.calm_from && probe.end < self.strikes_from;
        match (is_read, is_calm, is_struck) {
            (true, true, _) => self.calm.record(is_there, took_us),
            (true, _, true) => self.struck.record(is_there, took_us),
            (false, _, true) => {
                record(&mut self.invalidations, took_us);
                self.owed += u64::from(probe.came == Came::Owed);
            }
            _ => {}
        }
    }

    /// Of a process that has had one before, from the begin of the fault on.
    fn note_hit(&mut self, probe: &Probe) {
        if probe.end > self.strikes_from
            && let Some(last) = self.last_hits.get(&probe.process)
        {
            let from = self.strikes_from.max(*last);
            self.without_hit = self.without_hit.max(probe.end.saturating_sub(from));
        }
        self.last_hits.insert(probe.process, probe.end);
    }

    /// Seconds from the end of the fault until the last of these processes was there.
    fn seconds_until(&self, moments: &BTreeMap<u16, u64>) -> f64 {
        let last = moments.values().copied().max().unwrap_or(self.over_from);
        last.saturating_sub(self.over_from) as f64 / SECOND as f64
    }

    /// Stale reads after everything was made good.
    fn lost(&self) -> usize {
        self.stale.iter().filter(|start| **start >= self.rests_from).count()
    }

    fn stale(&self) -> String {
        let last = self.stale.iter().max().map(|last| last.saturating_sub(self.over_from) as f64 / SECOND as f64);
        match (last, self.promise) {
            (None, _) => "0".to_owned(),
            (Some(last), Promise::Measured) => {
                format!("{} (not promised), until {last:.2} s after it", self.stale.len())
            }
            (Some(_), _) => format!("**{}**", self.stale.len()),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FaultLedger(Vec<Row>);

impl FaultLedger {
    pub(crate) fn begin(&mut self, title: String, promise: Promise, struck: BTreeSet<u16>, now: u64) {
        self.0.push(Row::new(title, promise, struck, now));
    }

    pub(crate) fn calm(&mut self, now: u64) {
        self.with(|row| row.calm_from = now);
    }

    pub(crate) fn strike(&mut self, now: u64) {
        self.with(|row| {
            (row.strikes_from, row.over_from, row.recovers_by) = (now, u64::MAX, u64::MAX);
            row.hits.clear();
            row.settled.clear();
        });
    }

    pub(crate) fn over(&mut self, now: u64) {
        self.with(|row| row.over_from = now);
    }

    /// Whether each of these processes has recovered from what was there.
    pub(crate) fn has_recovered(&self, mut processes: impl Iterator<Item = u16>) -> bool {
        self.0.last().is_none_or(|row| {
            processes.all(|process| row.hits.contains_key(&process) && row.settled.contains_key(&process))
        })
    }

    pub(crate) fn recovered(&mut self, now: u64, processes: &BTreeSet<u16>) {
        self.with(|row| {
            row.recovers_by = now;
            row.hits.retain(|process, _| processes.contains(process));
            row.settled.retain(|process, _| processes.contains(process));
        });
    }

    pub(crate) fn rest(&mut self, now: u64) {
        self.with(|row| row.rests_from = now);
    }

    /// All is read that is to be read: how many reads, failed calls and panics there were since the
    /// row began, and when the stale ones began.
    pub(crate) fn close(&mut self, reads: u64, failed_calls: u64, panics: u64, stale: Vec<u64>) {
        let before = |count: fn(&Row) -> u64, rows: &[Row]| rows.iter().map(count).sum::<u64>();
        let reads = reads - before(|row| row.reads, &self.0);
        let failed_calls = failed_calls - before(|row| row.failed_calls, &self.0);
        let panics = panics - before(|row| row.panics, &self.0);
        self.with(|row| (row.reads, row.failed_calls, row.panics, row.stale) = (reads, failed_calls, panics, stale));
    }

    pub(crate) fn leave(&mut self, left: Left) {
        self.with(|row| row.left = left);
    }

    pub(crate) fn take(&mut self, probe: &Probe) {
        self.with(|row| row.take(probe));
    }

    /// A process owes nothing.
    pub(crate) fn settled(&mut self, process: u16, at: u64) {
        self.with(|row| {
            if at > row.over_from {
                row.settled.entry(process).or_insert(at);
            }
        });
    }

    pub(crate) fn stands_still(&mut self, process: u16, now: u64) {
        self.with(|row| row.still.push((process, now, u64::MAX)));
    }

    pub(crate) fn goes_on(&mut self, now: u64) {
        self.with(|row| row.still.iter_mut().for_each(|(_, _, until)| *until = now.min(*until)));
    }

    /// Whether nothing is promised by this: names that were closed may not be so any more.
    pub(crate) fn excuses(&self, change: &Change) -> bool {
        let lost = |row: &Row| {
            let is_lost = row.promise != Promise::Kept;
            is_lost && change.start < row.recovers_by && change.end > row.strikes_from
        };
        change.how == How::Commit && self.0.last().is_some_and(lost)
    }

    fn with(&mut self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.0.last_mut() {
            change(row);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all that is promised is kept, but for calls that failed, panics and stale reads.
    pub(crate) fn holds(&self) -> bool {
        self.0.iter().all(|row| {
            let loses = row.promise != Promise::Measured && row.lost() > 0;
            !loses && row.left.holds()
        })
    }

    /// What each fault came to, a row each.
    pub(crate) fn table(&self) -> String {
        match self.0.iter().any(|row| row.left.partitions > 1 || !row.struck_partitions.is_empty()) {
            true => self.table_of_cluster(),
            false => self.table_of_server(),
        }
    }

    /// The same, with what partitions saw of it that were not struck.
    fn table_of_cluster(&self) -> String {
        let mut text =
            "| fault | lasted | reads | stale | lost | failed calls, panics | calls elsewhere: p99 before, under it | \
                        calls there: p99 before, under it, longest | without a hit there | \
                        invalidations: p99, longest, failed | first hits after | made good after | left |\n\
                        |---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        let seconds = |from: u64, until: u64| until.saturating_sub(from) as f64 / SECOND as f64;
        for row in &self.0 {
            let [elsewhere, there] =
                [[&row.calm.elsewhere, &row.struck.elsewhere], [&row.calm.there, &row.struck.there]]
                    .map(|calls| calls.map(|calls| ms(calls.value_at_quantile(0.99))));
            let elsewhere = match row.calm.elsewhere.is_empty() {
                true => "–".to_owned(),
                false => format!("{:.1}, {:.1} ms", elsewhere[0], elsewhere[1]),
            };
            _ = writeln!(
                text,
                "| {} | {:.1} s | {} | {} | {} | {}, {} | {elsewhere} | {:.1}, {:.1}, {:.1} ms | {:.2} s | \
                 {:.1}, {:.0} ms, {} of {} | {:.2} s | {:.2} s | {} keys, {} bytes after {:.1} s |",
                row.title,
                seconds(row.strikes_from, row.over_from),
                row.reads,
                row.stale(),
                row.lost(),
                row.failed_calls,
                row.panics,
                there[0],
                there[1],
                ms(row.struck.there.max()),
                seconds(0, row.without_hit),
                ms(row.invalidations.value_at_quantile(0.99)),
                ms(row.invalidations.max()),
                row.owed,
                row.invalidations.len(),
                row.seconds_until(&row.hits),
                row.seconds_until(&row.settled),
                row.left.keys,
                row.left.bytes,
                row.left.after.as_secs_f64(),
            );
        }
        text
    }

    fn table_of_server(&self) -> String {
        let mut text =
            "| fault | reads | stale | lost | failed calls | panics | calls before: p99, longest | calls under it | \
                        invalidations: longest, failed | first hits after | made good after | left |\n\
                        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        let times = |histogram: &Histogram<u64>| {
            format!("{:.1}, {:.1} ms", ms(histogram.value_at_quantile(0.99)), ms(histogram.max()))
        };
        for row in &self.0 {
            _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {:.0} ms, {} of {} | {:.2} s | {:.2} s | {} key, {} bytes after {:.1} s{} |",
                row.title,
                row.reads,
                row.stale(),
                row.lost(),
                row.failed_calls,
                row.panics,
                times(&row.calm.there),
                times(&row.struck.there),
                ms(row.invalidations.max()),
                row.owed,
                row.invalidations.len(),
                row.seconds_until(&row.hits),
                row.seconds_until(&row.settled),
                row.left.keys,
                row.left.bytes,
                row.left.after.as_secs_f64(),
                row.left.complaint(),
            );
        }
        text
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Scope;

    const MS: u64 = 1_000_000;

    fn probe(process: u16, start_ms: u64, end_ms: u64, came: Came) -> Probe {
        Probe { process, partition: 0, start: start_ms * MS, end: end_ms * MS, came }
    }

    /// Calm from 100 ms on, a fault from 200 to 300 ms.
    fn ledger(probes: &[Probe]) -> FaultLedger {
        let mut ledger = FaultLedger::default();
        ledger.begin("a fault".to_owned(), Promise::Kept, BTreeSet::new(), 0);
        ledger.calm(100 * MS);
        ledger.strike(200 * MS);
        ledger.over(300 * MS);
        probes.iter().for_each(|probe| ledger.take(probe));
        ledger
    }

    #[test]
    fn a_call_counts_under_the_fault_that_it_overlaps() {
        let calm = [probe(1, 50, 60, Came::Hit), probe(1, 110, 115, Came::Loaded)];
        let struck = [probe(1, 190, 201, Came::Loaded), probe(1, 299, 330, Came::Loaded)];
        let ledger = ledger(&[&calm[..], &struck[..]].concat());
        let row = &ledger.0[0];
        assert_eq!((row.calm.there.len(), row.calm.there.max()), (1, 5_003));
        assert_eq!((row.struck.there.len(), row.struck.there.max() / 1_000), (2, 31));
    }

    #[test]
    fn calls_of_other_partitions_are_told_apart_and_the_time_without_a_hit_is_where_the_fault_is() {
        let mut ledger = FaultLedger::default();
        ledger.begin("a fault".to_owned(), Promise::Kept, BTreeSet::from([3]), 0);
        ledger.calm(100 * MS);
        let of = |partition, start_ms, end_ms| Probe { partition, ..probe(1, start_ms, end_ms, Came::Hit) };
        ledger.take(&of(3, 150, 160));
        ledger.strike(200 * MS);
        ledger.over(300 * MS);
        [of(4, 210, 212), of(3, 270, 275), of(3, 280, 350)].iter().for_each(|probe| ledger.take(probe));
        let row = &ledger.0[0];
        assert_eq!((row.struck.elsewhere.len(), row.struck.there.len(), row.calm.there.len()), (1, 2, 1));
        assert_eq!(row.without_hit, 75 * MS, "from the begin of the fault, or from the hit before");
    }

    #[test]
    fn a_process_that_stood_still_says_nothing_of_the_cache() {
        let mut ledger = ledger(&[]);
        ledger.stands_still(1, 220 * MS);
        ledger.goes_on(280 * MS);
        ledger.take(&probe(1, 219, 281, Came::Loaded));
        assert_eq!(ledger.0[0].struck.there.len(), 0);
        ledger.take(&probe(2, 219, 281, Came::Loaded));
        assert_eq!(ledger.0[0].struck.there.len(), 1);
    }

    #[test]
    fn a_process_has_recovered_when_it_hits_and_owes_nothing() {
        let mut ledger = ledger(&[probe(1, 299, 310, Came::Hit), probe(1, 320, 330, Came::Loaded)]);
        ledger.settled(1, 299 * MS);
        ledger.settled(1, 400 * MS);
        assert!(!ledger.has_recovered([1].into_iter()), "a hit from before the end says nothing");
        ledger.take(&probe(1, 350, 360, Came::Hit));
        assert!(ledger.has_recovered([1].into_iter()));
        assert!(!ledger.has_recovered([1, 2].into_iter()));
        ledger.recovered(500 * MS, &BTreeSet::from([1]));
        let row = &ledger.0[0];
        assert_eq!((row.seconds_until(&row.hits), row.seconds_until(&row.settled)), (0.06, 0.1));
    }

    #[test]
    fn the_commit_of_a_closed_name_is_excused_while_marks_may_be_lost() {
        let excused = |promise, how, start_ms, end_ms| {
            let mut ledger = FaultLedger::default();
            ledger.begin("a fault".to_owned(), promise, BTreeSet::new(), 0);
            ledger.recovered(50 * MS, &BTreeSet::new());
            ledger.strike(200 * MS);
            ledger.over(300 * MS);
            let (start, end) = (start_ms * MS, end_ms * MS);
            let (scope, committed, names) = (Scope::Everybody, Some((1, 2)), Vec::new());
            ledger.excuses(&Change { process: 1, how, start, end, since: 0, scope, committed, names })
        };
        assert!(excused(Promise::KeptWithoutMarks, How::Commit, 190, 210));
        assert!(excused(Promise::Measured, How::Commit, 310, 320), "until everybody has recovered");
        assert!(!excused(Promise::KeptWithoutMarks, How::Commit, 100, 199));
        assert!(!excused(Promise::KeptWithoutMarks, How::Open, 210, 220));
        assert!(!excused(Promise::Kept, How::Commit, 210, 220));
    }

    #[test]
    fn a_stale_read_after_all_was_made_good_is_an_invalidation_that_was_lost() {
        let mut ledger = ledger(&[]);
        ledger.rest(600 * MS);
        ledger.close(9, 0, 0, vec![310 * MS, 601 * MS]);
        assert_eq!(ledger.0[0].lost(), 1);
        assert!(ledger.table().contains("| a fault | 9 | **2** | 1 |"), "{}", ledger.table());
    }
}

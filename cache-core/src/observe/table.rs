//! The statistics as a table.

use std::fmt;

use super::stats::{PrefixStats, Stats};

/// The columns of the table: what they are called, and what they hold.
type Column = (&'static str, fn(&PrefixStats) -> String);

const COLUMNS: [Column; 15] = [
    ("hits", |line| line.hits.to_string()),
    ("near", |line| line.near_hits.to_string()),
    ("stale", |line| line.stale_hits.to_string()),
    ("misses", |line| line.misses.to_string()),
    ("shared", |line| line.shared.to_string()),
    ("rate", |line| format!("{:.1}%", line.hit_rate() * 100.0)),
    ("loads", |line| line.loads.to_string()),
    ("fills", |line| line.fills.to_string()),
    ("refused", |line| line.refused_fills.to_string()),
    ("unstored", |line| line.unstored.to_string()),
    ("bad", |line| line.bad_entries.to_string()),
    ("errors", |line| line.errors.to_string()),
    ("bypasses", |line| line.bypasses.to_string()),
    ("invalidated", |line| line.invalidated.to_string()),
    ("hidden", |line| line.hidden_failures.to_string()),
];

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = std::iter::once("prefix").chain(COLUMNS.map(|(title, _)| title)).map(str::to_owned).collect();
        let mut table: Vec<Vec<String>> = vec![head];
        let spoken = self.spoken();
        let prefixes = spoken.iter().map(|(prefix, line)| (*prefix, line));
        for (prefix, line) in prefixes.chain(std::iter::once(("total", self.total()))) {
            table.push(std::iter::once(prefix.to_owned()).chain(COLUMNS.map(|(_, cell)| cell(line))).collect());
        }
        let widths: Vec<usize> = (0..=COLUMNS.len())
            .map(|at| table.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
            .collect();
        for (at, line) in table.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{:width$}", line[0], width = widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::{CounterTable, Counters};

    #[test]
    fn it_prints_one_aligned_line_per_prefix_and_a_total() {
        let counted = CounterTable::default();
        let airport = counted.prefix("airport");
        for (count, counter) in [
            Counters::hits,
            Counters::stale_hits,
            Counters::misses,
            Counters::shared,
            Counters::loads,
            Counters::fills,
            Counters::refused_fills,
            Counters::unstored,
            Counters::bad_entries,
            Counters::errors,
            Counters::bypasses,
            Counters::invalidated,
            Counters::hidden_failures,
        ]
        .into_iter()
        .enumerate()
        {
            counter(&airport, 10 + count as u64);
        }
        (0..2).for_each(|_| airport.near_hit());
        counted.prefix("flüge").misses(2);
        // A key that was given as text is not said.
        counted.prefix("ann@example.com").misses(1);
        ["airport", "flüge"].iter().for_each(|prefix| counted.prefix(prefix).may_be_said());
        let expected = "\
prefix   hits  near  stale  misses  shared   rate  loads  fills  refused  unstored  bad  errors  bypasses  invalidated  hidden
airport    10     2     11      12      13  50.0%     14     15       16        17   18      19        20           21      22
flüge       0     0      0       2       0   0.0%      0      0        0         0    0       0         0            0       0
~other      0     0      0       1       0   0.0%      0      0        0         0    0       0         0            0       0
total      10     2     11      15      13  44.4%     14     15       16        17   18      19        20           21      22";
        assert_eq!(counted.snapshot().to_string(), expected);
    }
}

//! The prefixes of statistics, one after the other.

use std::collections::btree_map;

use super::stats::{PrefixStats, Stats};

impl<'a> IntoIterator for &'a Stats {
    type Item = (&'a str, &'a PrefixStats);
    type IntoIter = StatsIter<'a>;

    /// As [`prefixes`](Stats::prefixes).
    fn into_iter(self) -> StatsIter<'a> {
        StatsIter(self.by_prefix.iter())
    }
}

/// Every prefix with its counters, in order. Made by iterating over `&`[`Stats`].
#[derive(Clone, Debug)]
pub struct StatsIter<'a>(btree_map::Iter<'a, String, PrefixStats>);

impl<'a> Iterator for StatsIter<'a> {
    type Item = (&'a str, &'a PrefixStats);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(prefix, stats)| (prefix.as_str(), stats))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for StatsIter<'_> {}

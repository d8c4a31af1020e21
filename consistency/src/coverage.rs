//! What a history has come across, as the caches of its processes count it.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Branches of the protocol that a history is to come across, by the counters of the cache, and
/// where it can do so.
const BRANCHES: &[(&str, Where)] = &[
    ("hits", Where::Everywhere),
    ("misses", Where::Everywhere),
    ("shared", Where::Everywhere),
    ("near_hits", Where::Everywhere),
    ("stale_hits", Where::Everywhere),
    ("stand_ins", Where::Everywhere),
    ("refreshes", Where::Everywhere),
    ("loads", Where::Everywhere),
    ("failed_loads", Where::Everywhere),
    ("cancelled_loads", Where::Everywhere),
    ("hidden_failures", Where::Everywhere),
    ("fills", Where::Everywhere),
    ("invalidated", Where::Everywhere),
    ("not stored: not_wanted", Where::Everywhere),
    ("not stored: made_from_stale", Where::Nowhere("nothing is made from `covered` here")),
    ("not stored: invalidated", Where::Everywhere),
    ("not stored: closed", Where::Everywhere),
    ("not stored: floor_raised", Where::Everywhere),
    ("not stored: too_old", Where::Everywhere),
    ("wait: value", Where::Everywhere),
    ("wait: elsewhere", Where::Everywhere),
    ("wait: failed", Where::Everywhere),
    ("wait: not_shared", Where::Nowhere("every value here may be stored")),
    ("wait: too_old", Where::Everywhere),
    ("wait: abandoned", Where::Everywhere),
    ("wait: patience", Where::Everywhere),
    ("wait: lease_value", Where::Everywhere),
    ("wait: lease_changed", Where::Everywhere),
    ("wait: lease_time", Where::Everywhere),
];

#[derive(Clone, Copy)]
enum Where {
    Everywhere,
    Nowhere(&'static str),
}

/// The counters of all processes, those that are gone included.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<u16, BTreeMap<String, u64>>);

impl Coverage {
    /// What a process has counted so far, a line each.
    pub(crate) fn take(&mut self, process: u16, text: &str) {
        let counts = text.lines().filter_map(|line| line.rsplit_once('='));
        let counts = counts.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
        self.0.insert(process, counts.collect());
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0.values().filter_map(|counts| counts.get(name)).sum()
    }

    /// Every branch with how often it was taken, and those that were not.
    pub(crate) fn report(&self) -> String {
        let (mut text, mut missed) = ("covered:".to_owned(), Vec::new());
        for (branch, place) in BRANCHES {
            match (self.count(branch), place) {
                // A `String` takes whatever it is given.
                (1.., _) => _ = write!(text, " {branch} {};", self.count(branch)),
                (0, Where::Everywhere) => missed.push((*branch).to_owned()),
                (0, Where::Nowhere(why)) => missed.push(format!("{branch} ({why})")),
            }
        }
        text.pop();
        _ = write!(text, "\nnot covered: {}", if missed.is_empty() { "nothing".to_owned() } else { missed.join("; ") });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_processes_add_up_and_what_is_missing_is_said() {
        let mut coverage = Coverage::default();
        coverage.take(1, "hits=2\nnot stored: closed=1\n");
        coverage.take(1, "hits=3\nnot stored: closed=1\n");
        coverage.take(2, "hits=4\n");
        assert_eq!((coverage.count("hits"), coverage.count("not stored: closed")), (7, 1));
        let report = coverage.report();
        assert!(report.contains("covered: hits 7;") && report.contains("not covered: misses;"), "{report}");
    }
}

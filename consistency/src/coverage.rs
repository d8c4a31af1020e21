//! What a history has come across, as the caches of its processes count it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::bias::USUAL_MIX;
use crate::faults::{Fault, Selection};
use crate::options::Options;

/// Branches of the protocol that a history is to come across, by the counters of the cache, and
/// where it does so.
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
    ("further scripts", Where::Everywhere),
    ("not stored: not_wanted", Where::ByChance("a write is dropped in its body")),
    ("not stored: made_from_stale", Where::Nowhere("nothing is made from `covered` here")),
    ("not stored: invalidated", Where::Everywhere),
    ("not stored: closed", Where::Everywhere),
    ("not stored: floor_raised", Where::Everywhere),
    ("not stored: too_old", Where::ByChance("no load took longer than fences are kept")),
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
    // Of what is owed.
    ("bypasses", Where::Under(&[Fault::StopServer, Fault::NodeStopped])),
    ("failed_invalidations", Where::Under(&[Fault::StopServer, Fault::NodeStopped])),
    ("not stored: clock_lost", Where::Under(&[Fault::FlushAll, Fault::NodeFlushed])),
    ("not stored: no_reading", Where::Under(&[Fault::StopServer, Fault::NodeStopped])),
    ("not stored: unanswered", Where::Under(&[Fault::LostReplies, Fault::NodeStopped])),
    ("not stored: memory_full", Where::Under(&[Fault::NoEviction])),
    ("clock steps", Where::Under(&[Fault::ClientClock])),
];

/// After so many reads a history without faults must have come across each branch.
const READS_ENOUGH: u64 = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// In every history that is long enough.
    Everywhere,
    /// So rarely that a history of that length may miss it.
    ByChance(&'static str),
    /// While all faults are done, one after the other, if one of these is among them.
    Under(&'static [Fault]),
    Nowhere(&'static str),
}

impl Where {
    /// Whether a history of so many reads must have come across it.
    fn is_due(self, options: &Options, reads: u64) -> bool {
        match self {
            // The mix of a rule has few kinds, and few ways.
            _ if options.mix != USUAL_MIX => false,
            Self::Everywhere => options.faults.is_none() && reads >= READS_ENOUGH,
            Self::Under(faults) => {
                let is_done = |fault: &Fault| fault.is_possible(options.place);
                options.faults == Some(Selection::All) && faults.iter().any(is_done)
            }
            Self::ByChance(_) | Self::Nowhere(_) => false,
        }
    }
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

    /// The branches that a history of so many reads must have come across, and has not.
    pub(crate) fn lacks(&self, options: &Options, reads: u64) -> Vec<&'static str> {
        let due = BRANCHES.iter().filter(|(_, place)| place.is_due(options, reads));
        due.map(|(branch, _)| *branch).filter(|branch| self.count(branch) == 0).collect()
    }

    /// Every branch with how often it was taken, those that were not, and those of them that had to
    /// be.
    pub(crate) fn report(&self, options: &Options, reads: u64) -> String {
        let (mut text, mut missed) = ("covered:".to_owned(), Vec::new());
        for (branch, place) in BRANCHES {
            match (self.count(branch), place) {
                // A `String` takes whatever it is given.
                (1.., _) => _ = write!(text, " {branch} {};", self.count(branch)),
                (0, Where::Everywhere) => missed.push((*branch).to_owned()),
                (0, Where::Under(_)) => missed.push(format!("{branch} (faults)")),
                (0, Where::ByChance(why) | Where::Nowhere(why)) => missed.push(format!("{branch} ({why})")),
            }
        }
        text.pop();
        _ = write!(text, "\nnot covered: {}", if missed.is_empty() { "nothing".to_owned() } else { missed.join("; ") });
        let lacks = self.lacks(options, reads);
        if !lacks.is_empty() {
            _ = write!(text, "\nFAILED: this history had to come across {}", lacks.join("; "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn counts_of_processes_add_up_and_what_is_missing_is_said() {
        let mut coverage = Coverage::default();
        coverage.take(1, "hits=2\nfurther scripts=1\n");
        coverage.take(1, "hits=3\nnot stored: closed=1\nfurther scripts=1\n");
        coverage.take(2, "hits=4\n");
        let counts = ["hits", "not stored: closed", "further scripts"].map(|name| coverage.count(name));
        assert_eq!(counts, [7, 1, 1]);
        let report = coverage.report(&options(""), 10);
        assert!(report.contains("covered: hits 7;") && report.contains("not covered: misses;"), "{report}");
        assert!(!report.contains("FAILED"), "{report}");
        assert!(
            coverage.report(&options(""), READS_ENOUGH).contains("FAILED: this history had to come across misses;")
        );
    }

    /// A branch that is due and was not met fails the command.
    #[test]
    fn each_branch_is_due_where_histories_come_across_it() {
        let due = |line: &str, reads| {
            let options = options(line);
            let due = BRANCHES.iter().filter(|(_, place)| place.is_due(&options, reads));
            due.map(|(_, place)| *place).collect::<Vec<_>>()
        };
        assert_eq!(due("", READS_ENOUGH - 1), []);
        assert_eq!(due("--mix-of WritesReadFirst", u64::MAX), []);
        assert!(due("", READS_ENOUGH).iter().all(|place| *place == Where::Everywhere));
        assert_eq!(due("--faults flushall", u64::MAX), []);
        let on_a_cluster = due("--store redis-cluster --faults all", 0);
        assert!(!on_a_cluster.is_empty() && on_a_cluster.iter().all(|place| matches!(place, Where::Under(_))));
        assert_eq!(due("--faults all", 0).len(), on_a_cluster.len() + 1, "its memory is not filled up");
        assert_eq!(Coverage::default().lacks(&options("--faults all"), 0).len(), on_a_cluster.len() + 1);
    }
}

//! Whether the nodes of a cluster are being asked where the slots are, and whether they are to be
//! asked again. Whoever wants to know is told by a task that begins after that, or by one that goes
//! on: each function is one step, under one lock.

use tokio::time::Instant;

use crate::config::TOPOLOGY_DEADLINE;

/// The task that asks the nodes.
#[derive(Default)]
pub(super) struct Inquiry {
    /// The number of the task. One that was replaced may not change anything here any more.
    run: u64,
    /// Since when it is at it; `None`: there is none.
    since: Option<Instant>,
    /// When the last question was put.
    pub(super) asked_at: Option<Instant>,
    /// Whether there was another reason to ask since then.
    again: bool,
}

impl Inquiry {
    /// Somebody wants to know. Returns the number of the task that is to be started; `None`: one is
    /// at it, and asks once more.
    pub(super) fn wanted(&mut self, now: Instant) -> Option<u64> {
        // A task that takes longer stands still with its runtime.
        if self.since.is_some_and(|since| now < since + 2 * TOPOLOGY_DEADLINE) {
            self.again = true;
            return None;
        }
        self.run += 1;
        (self.since, self.again) = (Some(now), false);
        Some(self.run)
    }

    /// Whether a task that has asked is to ask once more. If not, it has ended: whoever wants to
    /// know from here on starts another one.
    pub(super) fn goes_on(&mut self, run: u64, now: Instant) -> bool {
        let goes_on = self.run == run && std::mem::take(&mut self.again);
        match goes_on {
            true => self.since = Some(now),
            false => self.ended(run),
        }
        goes_on
    }

    /// A task has ended, whichever way.
    pub(super) fn ended(&mut self, run: u64) {
        if self.run == run {
            self.since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn whoever_wants_to_know_when_the_task_has_just_found_nothing_to_ask_starts_another() {
        let (mut inquiry, now) = (Inquiry::default(), clock::now());
        let first = inquiry.wanted(now).unwrap();
        assert_eq!(inquiry.wanted(now), None);
        assert!(inquiry.goes_on(first, now), "somebody asked meanwhile");
        assert!(!inquiry.goes_on(first, now));
        // The task has not been dropped yet.
        let second = inquiry.wanted(now).expect("nobody else would ask");
        inquiry.ended(first);
        assert_eq!(inquiry.wanted(now), None, "the second one is at it");
        assert!(inquiry.goes_on(second, now));
    }

    #[test]
    fn a_task_that_stands_still_is_replaced_and_changes_nothing_any_more() {
        let (mut inquiry, begun) = (Inquiry::default(), clock::now());
        let first = inquiry.wanted(begun).unwrap();
        let late = begun + 2 * TOPOLOGY_DEADLINE;
        let second = inquiry.wanted(late).expect("the first one takes too long");
        assert_eq!(inquiry.wanted(late), None);
        assert!(!inquiry.goes_on(first, late));
        assert!(inquiry.goes_on(second, late), "what was asked for is left to the second one");
    }
}

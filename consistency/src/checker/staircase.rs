//! The largest number that was known at each moment.

use std::collections::VecDeque;

/// Numbers that became known at moments, asked for by moment. Keeps those that are larger than all
/// that became known before them, so both times and numbers only rise.
#[derive(Debug, Default)]
pub(super) struct Staircase(VecDeque<(u64, u64)>);

impl Staircase {
    /// From after `time` on it is at least `number`.
    pub(super) fn add(&mut self, time: u64, number: u64) {
        // Most often it is the last one.
        let at = self.0.partition_point(|(known, _)| *known <= time);
        if number == 0 || at > 0 && self.0[at - 1].1 >= number {
            return;
        }
        let lower = self.0.iter().skip(at).take_while(|(_, later)| *later <= number).count();
        self.0.drain(at..at + lower);
        self.0.insert(at, (time, number));
    }

    /// The largest number that became known before `time`, 0 if there is none.
    pub(super) fn at(&self, time: u64) -> u64 {
        let after = self.0.partition_point(|(known, _)| *known < time);
        after.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    /// Nobody will ask for a moment before this.
    pub(super) fn forget(&mut self, before: u64) {
        while self.0.len() > 1 && self.0[1].0 < before {
            self.0.pop_front();
        }
    }
}

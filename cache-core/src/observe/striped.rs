//! A counter that many threads add to without meeting.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::config::COUNTER_LINES;

/// Counts in one of several cache lines, by thread. The lines are made with the first count: most
/// counters never count.
#[derive(Default)]
pub(super) struct Striped(OnceLock<Box<[CounterLine; COUNTER_LINES]>>);

#[repr(align(128))]
#[derive(Default)]
struct CounterLine(AtomicU64);

thread_local! {
    static LINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The line of this thread: in turn, so that threads share lines only if there are more threads
/// than lines.
fn line() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let known = LINE.try_with(Cell::get).unwrap_or(0);
    if known != usize::MAX {
        return known;
    }
    let line = NEXT.fetch_add(1, Ordering::Relaxed) % COUNTER_LINES;
    let _ = LINE.try_with(|known| known.set(line));
    line
}

impl Striped {
    pub(super) fn add_one(&self) {
        let lines = self.0.get_or_init(Box::default);
        lines[line()].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.get().map_or(0, |lines| lines.iter().map(|line| line.0.load(Ordering::Relaxed)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_what_all_threads_have_counted() {
        let counter = Striped::default();
        assert_eq!(counter.sum(), 0);
        std::thread::scope(|scope| {
            for _ in 0..COUNTER_LINES + 3 {
                scope.spawn(|| (0..100).for_each(|_| counter.add_one()));
            }
        });
        assert_eq!(counter.sum(), 100 * (COUNTER_LINES as u64 + 3));
    }
}

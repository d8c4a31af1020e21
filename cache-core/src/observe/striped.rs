//! Counters that many threads add to without meeting.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::COUNTER_LINES;

/// Counters of one kind in several cache lines, by thread. The lines are made with the first count:
/// most counters never count.
#[derive(Default)]
pub(super) struct Striped<T>(OnceLock<Box<[CounterLine<T>; COUNTER_LINES]>>);

#[repr(align(128))]
#[derive(Default)]
struct CounterLine<T>(T);

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

impl<T: Default> Striped<T> {
    /// The counters that this thread adds to.
    pub(super) fn mine(&self) -> &T {
        let lines = self.0.get_or_init(Box::default);
        &lines[line()].0
    }

    /// The counters of every thread that has counted.
    pub(super) fn each(&self) -> impl Iterator<Item = &T> {
        self.0.get().into_iter().flat_map(|lines| lines.iter().map(|line| &line.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn it_counts_what_all_threads_have_counted() {
        let counter = Striped::<AtomicU64>::default();
        let sum = || counter.each().map(|line| line.load(Ordering::Relaxed)).sum::<u64>();
        assert_eq!(sum(), 0);
        std::thread::scope(|scope| {
            for _ in 0..COUNTER_LINES + 3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counter.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(sum(), 100 * (COUNTER_LINES as u64 + 3));
    }
}

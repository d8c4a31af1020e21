//! Counters that many threads add to without meeting.

use std::cell::Cell;
use std::sync::{OnceLock, PoisonError};

use crate::config::COUNTER_LINES;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lazy_static, per_thread};

#[cfg(all(test, cache_loom))]
mod interleavings;

/// loom tries two or three threads: with one line there are some without one.
const LINES: usize = if cfg!(all(test, cache_loom)) { 1 } else { COUNTER_LINES };

/// Counters of one kind in several cache lines, by thread. A line is made with the first count of
/// its thread: most counters never count, and most processes have a few threads.
#[derive(Default)]
pub(super) struct Striped<T>([OnceLock<Box<CounterLine<T>>>; LINES + 1]);

#[repr(align(128))]
#[derive(Default)]
struct CounterLine<T>(T);

/// The line of all threads that have none of their own.
const SHARED: usize = LINES;
const NOT_YET: usize = usize::MAX;

per_thread! {
    static LINE: Cell<usize> = const { Cell::new(NOT_YET) };
    static OWN_LINE: Option<OwnLine> = OwnLine::take();
}

lazy_static! {
    /// The lines that no thread has.
    static ref FREE: Mutex<Vec<usize>> = Mutex::new((0..LINES).collect());
}

/// A line that belongs to one thread until that ends.
struct OwnLine(usize);

impl OwnLine {
    fn take() -> Option<Self> {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).pop().map(Self)
    }
}

impl Drop for OwnLine {
    fn drop(&mut self) {
        // What this thread counts from now on must not meet what the next one counts.
        let _ = LINE.try_with(|line| line.set(SHARED));
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

/// The line of this thread.
fn line() -> usize {
    match LINE.try_with(Cell::get) {
        Ok(NOT_YET) => first_line(),
        Ok(line) => line,
        Err(_) => SHARED,
    }
}

#[cold]
fn first_line() -> usize {
    let line = OWN_LINE.try_with(|own| own.as_ref().map_or(SHARED, |own| own.0)).unwrap_or(SHARED);
    let _ = LINE.try_with(|known| known.set(line));
    line
}

/// How to add to counters.
#[derive(Clone, Copy)]
pub(super) enum Adding {
    /// No other thread adds to them meanwhile.
    Alone,
    Shared,
}

impl Adding {
    pub(super) fn to(self, counter: &AtomicU64, count: u64) {
        match self {
            // A third of the time of what locks the line.
            Self::Alone => counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed),
            Self::Shared => _ = counter.fetch_add(count, Ordering::Relaxed),
        }
    }
}

impl<T: Default> Striped<T> {
    /// The counters that this thread adds to, and how.
    pub(super) fn mine(&self) -> (&T, Adding) {
        let line = line();
        let mine = self.0[line].get_or_init(Box::default);
        (&mine.0, if line == SHARED { Adding::Shared } else { Adding::Alone })
    }

    /// The counters of every thread that has counted.
    pub(super) fn each(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|line| line.get().map(|line| &line.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn count(counter: &Striped<AtomicU64>) {
        let (mine, adding) = counter.mine();
        adding.to(mine, 1);
    }

    fn sum(counter: &Striped<AtomicU64>) -> u64 {
        counter.each().map(|line| line.load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn it_counts_what_all_threads_have_counted() {
        let counter = Striped::default();
        assert_eq!(sum(&counter), 0);
        let threads = COUNTER_LINES + 3;
        // All at once: some have no line of their own.
        let all = Barrier::new(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    all.wait();
                    (0..10_000).for_each(|_| count(&counter));
                });
            }
        });
        assert_eq!(sum(&counter), 10_000 * threads as u64);
    }

    /// A pool of threads that come and go must not use the lines up.
    #[test]
    fn a_line_is_free_again_when_its_thread_has_ended() {
        let counter = Striped::default();
        let is_shared = || {
            count(&counter);
            matches!(counter.mine().1, Adding::Shared)
        };
        let threads = 20 * COUNTER_LINES;
        let shared = (0..threads).filter(|_| std::thread::scope(|scope| scope.spawn(is_shared).join().unwrap()));
        // Other tests have threads, too.
        assert!(shared.count() < threads);
        assert_eq!(sum(&counter), threads as u64);
    }

    /// The line may belong to another thread by then.
    #[test]
    fn what_a_thread_counts_as_it_ends_is_counted_in_the_shared_line() {
        struct Last(std::sync::mpsc::Sender<bool>);
        impl Drop for Last {
            fn drop(&mut self) {
                let _ = self.0.send(line() == SHARED);
            }
        }
        thread_local!(static LAST: Cell<Option<Last>> = const { Cell::new(None) });
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Registered before the line is, and so dropped after it.
            LAST.set(Some(Last(send)));
            line();
        });
        thread.join().unwrap();
        assert!(receive.recv().unwrap());
    }
}

//! Threads that count, come and go in every order.

use super::*;
use crate::sync::{explore, spawn};

fn count(counter: &Striped<AtomicU64>) {
    let (mine, adding) = counter.mine();
    adding.to(mine, 1);
}

/// A line goes from thread to thread, and not two of them add to it alone.
#[test]
fn no_count_is_lost_between_threads_that_come_and_go() {
    explore(|| {
        let counter = std::sync::Arc::new(Striped::default());
        let counts = |times: usize| {
            let counter = counter.clone();
            move || (0..times).for_each(|_| count(&counter))
        };
        let first = spawn(counts(2));
        let second = spawn(counts(1));
        first.join().unwrap();
        let third = spawn(counts(1));
        second.join().unwrap();
        third.join().unwrap();
        // A thread has ended when its line is free again.
        while FREE.lock().unwrap().is_empty() {
            loom::thread::yield_now();
        }
        assert_eq!(counter.each().map(|line| line.load(Ordering::Relaxed)).sum::<u64>(), 4);
    });
}

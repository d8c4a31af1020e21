//! What is to be purged, and when. Reads no clock and sends nothing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{FLIGHT_MAX, PURGE_KEYS_MAX, PURGE_QUEUE_KEYS_MAX};

/// Keys that were invalidated by one look of the purger. Each batch is purged twice: at once, and
/// when whatever was in flight then has arrived.
#[derive(Debug)]
struct Batch {
    keys: Vec<String>,
    /// How many of them are purged, this time.
    done: usize,
    look: u64,
    seen: Instant,
}

/// The batches, each in the order of their looks.
#[derive(Debug)]
pub(crate) struct PurgeQueue {
    flight: Duration,
    everything_key: String,
    first: VecDeque<Batch>,
    again: VecDeque<Batch>,
    /// When each key was last seen to be invalidated, while it is in a batch.
    seen: HashMap<String, Instant>,
    /// How many times all that waited was given up for one purge of everything.
    pub(crate) overflows: u64,
}

impl PurgeQueue {
    pub(crate) fn new(flight: Duration, everything_key: String) -> Self {
        Self {
            flight: flight.min(FLIGHT_MAX),
            everything_key,
            first: VecDeque::new(),
            again: VecDeque::new(),
            seen: HashMap::new(),
            overflows: 0,
        }
    }

    /// What a look has found, at a time after the look.
    pub(crate) fn add(&mut self, keys: BTreeSet<String>, look: u64, seen: Instant) {
        if keys.contains(&self.everything_key) {
            return self.add_everything(look, seen);
        }
        if self.keys() + keys.len() > PURGE_QUEUE_KEYS_MAX {
            self.overflows += 1;
            return self.add_everything(look, seen);
        }
        self.push(keys.into_iter().collect(), look, seen);
    }

    /// Everything: so nothing else has to be purged, neither now nor again.
    fn add_everything(&mut self, look: u64, seen: Instant) {
        self.first.clear();
        self.again.clear();
        self.seen.clear();
        self.push(vec![self.everything_key.clone()], look, seen);
    }

    fn push(&mut self, keys: Vec<String>, look: u64, seen: Instant) {
        if !keys.is_empty() {
            self.seen.extend(keys.iter().map(|key| (key.clone(), seen)));
            self.first.push_back(Batch { keys, done: 0, look, seen });
        }
    }

    fn keys(&self) -> usize {
        self.first.iter().chain(&self.again).map(|batch| batch.keys.len()).sum()
    }

    /// Keys that wait for their first purge, and those that wait for their second.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let first = self.first.iter().map(|batch| batch.keys.len() - batch.done).sum();
        (first, self.again.iter().map(|batch| batch.keys.len() - batch.done).sum())
    }

    /// The next keys to purge: those that were not purged at all come first.
    pub(crate) fn next(&self, now: Instant) -> Option<Vec<String>> {
        let batch = self.first.front().or_else(|| self.again.front().filter(|batch| now >= self.due(batch)))?;
        Some(batch.keys[batch.done..].iter().take(PURGE_KEYS_MAX).cloned().collect())
    }

    /// When the next keys are to be purged again, if none waits for the first time.
    pub(crate) fn due_again(&self) -> Option<Instant> {
        self.again.front().map(|batch| self.due(batch))
    }

    fn due(&self, batch: &Batch) -> Instant {
        batch.seen + self.flight
    }

    /// The [next](Self::next) keys, so many, are purged.
    pub(crate) fn purged(&mut self, count: usize) {
        let (waiting, is_first) =
            if self.first.is_empty() { (&mut self.again, false) } else { (&mut self.first, true) };
        let Some(batch) = waiting.front_mut() else { return };
        batch.done += count;
        if batch.done < batch.keys.len() {
            return;
        }
        let Some(batch) = waiting.pop_front() else { return };
        if is_first {
            self.again.push_back(Batch { done: 0, ..batch });
        } else {
            for key in &batch.keys {
                if self.seen.get(key) == Some(&batch.seen) {
                    self.seen.remove(key);
                }
            }
        }
    }

    /// The last look of which everything was purged once, and the last of which everything was
    /// purged again, if so many looks there were.
    pub(crate) fn done(&self, looks: u64) -> (u64, u64) {
        let before = |batch: Option<&Batch>| batch.map_or(looks, |batch| batch.look.saturating_sub(1).min(looks));
        let purged = before(self.first.front());
        (purged, purged.min(before(self.again.front())))
    }

    /// Whether the key was seen to be invalidated since a time, as far as that is not long ago.
    pub(crate) fn saw_since(&self, key: &str, since: Instant) -> bool {
        self.seen.get(key).is_some_and(|seen| *seen >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLIGHT: Duration = Duration::from_secs(10);

    fn queue() -> (PurgeQueue, Instant) {
        (PurgeQueue::new(FLIGHT, "all".to_owned()), Instant::now())
    }

    fn keys(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_purged_at_once_and_again_when_its_flight_is_over() {
        let (mut queue, now) = queue();
        queue.add(keys(&["a", "b"]), 1, now);
        assert_eq!(queue.done(1), (0, 0));
        assert_eq!(queue.next(now).unwrap(), ["a", "b"]);
        queue.purged(2);
        assert_eq!((queue.done(1), queue.waiting()), ((1, 0), (0, 2)));
        assert_eq!(queue.due_again(), Some(now + FLIGHT));
        assert_eq!(queue.next(now + FLIGHT - Duration::from_nanos(1)), None);
        assert_eq!(queue.next(now + FLIGHT).unwrap(), ["a", "b"]);
        queue.purged(2);
        assert_eq!((queue.done(1), queue.waiting(), queue.next(now + FLIGHT)), ((1, 1), (0, 0), None));
        assert!(queue.seen.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_may_be_of_any_length() {
        let (mut queue, now) = (PurgeQueue::new(Duration::MAX, "all".to_owned()), Instant::now());
        queue.add(keys(&["a"]), 1, now);
        queue.purged(1);
        assert_eq!((queue.waiting(), queue.next(now)), ((0, 1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_purged_at_all_comes_before_what_is_purged_again() {
        let (mut queue, now) = queue();
        queue.add(keys(&["a"]), 1, now);
        queue.purged(1);
        queue.add(keys(&["b"]), 2, now + FLIGHT);
        assert_eq!(queue.next(now + FLIGHT).unwrap(), ["b"]);
        queue.purged(1);
        assert_eq!((queue.next(now + FLIGHT).unwrap(), queue.done(2)), (vec!["a".to_owned()], (2, 0)));
        queue.purged(1);
        assert_eq!(queue.done(2), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_batch_goes_in_slices_and_counts_when_all_of_it_is_purged() {
        let (mut queue, now) = queue();
        let names: Vec<String> = (0..PURGE_KEYS_MAX + 1).map(|name| format!("{name:03}")).collect();
        queue.add(names.iter().cloned().collect(), 1, now);
        assert_eq!(queue.next(now).unwrap().len(), PURGE_KEYS_MAX);
        queue.purged(PURGE_KEYS_MAX);
        assert_eq!((queue.done(1), queue.next(now).unwrap()), ((0, 0), names[PURGE_KEYS_MAX..].to_vec()));
        queue.purged(1);
        assert_eq!(queue.done(1), (1, 0));
    }

    /// ★ What was in flight before is in flight still: everything is purged again as well.
    #[tokio::test(start_paused = true)]
    async fn everything_replaces_what_waits() {
        let (mut queue, now) = queue();
        queue.add(keys(&["a"]), 1, now);
        queue.purged(1);
        queue.add(keys(&["b"]), 2, now);
        queue.add(keys(&["all", "c"]), 3, now + FLIGHT / 2);
        assert_eq!((queue.next(now).unwrap(), queue.waiting()), (vec!["all".to_owned()], (1, 0)));
        queue.purged(1);
        assert_eq!((queue.due_again(), queue.done(3)), (Some(now + FLIGHT / 2 + FLIGHT), (3, 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_everything_is_purged() {
        let (mut queue, now) = queue();
        let full: BTreeSet<String> = (0..PURGE_QUEUE_KEYS_MAX).map(|name| name.to_string()).collect();
        queue.add(full, 1, now);
        assert_eq!((queue.waiting().0, queue.overflows), (PURGE_QUEUE_KEYS_MAX, 0));
        queue.add(keys(&["x"]), 2, now);
        assert_eq!((queue.next(now).unwrap(), queue.waiting(), queue.overflows), (vec!["all".to_owned()], (1, 0), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_known_to_be_invalidated_until_it_was_purged_again() {
        let (mut queue, now) = queue();
        queue.add(keys(&["a"]), 1, now);
        queue.purged(1);
        queue.add(keys(&["a"]), 2, now + FLIGHT / 2);
        queue.purged(1);
        assert!(queue.saw_since("a", now + FLIGHT / 2) && !queue.saw_since("a", now + FLIGHT));
        queue.purged(1);
        assert!(queue.saw_since("a", now), "the second batch has it still");
        queue.purged(1);
        assert!(!queue.saw_since("a", now));
    }
}

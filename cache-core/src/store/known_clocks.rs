//! What this process knows of the clocks of all partitions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::visit::HomeReading;
use crate::clock::Instant;

/// Raised by every reply. A load takes a copy before it begins: an older reading refuses more, a
/// newer one never comes.
///
/// All are read anew from time to time: a floor passes what nobody has heard of for so long.
pub(crate) struct KnownClocks(Mutex<KnownReadings>);

struct KnownReadings {
    readings: Arc<[HomeReading]>,
    /// When all of them were read.
    read_at: Instant,
}

impl KnownClocks {
    pub(crate) fn new(readings: Vec<HomeReading>, read_at: Instant) -> Self {
        Self(Mutex::new(KnownReadings { readings: readings.into(), read_at }))
    }

    pub(crate) fn copy(&self) -> Arc<[HomeReading]> {
        self.lock().readings.clone()
    }

    /// A reply has told this of a partition's clock. Replies may come in another order than they
    /// were made in, and incarnations have none. Returns whether another clock was known there.
    pub(crate) fn saw(&self, partition: u16, told: &HomeReading) -> bool {
        let mut known = self.lock();
        let Some(reading) = known.readings.get(usize::from(partition)) else { return false };
        let is_another = reading.is_known() && reading.incarnation != told.incarnation;
        let is_news = reading.incarnation != told.incarnation || reading.seq < told.seq;
        if is_news && let Some(reading) = Arc::make_mut(&mut known.readings).get_mut(usize::from(partition)) {
            reading.clone_from(told);
        }
        is_another
    }

    /// Whether it is time to read all of them anew: a third of the retention has passed.
    pub(crate) fn is_old(&self, now: Instant, retention: Duration) -> bool {
        now.saturating_duration_since(self.lock().read_at) > retention / 3
    }

    pub(crate) fn were_read(&self, now: Instant) {
        self.lock().read_at = now;
    }

    fn lock(&self) -> MutexGuard<'_, KnownReadings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn reading(incarnation: &str, seq: u64) -> HomeReading {
        HomeReading { incarnation: incarnation.into(), seq }
    }

    #[test]
    fn what_is_known_rises_and_a_copy_stays_as_it_was() {
        let known = KnownClocks::new(vec![reading("a", 1), reading("b", 1)], clock::now());
        let copy = known.copy();
        known.saw(1, &reading("b", 5));
        known.saw(1, &reading("b", 3));
        assert!(known.saw(0, &reading("c", 0)), "another clock");
        known.saw(7, &reading("c", 0));
        assert_eq!(*known.copy(), [reading("c", 0), reading("b", 5)]);
        assert_eq!(*copy, [reading("a", 1), reading("b", 1)]);
    }

    #[test]
    fn it_is_old_after_a_third_of_the_retention() {
        let (begun, third) = (clock::now(), Duration::from_secs(10));
        let known = KnownClocks::new(Vec::new(), begun);
        assert!(!known.is_old(begun + third, 3 * third));
        assert!(known.is_old(begun + third + Duration::from_millis(1), 3 * third));
        known.were_read(begun + third);
        assert!(!known.is_old(begun + 2 * third, 3 * third));
    }
}

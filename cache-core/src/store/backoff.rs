//! How long to wait before the next try.

use std::time::Duration;

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015): the n-th delay is uniform below `min · 2ⁿ`, capped at `max`.
/// Deviation: never below `min`, so that a random zero does not become a busy loop.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0 }
    }

    /// The delay before the next try. Each delay may be twice as long as the one before.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        let factor = 2u32.checked_pow(self.tries).unwrap_or(u32::MAX);
        let ceiling = self.min.saturating_mul(factor).min(self.max).max(self.min);
        self.min + (ceiling - self.min).mul_f64(fastrand::f64())
    }

    /// After a success: the next delay is short again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_within_their_bounds_and_grow() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
        for _ in 0..200 {
            let mut backoff = Backoff::new(min, max);
            assert!(backoff.next_delay() <= 2 * min);
            for _ in 0..100 {
                assert!((min..=max).contains(&backoff.next_delay()));
            }
            backoff.reset();
            assert!(backoff.next_delay() <= 2 * min);
        }
        let mut backoff = Backoff::new(min, max);
        let longest = (0..200).map(|_| backoff.next_delay()).max().unwrap();
        assert!(longest > max / 2, "200 capped delays spread up to the cap, longest was {longest:?}");
    }
}

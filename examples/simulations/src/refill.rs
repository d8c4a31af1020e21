//! One key in a cache: loaded, kept for its TTL, loaded again by the next read.

use std::ops::AddAssign;

use cache_core::__freshness::{AdaptiveTtl, Freshness, Learned, Refill};

use crate::data::exponential;

/// The library's default.
const JITTER: f64 = 0.05;

/// How the TTL of a key is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    /// Always this many seconds, without jitter: as good as it gets.
    Fixed(f64),
    /// By what refills show, as the library does.
    Adaptive(AdaptiveTtl),
}

/// How a key is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reads {
    /// All the time: an expired value is loaded again at once.
    Always,
    /// At random, every so many seconds on average.
    Every(f64),
}

/// What a policy cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) loads: f64,
    /// Seconds for which a value was stored that was no longer true.
    pub(crate) stale: f64,
    /// Seconds observed.
    pub(crate) total: f64,
}

impl Outcome {
    pub(crate) fn stale_share(&self) -> f64 {
        self.stale / self.total
    }

    pub(crate) fn loads_per_hour(&self) -> f64 {
        self.loads / self.total * 3_600.0
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.loads += other.loads;
        self.stale += other.stale;
        self.total += other.total;
    }
}

/// Plays one key to `end`, from a cold start. `changes` are the instants at which the data change;
/// `watch` is told every `(load, TTL)`.
pub(crate) fn play(
    policy: Policy,
    reads: Reads,
    changes: &[f64],
    end: f64,
    seed: u64,
    mut watch: impl FnMut(f64, f64),
) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut outcome = Outcome { total: end, ..Outcome::default() };
    let (mut now, mut seen, mut learned) = (0.0, 0, None);
    while now < end {
        while changes.get(seen).is_some_and(|&at| at <= now) {
            seen += 1;
        }
        if let (Policy::Fixed(ttl), Reads::Always) = (policy, reads) {
            // Nothing is stale in the lifetimes that end before the next change, and
            // nothing learned: counted in one step.
            let next = changes.get(seen).map_or(end, |&at| at.min(end));
            let uneventful = ((next - now) / ttl).floor();
            if uneventful > 0.0 {
                outcome.loads += uneventful;
                now += uneventful * ttl;
                continue;
            }
        }
        outcome.loads += 1.0;
        let lives = lives(policy, &mut learned, now, seen, &mut random, &mut watch);
        let expires = (now + lives).min(end);
        if let Some(&change) = changes.get(seen) {
            outcome.stale += (expires - change).max(0.0);
        }
        now = match reads {
            Reads::Always => expires,
            Reads::Every(mean) => expires + exponential(mean, &mut random),
        };
    }
    outcome
}

/// How long what is loaded now is stored. Its payload is the number of changes so far.
fn lives(
    policy: Policy,
    learned: &mut Option<Learned>,
    now: f64,
    version: usize,
    random: &mut fastrand::Rng,
    watch: &mut impl FnMut(f64, f64),
) -> f64 {
    let bounds = match policy {
        Policy::Fixed(seconds) => return seconds,
        Policy::Adaptive(bounds) => bounds,
    };
    let refill = Refill {
        loaded_at_ms: (now * 1_000.0) as u64,
        payload_digest: (version as u128).to_le_bytes(),
        replaces: false,
    };
    let next = Learned::after(&bounds, learned.as_ref(), &refill);
    let lifetime = Freshness::default().lifetime(next.ttl(), JITTER, random.f64());
    *learned = Some(next.entry_lives(lifetime.hard));
    watch(now, next.ttl().as_secs_f64());
    lifetime.hard.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_time_runs_from_a_change_to_the_expiry() {
        let outcome = play(Policy::Fixed(10.0), Reads::Always, &[], 1_000.0, 1, |_, _| {});
        assert_eq!(outcome.loads, 100.0);
        assert_eq!(outcome.stale, 0.0);

        let outcome = play(Policy::Fixed(10.0), Reads::Always, &[2.0, 3.0], 100.0, 1, |_, _| {});
        assert_eq!((outcome.loads, outcome.stale), (10.0, 8.0));
    }

    #[test]
    fn nothing_is_stale_while_nobody_reads() {
        let outcome = play(Policy::Fixed(1.0), Reads::Every(1_000.0), &[], 100_000.0, 1, |_, _| {});
        assert!((60.0..=140.0).contains(&outcome.loads), "{outcome:?}");
    }
}

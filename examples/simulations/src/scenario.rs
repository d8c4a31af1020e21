//! The data that policies are compared on: many keys, each with its
//! changes, over a stretch of time.

use crate::data::{Rates, changes, exponential, log_uniform};
use crate::refill::{Outcome, Policy, Reads, play};

pub(crate) const MINUTE: f64 = 60.0;
pub(crate) const HOUR: f64 = 3_600.0;
pub(crate) const DAY: f64 = 86_400.0;

/// The mean times between changes that the issue of adaptive TTLs
/// names: from one second to one day.
const INTERVALS: (f64, f64) = (1.0, DAY);

/// Until which hour the keys of [`Scenario::day_and_night`] change every so many seconds.
pub(crate) const DAY_AND_NIGHT: [(f64, f64); 4] =
    [(8.0, HOUR), (16.0, 10.0 * MINUTE), (20.0, 10.0), (24.0, 10.0 * MINUTE)];

/// Keys, their changes, and how they are read.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    keys: Vec<Vec<f64>>,
    end: f64,
    reads: Reads,
}

impl Scenario {
    fn new(name: &'static str, end: f64, keys: Vec<Rates>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let keys = keys.iter().map(|rates| changes(rates, &mut random)).collect();
        Self { name, keys, end, reads: Reads::Always }
    }

    /// Keys that all change every `interval` seconds on average, for as long as it ever was: 50
    /// changes of each, and at least two hours, the cold start included.
    pub(crate) fn stationary(interval: f64) -> Self {
        let end = (50.0 * interval).max(2.0 * HOUR);
        Self::new("stationary", end, vec![vec![(end, 1.0 / interval)]; 16], 1)
    }

    /// Keys of every rate between one change a second and one a day, evenly spread on a
    /// logarithmic scale; three days.
    pub(crate) fn mixed() -> Self {
        const KEYS: u32 = 64;
        let end = 3.0 * DAY;
        let rates = |key: u32| {
            let place = (f64::from(key) + 0.5) / f64::from(KEYS);
            vec![(end, 1.0 / (INTERVALS.0 * (INTERVALS.1 / INTERVALS.0).powf(place)))]
        };
        Self::new("mixed", end, (0..KEYS).map(rates).collect(), 2)
    }

    /// The same, read once every five minutes on average instead of all the time.
    pub(crate) fn mixed_seldom_read() -> Self {
        Self { name: "mixed, seldom read", reads: Reads::Every(5.0 * MINUTE), ..Self::mixed() }
    }

    /// Keys that each draw a new rate, from one change a second to one a day, after
    /// six hours on average; four days.
    pub(crate) fn shifting() -> Self {
        let end = 4.0 * DAY;
        let mut random = fastrand::Rng::with_seed(3);
        let keys = (0..64).map(|_| redrawn_rates(end, 6.0 * HOUR, &mut random)).collect();
        Self::new("shifting", end, keys, 4)
    }

    /// Keys that all change alike: every ten seconds in the peak hours (16 to 20),
    /// every ten minutes by day (from 8), and every hour at night; four days. What
    /// is won is won over time alone.
    pub(crate) fn day_and_night() -> Self {
        let day = |midnight: f64| DAY_AND_NIGHT.map(|(hour, interval)| (midnight + hour * HOUR, 1.0 / interval));
        let rates: Rates = (0..4).flat_map(|n| day(f64::from(n) * DAY)).collect();
        Self::new("day and night", 4.0 * DAY, vec![rates; 16], 5)
    }

    /// All keys under one policy.
    pub(crate) fn play(&self, policy: Policy) -> Outcome {
        let mut sum = Outcome::default();
        for (key, changes) in self.keys.iter().enumerate() {
            sum += play(policy, self.reads, changes, self.end, key as u64, |_, _| {});
        }
        sum
    }

    /// `(load, TTL)` of the first key.
    pub(crate) fn trace(&self, policy: Policy) -> Vec<(f64, f64)> {
        let mut trace = Vec::new();
        play(policy, self.reads, &self.keys[0], self.end, 0, |at, ttl| trace.push((at, ttl)));
        trace
    }
}

fn redrawn_rates(end: f64, mean_length: f64, random: &mut fastrand::Rng) -> Rates {
    let (mut rates, mut until) = (Vec::new(), 0.0);
    while until < end {
        until = (until + exponential(mean_length, random)).min(end);
        rates.push((until, 1.0 / log_uniform(INTERVALS.0, INTERVALS.1, random)));
    }
    rates
}

//! XFetch measured: at what remaining lifetime a value is refreshed.
//!
//! Two things are called the distribution of refresh times, and are measured apart. With the cost δ
//! of a load:
//!
//! * **One call** at remaining time t refreshes with probability `exp(−t / βδ)`. Said of the one
//!   random number that it draws: it refreshes at every remaining time below
//!   `R = −βδ · ln(random)`, and `P(R ≥ t) = exp(−t / βδ)`. This is the paper's formula.
//! * **Many callers** who together call ν times a second, at random, each draw anew. Each call at
//!   remaining time r refreshes with the probability above, so refreshes arrive at the rate
//!   `ν · exp(−r / βδ)`, and the first has come before the remaining time is t with probability
//!   `1 − exp(−∫ ν · exp(−r / βδ) dr)` over r from t to the TTL:
//!   `P(R ≥ t) = 1 − exp(−νβδ · (exp(−t / βδ) − exp(−TTL / βδ)))`. Far from the expiry this is
//!   `νβδ · exp(−t / βδ)`: the paper's distribution, earlier by `βδ · ln(νβδ)`. So a key with ten
//!   times the callers is refreshed 2.3 · βδ earlier, and with so few that `νβδ < 1` it often
//!   expires before anybody refreshed it.

use cache_core::__freshness::{Decision, Freshness, Reason, Times};

use crate::data::{exponential, uniform};

/// Cost of a load, which is the unit of everything here.
pub(crate) const COST_S: f64 = 1.0;
/// 25 times the cost: by then nobody refreshes.
pub(crate) const TTL_S: f64 = 25.0;

/// Whether a call at this remaining time refreshes.
fn refreshes(beta: f64, remaining_s: f64, random: f64) -> bool {
    const EXPIRY_MS: u64 = 1_000_000;
    let freshness = Freshness { early_refresh: Some(beta), ..Freshness::default() };
    let times =
        Times { soft_expires_at_ms: EXPIRY_MS, hard_expires_at_ms: EXPIRY_MS, load_cost_us: (COST_S * 1e6) as u32 };
    let now_ms = EXPIRY_MS - (remaining_s * 1_000.0).ceil() as u64;
    freshness.step(&times, now_ms, random) == Decision::ServeAndRefresh(Reason::Early)
}

/// For one call's random number each: the longest remaining time at which it refreshes. In order.
pub(crate) fn of_one_call(beta: f64, samples: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let longest = |drawn: f64| {
        let (mut refreshed, mut not) = (0.0, 40.0 * beta * COST_S);
        while not - refreshed > 0.000_5 {
            let middle = (refreshed + not) / 2.0;
            if refreshes(beta, middle, drawn) { refreshed = middle } else { not = middle }
        }
        refreshed
    };
    sorted((0..samples).map(|_| longest(uniform(&mut random))).collect())
}

/// For one value each: the remaining time at which the first of many callers
/// refreshes it; 0 if none does. In order.
pub(crate) fn of_many_callers(beta: f64, calls_per_s: f64, samples: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut first = || {
        let mut remaining_s = TTL_S;
        loop {
            remaining_s -= exponential(1.0 / calls_per_s, &mut random);
            if remaining_s <= 0.0 {
                return 0.0;
            }
            if refreshes(beta, remaining_s, uniform(&mut random)) {
                return remaining_s;
            }
        }
    };
    sorted((0..samples).map(|_| first()).collect())
}

/// P(R ≥ t) for one call.
pub(crate) fn theory_of_one_call(beta: f64, t: f64) -> f64 {
    (-t / (beta * COST_S)).exp()
}

/// P(R ≥ t) for many callers.
pub(crate) fn theory_of_many_callers(beta: f64, calls_per_s: f64, t: f64) -> f64 {
    let scale = beta * COST_S;
    1.0 - (-calls_per_s * scale * ((-t / scale).exp() - (-TTL_S / scale).exp())).exp()
}

/// The Kolmogorov–Smirnov distance of samples, in order, from `P(R ≥ t)`. Samples of 0
/// stand for all that is not above it.
pub(crate) fn distance(samples: &[f64], at_least: impl Fn(f64) -> f64) -> f64 {
    let share = |n: usize| n as f64 / samples.len() as f64;
    let above = samples.partition_point(|&sample| sample <= 0.0);
    let gap = |n: usize| {
        let below = 1.0 - at_least(samples[n]);
        (below - share(n)).abs().max((below - share(n + 1)).abs())
    };
    let at_zero = (1.0 - at_least(0.0) - share(above)).abs();
    (above..samples.len()).map(gap).fold(at_zero, f64::max)
}

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One true sample in a hundred is further off (Kolmogorov's limit).
    fn critical(samples: &[f64]) -> f64 {
        1.63 / (samples.len() as f64).sqrt()
    }

    #[test]
    fn one_call_refreshes_by_the_papers_distribution() {
        for beta in [0.5, 1.0, 2.0] {
            let samples = of_one_call(beta, 20_000, 11);
            let distance = distance(&samples, |t| theory_of_one_call(beta, t));
            assert!(distance < critical(&samples), "β = {beta}: {distance}");
        }
    }

    #[test]
    fn the_first_of_many_callers_refreshes_by_the_distribution_of_the_earliest() {
        for (beta, calls_per_s) in [(1.0, 0.5), (1.0, 10.0), (1.0, 1_000.0), (0.5, 10.0), (2.0, 100.0)] {
            let samples = of_many_callers(beta, calls_per_s, 4_000, 12);
            let distance = distance(&samples, |t| theory_of_many_callers(beta, calls_per_s, t));
            assert!(distance < critical(&samples), "β = {beta}, {calls_per_s} calls a second: {distance}");
        }
    }

    #[test]
    fn many_callers_do_not_follow_the_distribution_of_one() {
        let samples = of_many_callers(1.0, 10.0, 4_000, 12);
        assert!(distance(&samples, |t| theory_of_one_call(1.0, t)) > 0.5);
    }

    #[test]
    fn far_from_the_expiry_many_callers_are_one_that_is_earlier() {
        let t = 10.0;
        let shifted = theory_of_one_call(1.0, t - 100.0_f64.ln());
        assert!((theory_of_many_callers(1.0, 100.0, t) / shifted - 1.0).abs() < 0.01);
    }
}

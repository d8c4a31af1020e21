//! An adaptive TTL against every fixed one, chosen in hindsight.

use std::time::Duration;

use cache_core::__freshness::AdaptiveTtl;

use crate::refill::{Outcome, Policy};
use crate::scenario::Scenario;

/// The bounds that the comparison is made with.
pub(crate) const BOUNDS: (f64, f64) = (1.0, 3_600.0);

pub(crate) fn adaptive((min, max): (f64, f64)) -> Policy {
    let bounds = AdaptiveTtl::new(Duration::from_secs_f64(min), Duration::from_secs_f64(max));
    Policy::Adaptive(bounds.expect("bounds in order"))
}

/// What one load weighs in seconds of stale time by the library's price, P = `min`: λT/2 +
/// weight / T is least at T = √(P / λ).
fn load_weight((min, _): (f64, f64)) -> f64 {
    min / 2.0
}

/// The adaptive TTL, and the fixed ones that it is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) adaptive: Outcome,
    /// The fixed TTL that leaves as much stale.
    pub(crate) equally_stale: (f64, Outcome),
    /// The fixed TTL that loads as often.
    pub(crate) equally_loaded: (f64, Outcome),
    /// The fixed TTL with the least sum of stale time and weighed loads.
    pub(crate) cheapest: (f64, Outcome),
}

impl Verdict {
    pub(crate) fn of(scenario: &Scenario, bounds: (f64, f64), fixed: &[(f64, Outcome)]) -> Self {
        let adaptive = scenario.play(adaptive(bounds));
        let cost = |outcome: &Outcome| outcome.stale + load_weight(bounds) * outcome.loads;
        let cheapest = fixed.iter().min_by(|a, b| cost(&a.1).total_cmp(&cost(&b.1)));
        Self {
            adaptive,
            equally_stale: longest(scenario, |outcome| outcome.stale <= adaptive.stale),
            equally_loaded: longest(scenario, |outcome| outcome.loads >= adaptive.loads),
            cheapest: *cheapest.expect("a fixed TTL"),
        }
    }

    /// Loads of the adaptive TTL by those of the fixed one that leaves as much stale.
    pub(crate) fn load_ratio(&self) -> f64 {
        self.adaptive.loads / self.equally_stale.1.loads
    }

    /// Stale time of the adaptive TTL by that of the fixed one that loads as often.
    pub(crate) fn stale_ratio(&self) -> f64 {
        self.adaptive.stale / self.equally_loaded.1.stale
    }

    /// Stale time and weighed loads of the adaptive TTL by those of the
    /// fixed one where they are least.
    pub(crate) fn cost_ratio(&self, bounds: (f64, f64)) -> f64 {
        let cost = |outcome: &Outcome| outcome.stale + load_weight(bounds) * outcome.loads;
        cost(&self.adaptive) / cost(&self.cheapest.1)
    }
}

/// Fixed TTLs from a fifth of a second to two days, 20 % apart.
pub(crate) fn fixed(scenario: &Scenario) -> Vec<(f64, Outcome)> {
    let ttls = std::iter::successors(Some(0.2), |ttl| Some(ttl * 1.2)).take_while(|&ttl| ttl <= 172_800.0);
    ttls.map(|ttl| (ttl, scenario.play(Policy::Fixed(ttl)))).collect()
}

/// The longest fixed TTL that does: a longer one loads less and leaves more stale.
fn longest(scenario: &Scenario, does: impl Fn(&Outcome) -> bool) -> (f64, Outcome) {
    let (mut least, mut most) = (0.05_f64, 1e6_f64);
    for _ in 0..18 {
        let middle = (least * most).sqrt();
        if does(&scenario.play(Policy::Fixed(middle))) {
            least = middle;
        } else {
            most = middle;
        }
    }
    (least, scenario.play(Policy::Fixed(least)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{DAY, HOUR, MINUTE};

    /// The documentation's table row that begins so has these numbers last. Another
    /// platform's logarithms may differ in their last digit, and a simulation then ends
    /// elsewhere: within two per cent.
    #[track_caller]
    fn check_documented(name: &str, numbers: &[f64]) {
        let docs = include_str!("../../../cache-core/docs/adaptive-ttl.md");
        let row = docs.lines().find(|line| line.starts_with(&format!("| {name}"))).expect("a row of that name");
        let cells = row.split('|').filter_map(|cell| cell.trim().trim_end_matches(" s").replace(',', "").parse().ok());
        let cells: Vec<f64> = cells.collect();
        for (documented, number) in cells[cells.len() - numbers.len()..].iter().zip(numbers) {
            assert!((documented - number).abs() <= 0.02 * number + 0.005, "{row}: {number}");
        }
    }

    #[test]
    fn on_stationary_data_loads_are_within_a_quarter_of_the_best_fixed_ttl() {
        let every = [1.0, 10.0, MINUTE, 10.0 * MINUTE, HOUR, 6.0 * HOUR, DAY];
        let verdict = |interval| Verdict::of(&Scenario::stationary(interval), BOUNDS, &[(1.0, Outcome::default())]);
        let verdicts = every.map(verdict);
        let ratios = verdicts.map(|verdict| verdict.load_ratio());
        assert!(ratios.iter().all(|ratio| *ratio <= 1.25), "{ratios:?}");
        for (verdict, name) in verdicts.iter().zip(["1 s", "10 s", "1 min", "10 min", "1 h", "6 h", "1 day"]) {
            let (ttl, fixed) = verdict.equally_stale;
            let loads = [verdict.adaptive.loads_per_hour(), ttl, fixed.loads_per_hour()];
            check_documented(&format!("{name} | 0."), &[&loads[..], &[verdict.load_ratio()]].concat());
        }
    }

    #[track_caller]
    fn check_beats_every_fixed_ttl(scenario: &Scenario) -> Verdict {
        let fixed = fixed(scenario);
        let verdict = Verdict::of(scenario, BOUNDS, &fixed);
        let adaptive = verdict.adaptive;
        for (ttl, outcome) in &fixed {
            assert!(
                adaptive.loads < outcome.loads || adaptive.stale < outcome.stale,
                "{ttl} s: {outcome:?}, {adaptive:?}"
            );
        }
        verdict
    }

    #[track_caller]
    fn check_beats_by_far(scenario: &Scenario) {
        let verdict = check_beats_every_fixed_ttl(scenario);
        assert!(verdict.load_ratio() < 0.5, "loads at equal staleness: {}", verdict.load_ratio());
        assert!(verdict.stale_ratio() < 0.65, "stale time at equal loads: {}", verdict.stale_ratio());
        assert!(verdict.cost_ratio(BOUNDS) < 0.8, "both, weighed by the rule's price: {}", verdict.cost_ratio(BOUNDS));
        check_documented(scenario.name, &[verdict.load_ratio(), verdict.stale_ratio(), verdict.cost_ratio(BOUNDS)]);
    }

    #[test]
    fn on_mixed_data_every_fixed_ttl_is_beaten() {
        check_beats_by_far(&Scenario::mixed());
    }

    #[test]
    fn on_data_whose_rates_are_drawn_anew_every_fixed_ttl_is_beaten() {
        check_beats_by_far(&Scenario::shifting());
    }

    #[test]
    fn on_data_with_day_and_night_every_fixed_ttl_is_beaten() {
        check_beats_by_far(&Scenario::day_and_night());
    }

    /// Reads limit the loads of every policy, so there are less to save. (No weighed sum:
    /// the least would be not to cache.)
    #[test]
    fn on_mixed_data_that_is_seldom_read_every_fixed_ttl_is_beaten() {
        let scenario = Scenario::mixed_seldom_read();
        let verdict = check_beats_every_fixed_ttl(&scenario);
        assert!(verdict.load_ratio() < 0.95, "loads at equal staleness: {}", verdict.load_ratio());
        assert!(verdict.stale_ratio() < 0.1, "stale time at equal loads: {}", verdict.stale_ratio());
        check_documented(scenario.name, &[verdict.load_ratio(), verdict.stale_ratio()]);
    }
}

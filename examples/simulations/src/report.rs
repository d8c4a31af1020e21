//! The numbers as text, and the charts of the documentation.

use crate::early_refresh::{distance, of_many_callers, of_one_call, theory_of_many_callers, theory_of_one_call};
use crate::plot::{Axis, Chart, Mark, Series};
use crate::refill::Outcome;
use crate::scenario::{DAY, DAY_AND_NIGHT, HOUR, MINUTE, Scenario};
use crate::verdict::{BOUNDS, Verdict, adaptive, fixed};

const LOWER_BOUNDS: [((f64, f64), &str); 5] = [
    ((2.0, HOUR), "2s..1h"),
    ((5.0, HOUR), "5s..1h"),
    ((10.0, HOUR), "10s..1h"),
    ((30.0, HOUR), "30s..1h"),
    ((60.0, HOUR), "60s..1h"),
];

/// Prints everything, and returns the charts by file name.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let (mixed, shifting, day) = (Scenario::mixed(), Scenario::shifting(), Scenario::day_and_night());
    let charts = vec![
        ("early-refresh.svg", early_refresh()),
        ("adaptive-stationary.svg", stationary()),
        ("adaptive-mixed.svg", against_fixed(&mixed, "Keys that change every second to every day")),
        ("adaptive-shifting.svg", against_fixed(&shifting, "Keys whose rate of change is drawn anew every six hours")),
        (
            "adaptive-day-and-night.svg",
            against_fixed(&day, "Keys that change often in peak hours, and seldom at night"),
        ),
        ("adaptive-following.svg", following(&day)),
    ];
    lower_bounds(&mixed);
    seldom_read(&Scenario::mixed_seldom_read());
    charts
}

fn early_refresh() -> String {
    println!("Early refresh, β = 1, cost of a load 1 s: distance of the measured distribution from the derived one");
    println!("{:>16} {:>8} {:>10} {:>12}", "calls a second", "samples", "distance", "1 % limit");
    let mut series = Vec::new();
    let one = of_one_call(1.0, 20_000, 11);
    early_refresh_series(&mut series, 0, "one call", &one, |t| theory_of_one_call(1.0, t));
    for (colour, calls_per_s) in [1.0, 10.0, 100.0, 1_000.0].into_iter().enumerate() {
        let samples = of_many_callers(1.0, calls_per_s, 4_000, 12);
        let name = format!("{calls_per_s} calls/s");
        early_refresh_series(&mut series, colour + 1, &name, &samples, |t| theory_of_many_callers(1.0, calls_per_s, t));
    }
    println!();
    let (x, y) = ("remaining lifetime t, in costs of a load (β = 1)", "P(refreshed before remaining time t)");
    Chart {
        title: "Early refresh: measured (dots) and derived (lines)",
        x: Axis { label: x, from: 0.0, to: 14.0, logarithmic: false },
        y: Axis { label: y, from: 0.0, to: 1.0, logarithmic: false },
        series,
    }
    .svg()
}

fn early_refresh_series(
    series: &mut Vec<Series>,
    colour: usize,
    name: &str,
    samples: &[f64],
    theory: impl Fn(f64) -> f64,
) {
    let limit = 1.63 / (samples.len() as f64).sqrt();
    println!("{name:>16} {:>8} {:>10.4} {limit:>12.4}", samples.len(), distance(samples, &theory));
    let at_least = |t: f64| (samples.len() - samples.partition_point(|&s| s < t)) as f64 / samples.len() as f64;
    let line = (0..=280).map(|n| f64::from(n) / 20.0).map(|t| (t, theory(t))).collect();
    let dots = (1..=28).map(|n| f64::from(n) / 2.0).map(|t| (t, at_least(t))).collect();
    series.push(Series { name: name.to_owned(), mark: Mark::Line, colour, points: line });
    series.push(Series { name: String::new(), mark: Mark::Dots, colour, points: dots });
}

fn stationary() -> String {
    println!("Adaptive TTL \"1s..1h\" on data of one rate, against the fixed TTL that leaves as much stale");
    println!(
        "{:>14} {:>12} {:>12} {:>12} {:>12} {:>8}",
        "changes every", "stale share", "loads/h", "fixed TTL", "its loads/h", "ratio"
    );
    let mut points = Vec::new();
    for interval in [1.0, 10.0, MINUTE, 10.0 * MINUTE, HOUR, 6.0 * HOUR, DAY] {
        let verdict = Verdict::of(&Scenario::stationary(interval), BOUNDS, &[(1.0, Outcome::default())]);
        let (ttl, fixed) = verdict.equally_stale;
        println!(
            "{interval:>12} s {:>12.4} {:>12.2} {ttl:>10.2} s {:>12.2} {:>8.3}",
            verdict.adaptive.stale_share(),
            verdict.adaptive.loads_per_hour(),
            fixed.loads_per_hour(),
            verdict.load_ratio()
        );
        points.push((interval, verdict.load_ratio()));
    }
    println!();
    let level = |at: f64| vec![(1.0, at), (100_000.0, at)];
    let series = |name: &str, mark, colour, points| Series { name: name.to_owned(), mark, colour, points };
    Chart {
        title: "Loads of the adaptive TTL on data of one rate, at equal stale time",
        x: Axis { label: "mean time between changes, seconds", from: 1.0, to: 100_000.0, logarithmic: true },
        y: Axis { label: "loads, best fixed TTL in hindsight = 1", from: 0.0, to: 2.0, logarithmic: false },
        series: vec![
            series("adaptive_ttl = \"1s..1h\", from a cold start", Mark::Dots, 1, points),
            series("best fixed TTL", Mark::Line, 0, level(1.0)),
            series("allowed", Mark::Dashes, 5, level(1.25)),
        ],
    }
    .svg()
}

fn table(scenario: &Scenario, verdict: &Verdict) {
    println!("{}: adaptive TTL \"1s..1h\" against fixed ones", scenario.name);
    println!("{:>22} {:>10} {:>14} {:>12}", "", "TTL", "loads/key/h", "stale share");
    let row = |name, ttl: String, outcome: &Outcome| {
        println!("{name:>22} {ttl:>10} {:>14.2} {:>12.4}", outcome.loads_per_hour(), outcome.stale_share());
    };
    row("adaptive", "1s..1h".to_owned(), &verdict.adaptive);
    let fixed_ones = [
        ("fixed, as stale", verdict.equally_stale),
        ("fixed, as many loads", verdict.equally_loaded),
        ("fixed, least sum", verdict.cheapest),
    ];
    for (name, (ttl, outcome)) in fixed_ones {
        row(name, format!("{ttl:.1} s"), &outcome);
    }
    println!(
        "adaptive by fixed: loads at equal stale time {:.2}, stale time at equal loads {:.2}, weighed sum {:.2}\n",
        verdict.load_ratio(),
        verdict.stale_ratio(),
        verdict.cost_ratio(BOUNDS)
    );
}

/// No weighed sum: the least would be not to cache, for reads alone limit the loads.
fn seldom_read(scenario: &Scenario) {
    let verdict = Verdict::of(scenario, BOUNDS, &[(1.0, Outcome::default())]);
    println!(
        "{}: adaptive TTL \"1s..1h\" by fixed: loads at equal stale time {:.2}, stale time at equal loads {:.2}",
        scenario.name,
        verdict.load_ratio(),
        verdict.stale_ratio()
    );
}

/// What becomes of the lead when the lower bound leaves keys that change faster.
fn lower_bounds(scenario: &Scenario) {
    println!("{}: other bounds, adaptive by fixed", scenario.name);
    println!("{:>12} {:>22} {:>22}", "bounds", "loads, equally stale", "stale, equal loads");
    for (bounds, text) in LOWER_BOUNDS {
        let verdict = Verdict::of(scenario, bounds, &[(1.0, Outcome::default())]);
        println!("{text:>12} {:>22.2} {:>22.2}", verdict.load_ratio(), verdict.stale_ratio());
    }
    println!();
}

/// Loads and stale time of every fixed TTL, and of adaptive ones.
fn against_fixed(scenario: &Scenario, title: &'static str) -> String {
    let fixed = fixed(scenario);
    let verdict = Verdict::of(scenario, BOUNDS, &fixed);
    table(scenario, &verdict);
    let place = |outcome: &Outcome| (outcome.loads_per_hour(), outcome.stale_share());
    let other = LOWER_BOUNDS.map(|(bounds, _)| place(&scenario.play(adaptive(bounds))));
    let dots = |name: &str, colour, points| Series { name: name.to_owned(), mark: Mark::Dots, colour, points };
    Chart {
        title,
        x: Axis { label: "loads per key and hour", from: 1.0, to: 10_000.0, logarithmic: true },
        y: Axis { label: "share of the time that the stored value is stale", from: 0.01, to: 1.0, logarithmic: true },
        series: vec![
            Series {
                name: "every fixed TTL".to_owned(),
                mark: Mark::Line,
                colour: 0,
                points: fixed.iter().map(|(_, outcome)| place(outcome)).collect(),
            },
            dots("adaptive_ttl = \"1s..1h\"", 1, vec![place(&verdict.adaptive)]),
            dots("2s, 5s, 10s, 30s, 60s … 1h", 2, other.to_vec()),
        ],
    }
    .svg()
}

/// The TTL of one key over two days, and what the square-root law makes of the true rate.
fn following(scenario: &Scenario) -> String {
    let trace = scenario.trace(adaptive(BOUNDS));
    let hours = |seconds: f64| seconds / HOUR;
    // One point a minute is all that can be seen.
    let mut points: Vec<(f64, f64)> = trace.iter().map(|&(at, ttl)| (hours(at), ttl)).collect();
    points.dedup_by(|next, kept| next.0 - kept.0 < 1.0 / 60.0);
    let (mut right, mut since) = (Vec::new(), 0.0);
    for midnight in [0.0, 24.0] {
        for (until, interval) in DAY_AND_NIGHT {
            let ttl = (BOUNDS.0 * interval).sqrt();
            right.extend([(since, ttl), (midnight + until, ttl)]);
            since = midnight + until;
        }
    }
    Chart {
        title: "One key follows its data through two days",
        x: Axis { label: "hours", from: 0.0, to: 48.0, logarithmic: false },
        y: Axis { label: "TTL, seconds", from: 1.0, to: 1_000.0, logarithmic: true },
        series: vec![
            Series { name: "adaptive_ttl = \"1s..1h\"".to_owned(), mark: Mark::Line, colour: 1, points },
            Series {
                name: "√(min · mean time between changes)".to_owned(),
                mark: Mark::Dashes,
                colour: 0,
                points: right,
            },
        ],
    }
    .svg()
}

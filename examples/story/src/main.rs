//! One day of traffic on real flights, and what each feature of the library spares the database.
//!
//! Time is virtual and everything is seeded; the calls, loads and invalidations are real ones of the library on the
//! embedded store. `cargo run --package story` prints the table and draws the chart of `cache-core/docs/story.md`.

mod day;
mod db;
mod freshness;
mod play;
#[allow(dead_code, reason = "written for the charts of the simulations, which use all of it")]
#[path = "../../simulations/src/plot.rs"]
mod plot;
mod process;

use std::path::Path;

use play::{Outcome, PROCESSES, Setup, play};
use plot::{Axis, Chart, Mark, Series};

const SEED: u64 = 20_010_101;
const VISITS: usize = 12_000;

/// Each step has what the one before it has.
const LADDER: [(&str, Setup); 5] = [
    ("no cache", Setup::NoCache),
    ("TTL and invalidation, no fences: a map in each process", Setup::Maps { invalidate: true }),
    ("+ single flight and fences: a store in each process", Setup::Embedded),
    ("+ one store for all processes", Setup::Shared { batch: false, warm: false }),
    ("+ batch", Setup::Shared { batch: true, warm: false }),
];
const WARMED: (&str, Setup) = ("+ warming", Setup::Shared { batch: true, warm: true });
const TTL_ONLY: (&str, Setup) = ("beside them, TTL only: a map in each process", Setup::Maps { invalidate: false });

fn main() -> std::io::Result<()> {
    let outcomes = tell(VISITS);
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cache-core/docs/plots");
    std::fs::write(plots.join("story.svg"), chart(&outcomes))?;
    let [plain, fresh] = freshness::compare(SEED);
    println!("\n{:<54} {:>9} {:>13}", "1000 visits, in real time", "queries", "waiting");
    println!("{:<54} {:>9} {:>13}", "TTL of 400 ms", plain.0, plain.1);
    println!("{:<54} {:>9} {:>13}", "+ stale-while-revalidate and early refresh", fresh.0, fresh.1);
    println!("\ncargo run --package story");
    Ok(())
}

/// Plays the day against every set-up, prints what was counted and checks what is claimed.
fn tell(visits: usize) -> Vec<(&'static str, Outcome)> {
    let (flights, events) = day::events(visits, PROCESSES, SEED);
    let pages = events.iter().filter(|event| matches!(event.what, day::What::Visit { .. })).count();
    println!("{pages} pages of up to 4 of {flights} flights, {} changes of delay\n", events.len() - pages);
    println!("{:<54} {:>9} {:>13} {:>9}", "", "queries", "pages waiting", "stale");
    let mut outcomes: Vec<(&str, Outcome)> = Vec::new();
    for (name, setup) in LADDER.into_iter().chain([WARMED, TTL_ONLY]) {
        let outcome = play(setup, flights, &events, SEED);
        println!("{name:<54} {:>9} {:>13} {:>9}", outcome.queries(), outcome.waited, outcome.stale);
        if !matches!(setup, Setup::Maps { .. }) {
            assert_eq!(outcome.stale, 0, "{name}: what an invalidation removed was served");
        }
        outcomes.push((name, outcome));
    }
    for steps in outcomes[..LADDER.len()].windows(2) {
        assert!(steps[1].1.queries() <= steps[0].1.queries(), "{} needs more than {}", steps[1].0, steps[0].0);
    }
    let [.., batch, warmed, ttl_only] = &outcomes[..] else { unreachable!("as many outcomes as rows") };
    assert!(warmed.1.waited < batch.1.waited, "warming is there so that fewer wait");
    assert!(ttl_only.1.stale > 0, "nothing invalidates there");
    outcomes
}

fn chart(outcomes: &[(&'static str, Outcome)]) -> String {
    let line = |(colour, (name, outcome)): (usize, &(&str, Outcome))| Series {
        name: (*name).to_owned(),
        mark: Mark::Line,
        colour,
        points: (0..24).map(|hour| (f64::from(hour) + 0.5, outcome.by_hour[hour as usize].max(1) as f64)).collect(),
    };
    Chart {
        title: "Queries of one day",
        x: Axis { label: "hour of the day", from: 0.0, to: 24.0, logarithmic: false },
        y: Axis { label: "queries in the hour", from: 1.0, to: 1_000_000.0, logarithmic: true },
        series: outcomes.iter().take(LADDER.len() + 1).enumerate().map(line).collect(),
    }
    .svg()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_smaller_day_tells_the_same_story() {
        super::tell(5_000);
    }
}

//! One day of traffic on real flights, and what each feature of the library spares the database and the visitors.
//!
//! Time is virtual and everything is seeded; the calls, loads and invalidations are real ones of the library on the
//! embedded store. `cargo run --package story` prints the table and draws the chart of `cache-core/docs/story.md`.

mod chart;
mod day;
mod db;
mod play;
mod process;

use std::path::Path;

use day::MINUTE_S;
use play::{Outcome, PROCESSES, Setup, play};
use process::Step;

const SEED: u64 = 20_010_101;
const VISITS: usize = 12_000;

/// Each step has what the one before it has.
const LADDER: [(&str, Setup); 7] = [
    ("no cache", Setup::NoCache),
    ("TTL, deleted on a change: no fences", Setup::ByHand { deletes: true, single_flight: false }),
    ("+ single flight in each process: no fences", Setup::ByHand { deletes: true, single_flight: true }),
    ("+ lease across 4 processes, and fences", Setup::Library(Step::Lease)),
    ("+ stale-while-revalidate and early refresh", Setup::Library(Step::Refresh)),
    ("+ batch", Setup::Library(Step::Batch)),
    ("+ warming", Setup::Library(Step::Warm)),
];
const TTL_ONLY: (&str, Setup) =
    ("beside them, TTL only: nothing is deleted", Setup::ByHand { deletes: false, single_flight: false });

fn main() -> std::io::Result<()> {
    let rows = tell(24.0);
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cache-core/docs/plots");
    std::fs::write(plots.join("story.svg"), chart::svg(&rows))?;
    println!("\ncargo run --package story");
    Ok(())
}

/// Plays the first hours of the day against every set-up, prints what was counted and checks what is claimed.
fn tell(hours: f64) -> Vec<(&'static str, Setup, Outcome)> {
    let (flights, mut events) = day::events(VISITS, PROCESSES, SEED);
    events.retain(|event| event.at_s < hours * 60.0 * MINUTE_S);
    let pages = events.iter().filter(|event| matches!(event.what, day::What::Visit { .. })).count();
    println!("{pages} pages of up to 4 of {flights} flights, {} changes of delay\n", events.len() - pages);
    println!("{:<46} {:>9} {:>14} {:>7}", "", "queries", "pages waiting", "stale");
    let play = |(name, setup)| {
        let outcome = play(setup, flights, &events, SEED);
        println!("{name:<46} {:>9} {:>14} {:>7}", outcome.queries, outcome.waited, outcome.stale);
        (name, setup, outcome)
    };
    let rows: Vec<_> = LADDER.into_iter().chain([TTL_ONLY]).map(play).collect();
    check(&rows);
    rows
}

/// What the page claims.
fn check(rows: &[(&str, Setup, Outcome)]) {
    for (name, setup, outcome) in rows {
        let fenced = !matches!(setup, Setup::ByHand { .. });
        assert_eq!(fenced, outcome.stale == 0, "{name}: {} stale answers", outcome.stale);
    }
    let [no_cache, ttl, single_flight, lease, refresh, batch, warm, ttl_only] = std::array::from_fn(|row| &rows[row].2);
    assert!(ttl_only.stale > ttl.stale.max(single_flight.stale), "deleting makes fewer answers stale");
    let queries = [no_cache, ttl, single_flight, lease].map(|outcome| outcome.queries);
    assert!(
        queries.is_sorted_by(|before, after| before > after),
        "each step up to the lease spares queries: {queries:?}"
    );
    assert!(refresh.waited < lease.waited, "refreshes in the background spare waiting");
    assert!(batch.queries < refresh.queries, "batch spares queries");
    assert!(warm.waited < batch.waited, "warming spares waiting");
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_part_of_the_day_tells_the_same_story() {
        super::tell(16.0);
    }
}

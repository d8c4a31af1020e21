//! One day of traffic on real flights, and what each feature of the library spares
//! the database and the visitors.
//!
//! Time is virtual and everything is seeded; the calls, loads and invalidations are real ones of
//! the library on the embedded store. `cargo run --package story` prints the table and draws the
//! chart of `cache-core/docs/story.md`. With `CACHE_URL` it goes on with a minute in real time: it
//! starts itself four times on that Redis, or on that cluster. `cargo run --package story minute`
//! plays that minute alone.

mod by_hand;
mod chart;
mod day;
mod db;
mod play;
mod process;
mod redis_by_hand;
mod rush;

use std::path::Path;

use day::Event;
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
    let (flights, events) = day::events(VISITS, PROCESSES, SEED);
    let url = std::env::var("CACHE_URL");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ([kind, process, run], Ok(url)) = (&arguments[..], &url) {
        rush::answer(kind, process.parse().expect("a number"), run, url, flights, &events);
        return Ok(());
    }
    if let ([only], Ok(_)) = (&arguments[..], &url)
        && only == "minute"
    {
        return rush::compare(&events);
    }
    let rows = tell(flights, &events);
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cache-core/docs/plots");
    std::fs::write(plots.join("story.svg"), chart::svg(&rows))?;
    match url {
        Ok(_) => rush::compare(&events),
        Err(_) => Ok(()),
    }
}

/// Plays the events against every set-up, prints what was counted and checks what is claimed.
fn tell(flights: usize, events: &[Event]) -> Vec<(&'static str, Setup, Outcome)> {
    let pages = events.iter().filter_map(Event::page).count();
    println!("{pages} pages of up to 4 of {flights} flights, {} changes of delay\n", events.len() - pages);
    println!("{:<46} {:>9} {:>14} {:>7}", "", "queries", "pages waiting", "stale");
    let rows: Vec<_> = std::thread::scope(|scope| {
        let played: Vec<_> = LADDER
            .into_iter()
            .chain([TTL_ONLY])
            .map(|(name, setup)| (name, setup, scope.spawn(move || play(setup, flights, events, SEED))))
            .collect();
        let ended = played.into_iter().map(|(name, setup, playing)| {
            let outcome = playing.join().expect("it says what is wrong");
            println!("{name:<46} {:>9} {:>14} {:>7}", outcome.queries, outcome.waited, outcome.stale);
            (name, setup, outcome)
        });
        ended.collect()
    });
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
    use super::*;
    use crate::day::MINUTE_S;

    #[test]
    fn a_part_of_the_day_tells_the_same_story() {
        let (flights, mut events) = day::events(VISITS, PROCESSES, SEED);
        events.retain(|event| event.at_s < 16.0 * 60.0 * MINUTE_S);
        tell(flights, &events);
    }
}

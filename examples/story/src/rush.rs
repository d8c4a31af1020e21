//! The busiest minute of the day, played in real time by four processes of the
//! operating system on a real Redis.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Error, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use cache_core::Cache;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::SEED;
use crate::by_hand::{ByHand, SharedStore};
use crate::day::{Action, Event, MINUTE_S};
use crate::db::Db;
use crate::play::PROCESSES;
use crate::process::{Library, Process, Step};

/// What the minute is played in.
const SECONDS: f64 = 6.0;
const PATIENCE: Duration = Duration::from_secs(5);
const BY_HAND: &str = "by-hand";
const LIBRARY: &str = "library";

/// Prints what four processes ask the database with each kind of cache. Each runs [`answer`].
///
/// # Panics
/// If the cache does not spare half of the questions.
pub(crate) fn compare(events: &[Event]) -> Result<(), Error> {
    let pages: Vec<&[u32]> = busiest_minute(events).iter().filter_map(Event::page).collect();
    let asked_for = pages.concat();
    let flights = asked_for.iter().collect::<HashSet<_>>().len();
    let title = format!("{} pages of {flights} flights in {SECONDS} s", pages.len());
    println!("\n{title:<46} {:>9}", "queries");
    for (kind, name) in
        [(BY_HAND, "TTL and single flight: no fences"), (LIBRARY, "lease across 4 processes, and fences")]
    {
        let mut processes = (0..PROCESSES).map(|process| start(kind, process)).collect::<Result<Vec<_>, _>>()?;
        // Nobody begins before all are there.
        processes.iter_mut().try_for_each(|(_, says)| next(says).map(drop))?;
        processes.iter_mut().try_for_each(|(child, _)| child.stdin.take().expect("piped").write_all(b"go\n"))?;
        let mut queries = 0;
        for (child, says) in &mut processes {
            queries += next(says)?.parse::<u64>().map_err(Error::other)?;
            let status = child.wait()?;
            assert!(status.success(), "a process ends with {status}");
        }
        println!("{name:<46} {queries:>9}");
        assert!(queries >= flights as u64, "each flight is loaded once at least");
        assert!(2 * queries < asked_for.len() as u64, "{queries} queries for {} flights of pages", asked_for.len());
    }
    Ok(())
}

fn start(kind: &str, process: usize) -> Result<(Child, BufReader<ChildStdout>), Error> {
    // Each run has keys of its own: the cache that is written by hand leaves its entries to expire.
    let arguments = [kind, &process.to_string(), &std::process::id().to_string()];
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let says = BufReader::new(child.stdout.take().expect("piped"));
    Ok((child, says))
}

fn next(says: &mut BufReader<ChildStdout>) -> Result<String, Error> {
    let mut line = String::new();
    says.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// One of the processes: says when it is ready, waits for the word, and says
/// how often it asked the database.
pub(crate) fn answer(kind: &str, process: usize, run: &str, url: &str, flights: usize, events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = Db::new(flights, SEED + process as u64);
        let reader = match kind {
            LIBRARY => {
                // To clear is no call of the minute: four processes do it at once.
                let builder = Cache::builder().url(url).namespace("story-rush").operation_deadline(PATIENCE);
                let cache = builder.build().expect("a Redis URL");
                cache.ready(PATIENCE).await.expect("a Redis at CACHE_URL");
                cache.clear().await.expect("a Redis at CACHE_URL");
                Process::Library(Library { cache, db: db.clone(), step: Step::Lease })
            }
            _ => Process::ByHand(ByHand::new(SharedStore::redis(url, run).await, &db, true).single_flight()),
        };
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).expect("the word to begin");
        let begun = Instant::now();
        let minute = busiest_minute(events);
        let mut tasks = JoinSet::new();
        for event in minute {
            let after_s = (event.at_s - minute[0].at_s) * SECONDS / MINUTE_S;
            let reader = reader.clone();
            match event.what.clone() {
                Action::Visit { process: by, ids } if by == process => {
                    sleep_until(begun + Duration::from_secs_f64(after_s)).await;
                    tasks.spawn(async move { _ = reader.page(&ids).await });
                }
                Action::Delay { id, .. } if id as usize % PROCESSES == process => {
                    sleep_until(begun + Duration::from_secs_f64(after_s)).await;
                    tasks.spawn(async move { reader.invalidate(id).await });
                }
                _ => {}
            }
        }
        tasks.join_all().await;
        println!("{}", db.queries());
    });
}

/// The events of the minute with most visits.
fn busiest_minute(events: &[Event]) -> &[Event] {
    let minutes = events.chunk_by(|a, b| (a.at_s / MINUTE_S).floor() == (b.at_s / MINUTE_S).floor());
    minutes.max_by_key(|minute| minute.iter().filter_map(Event::page).count()).unwrap_or_default()
}

//! Whether a hit costs more among a million keys, and a fill more into a tag of a million members.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Raw, Server};

use crate::million;
use crate::rounds::Rounds;

const READERS: u64 = 32;
const FILLS: u64 = 500;

/// Hits per second on keys all over the store, and what the server says that a `GET` takes, in µs.
async fn hits(cache: &Cache, raw: &mut Raw, members: u64, slice: Duration) -> (f64, f64) {
    raw.command::<()>("CONFIG", &["RESETSTAT"]).await;
    let begun = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let mut hits = 0u64;
                while begun.elapsed() < slice {
                    // A prime: all over the store, and another order for each reader.
                    let at = (reader * 31 + hits * 7_919) % members;
                    let key: Key<u64> = million::key(at);
                    assert_eq!(cache.peek(&key).await.expect("it answers"), Some(1), "a hit");
                    hits += 1;
                }
                hits
            })
        })
        .collect();
    let mut hits = 0;
    for reader in readers {
        hits += reader.await.expect("no reader panics");
    }
    (hits as f64 / begun.elapsed().as_secs_f64(), of_command(raw, "get").await)
}

/// The µs that the server spends on the two scripts of a miss, and the µs that its caller waits.
async fn fills(cache: &Cache, raw: &mut Raw, members: u64, round: usize) -> (f64, f64) {
    raw.command::<()>("CONFIG", &["RESETSTAT"]).await;
    let begun = Instant::now();
    for at in 0..FILLS {
        let key: Key<u64> = format!("late:{members}:{round}:{at}").into_key().expect("a valid key");
        let key = key.with_tags(["million"]).with_ttl(Duration::from_secs(3_600));
        cache.get_or_load(&key, || async { Ok::<u64, Infallible>(1) }).await.expect("infallible");
    }
    let waited = begun.elapsed().as_secs_f64() * 1e6 / FILLS as f64;
    (2.0 * of_command(raw, "evalsha").await, waited)
}

/// What the server says that one call of a command takes, in µs.
async fn of_command(raw: &mut Raw, command: &str) -> f64 {
    let figures: String = raw.command("INFO", &["commandstats"]).await;
    let line = figures.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let figure = line.and_then(|line| line.split_once("usec_per_call=")).expect("a command that was sent").1;
    figure.split(',').next().and_then(|figure| figure.parse().ok()).expect("a number")
}

pub async fn run(server: &Server, rounds: usize, slice: Duration, members: u64) {
    let cache = Cache::builder().url(server.url()).namespace("scale").build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    println!("\n## Among many: {READERS} readers, {FILLS} fills into one tag, {rounds} rounds; median (min..max)\n");
    println!(
        "| keys, all with the tag | hits/s | `GET` on the server, µs | a miss into the tag: scripts, µs | its caller waits, µs |"
    );
    println!("|---|---|---|---|---|");
    let mut stored = 0;
    for size in [1_000, members / 10, members] {
        million::fill(&cache, stored..size).await;
        stored = size;
        let mut figures = [(); 4].map(|()| Rounds::default());
        for round in 0..rounds {
            let (hits, fills) = (hits(&cache, &mut raw, size, slice).await, fills(&cache, &mut raw, size, round).await);
            for (rounds, figure) in figures.iter_mut().zip([hits.0, hits.1, fills.0, fills.1]) {
                rounds.push(figure);
            }
        }
        let [hits, get, scripts, waited] = &figures;
        println!("| {size} | {hits:.0} | {get:.2} | {scripts:.1} | {waited:.0} |");
    }
}

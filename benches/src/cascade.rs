//! An invalidation of one tag that removes 10,000 entries: 100 routes of one airport, and 99 boards
//! that depend on each route.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::{Raw, Server};
use tokio::sync::watch;

use crate::flight::Flight;
use crate::rounds::Rounds;

const ROUTES: u64 = 100;
const BOARDS: u64 = 99;
const ENTRIES: u64 = ROUTES * (1 + BOARDS);
/// Fills that are under way at once.
const FILLERS: u64 = 50;

#[cached(prefix = "route", ttl = "1h", skip(cache), cache = cache, tags = ["airport:DFW"])]
async fn route(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

#[cached(prefix = "board", ttl = "1h", skip(cache), cache = cache, depends_on = [route(route_id)])]
async fn board(cache: &Cache, route_id: u64, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(route_id * BOARDS + id))
}

async fn fill(cache: &Cache) {
    let fillers = (0..FILLERS).map(|filler| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for id in (filler..ROUTES).step_by(FILLERS as usize) {
                route(&cache, id).await.expect("infallible");
                for child in 0..BOARDS {
                    board(&cache, id, child).await.expect("infallible");
                }
            }
        })
    });
    for filler in fillers.collect::<Vec<_>>() {
        filler.await.expect("no filler panics");
    }
}

/// Stores the same entries with naive bookkeeping: a plain set per tag and per dependency.
async fn fill_naively(raw: &mut Raw) {
    let value = serde_json::to_vec(&Flight::new(1)).expect("a flight");
    for route in 0..ROUTES {
        let mut pipe = redis::pipe();
        pipe.set(format!("naive:route:{route}"), &value).sadd("naive:tag:airport:DFW", format!("naive:route:{route}"));
        for board in 0..BOARDS {
            let key = format!("naive:board:{route}:{board}");
            pipe.set(&key, &value).sadd(format!("naive:dependents:naive:route:{route}"), key);
        }
        pipe.exec_async(raw.connection()).await.expect("the server answers");
    }
}

/// Reads the members of a set, deletes them, goes on with the entries that depend on them: two
/// round trips for each node.
async fn invalidate_naively(raw: &mut Raw) -> u64 {
    let mut entries = 0;
    let mut pending: Vec<String> = raw.command("SMEMBERS", &["naive:tag:airport:DFW"]).await;
    raw.command::<u64>("DEL", &["naive:tag:airport:DFW"]).await;
    while let Some(key) = pending.pop() {
        let dependents = format!("naive:dependents:{key}");
        pending.extend(raw.command::<Vec<String>>("SMEMBERS", &[&dependents]).await);
        let existed: u64 = raw.command("DEL", &[&key]).await;
        raw.command::<u64>("DEL", &[&dependents]).await;
        entries += existed;
    }
    entries
}

/// Figures of one invalidation, in ms.
#[derive(Default)]
struct Took {
    whole: Rounds,
    /// The longest time that another client waited for an answer meanwhile.
    bystander: Rounds,
    /// The longest time that one command took, as the server tells.
    longest_command: Rounds,
}

impl Took {
    async fn measure(&mut self, server: &Server, invalidation: impl Future<Output = u64>) {
        let mut raw = server.raw().await;
        raw.command::<()>("CONFIG", &["SET", "slowlog-log-slower-than", "100", "slowlog-max-len", "100000"]).await;
        raw.command::<()>("SLOWLOG", &["RESET"]).await;
        let (whole, bystander) = watched(server, invalidation).await;
        let commands: Vec<(u64, u64, u64, redis::Value, String, String)> = raw.command("SLOWLOG", &["GET", "-1"]).await;
        raw.command::<()>("CONFIG", &["SET", "slowlog-log-slower-than", "-1"]).await;
        let longest_us = commands.iter().map(|command| command.2).max().unwrap_or_default();
        self.whole.push(whole);
        self.bystander.push(bystander);
        self.longest_command.push(longest_us as f64 / 1e3);
    }
}

/// How long an invalidation took, and how long another client waited at most meanwhile.
async fn watched(server: &Server, invalidation: impl Future<Output = u64>) -> (f64, f64) {
    let mut bystander = server.raw().await;
    let (stop, stopped) = watch::channel(false);
    let longest_wait = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        while !*stopped.borrow() {
            let asked_at = Instant::now();
            bystander.command::<String>("PING", &[]).await;
            longest = longest.max(asked_at.elapsed());
        }
        longest
    });
    let started_at = Instant::now();
    let entries = invalidation.await;
    let took = started_at.elapsed();
    assert_eq!(entries, ENTRIES, "everything falls, each once");
    stop.send_replace(true);
    let longest_wait = longest_wait.await.expect("the bystander is served");
    (took.as_secs_f64() * 1e3, longest_wait.as_secs_f64() * 1e3)
}

pub async fn run(server: &Server, rounds: usize) {
    let cache = Cache::builder().url(server.url()).namespace("cascade").build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    let (mut ours, mut naive) = (Took::default(), Took::default());
    for _ in 0..rounds {
        fill(&cache).await;
        let by_tag = async { cache.invalidate_tag("airport:DFW").await.expect("the server answers").entries };
        ours.measure(server, by_tag).await;
        fill_naively(&mut raw).await;
        naive.measure(server, invalidate_naively(&mut raw)).await;
    }
    println!("\n## A cascade: {ENTRIES} entries by one tag, {rounds} rounds; median (min..max)\n");
    println!("| | ms | a bystander's longest PING, ms | longest command, as the server says, ms |\n|---|---|---|---|");
    for (name, took) in [("cache-core", &ours), ("SMEMBERS + DEL per node", &naive)] {
        println!("| {name} | {:.1} | {:.1} | {:.2} |", took.whole, took.bystander, took.longest_command);
    }
    println!("| naive / ours | {:.1} | | |", naive.whole.over(&ours.whole));
}

//! A RealWorld application (Conduit), written as an ordinary service on axum, sqlx and PostgreSQL,
//! and measured with cache-core and without. Run by `cargo xtask bench realworld`.
//!
//! Each figure is a process of its own: this program, or the one that was built without the
//! feature `cached`. All processes use one database.

use std::time::Duration;

use cache_core::Cache;
use cache_tests::{Server, ServerKind};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;

mod app;
mod articles;
mod auth;
mod comments;
mod load;
mod routes;
mod seed;
mod users;

use app::App;

const WRITES: [f64; 3] = [0.0, 0.01, 0.05];
/// Read requests whose answers are compared with what the database says, after each measurement.
const SAMPLE: usize = 500;
/// As many as the two cores of this machine can keep busy.
const DB_CONNECTIONS: u32 = 8;
/// The program without the attributes, the cache of `App`, and the name in the table. The first is
/// what the others are compared with.
const WAYS: [(bool, &str, &str); 4] = [
    (true, "disabled", "without cache-core's attributes"),
    (false, "disabled", "`Cache::disabled()`"),
    (false, "embedded", "embedded store"),
    (false, "redis", "Redis"),
];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask bench realworld`"))
}

async fn connect() -> PgPool {
    let pool = PgPoolOptions::new().max_connections(DB_CONNECTIONS);
    pool.connect(&format!("{}/postgres", variable("CACHE_TEST_POSTGRES_URL"))).await.expect("a database that answers")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", cache, writes, ms] => {
            let (writes, ms) = (writes.parse().expect("a share"), ms.parse().expect("a number of ms"));
            measure(cache, writes, Duration::from_millis(ms)).await;
        }
        [] => bench(3, Duration::from_secs(5)).await,
        ["--quick"] => bench(1, Duration::from_secs(1)).await,
        _ => panic!("realworld [--quick]"),
    }
}

/// Warms for as long as it measures, then says answers per second, hits in percent, and how many
/// answers were compared.
async fn measure(cache: &str, writes: f64, time: Duration) {
    let db = connect().await;
    let cache = match cache {
        "disabled" => Cache::disabled(),
        "embedded" => Cache::in_memory(),
        url => {
            Cache::builder().url(url).namespace(format!("realworld-{}", std::process::id())).build().expect("a cache")
        }
    };
    cache.ready(Duration::from_secs(5)).await.expect("a store that answers");
    let router = routes::router(App { cache: cache.clone(), db: db.clone() });
    let truth = routes::router(App { cache: Cache::disabled(), db });
    load::run(&router, writes, time).await;
    let before = counts(&cache);
    let per_second = load::run(&router, writes, time).await;
    let after = counts(&cache);
    let (hits, misses) = (after.0 - before.0, after.1 - before.1);
    let percent = 100.0 * hits as f64 / (hits + misses).max(1) as f64;
    println!("{per_second} {percent} {}", load::compare(&router, &truth, SAMPLE).await);
}

/// Hits and misses so far.
fn counts(cache: &Cache) -> (u64, u64) {
    let stats = cache.stats();
    (stats.total().hits, stats.total().misses)
}

async fn bench(rounds: usize, time: Duration) {
    let redis = Server::start(ServerKind::Redis);
    seed::run(&connect().await).await.expect("a database that can be filled");
    let this = std::env::current_exe().expect("this program");
    let plain = variable("REALWORLD_PLAIN");
    println!("\n## A RealWorld application: requests/s, {rounds} rounds of {time:?}; median (min..max)\n");
    println!("| writes | | requests/s | of the first | hits, % | answers compared |\n|---|---|---|---|---|---|");
    for writes in WRITES {
        let mut figures = WAYS.map(|_| (Vec::new(), 0.0, 0));
        for _ in 0..rounds {
            for ((bare, cache, _), (rates, percent, compared)) in WAYS.iter().zip(&mut figures) {
                let program = if *bare { plain.as_ref() } else { this.as_os_str() };
                let cache = if *cache == "redis" { redis.url() } else { (*cache).to_owned() };
                let mut process = Command::new(program);
                process.args(["measure", &cache, &writes.to_string(), &time.as_millis().to_string()]);
                let output = process.output().await.expect("a program that runs");
                let said = String::from_utf8(output.stdout).expect("UTF-8");
                let said: Vec<f64> = said.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
                let [rate, hits, answers] = said[..] else {
                    panic!("{writes} {cache}:\n{}", String::from_utf8_lossy(&output.stderr));
                };
                rates.push(rate);
                *percent = hits;
                *compared += answers as usize;
            }
        }
        let base = figures[0].0.clone();
        for ((_, _, name), (rates, percent, compared)) in WAYS.iter().zip(&figures) {
            let ratios = rates.iter().zip(&base).map(|(rate, base)| rate / base).collect();
            let (rates, ratios) = (spread(rates.clone(), 0), spread(ratios, 2));
            println!("| {:.0} % | {name} | {rates} | {ratios} | {percent:.0} | {compared} |", writes * 100.0);
        }
    }
}

fn spread(mut figures: Vec<f64>, digits: usize) -> String {
    figures.sort_by(f64::total_cmp);
    let (median, last) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    format!("{median:.digits$} ({:.digits$}..{last:.digits$})", figures[0])
}

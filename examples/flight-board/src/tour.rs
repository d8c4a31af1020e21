//! Drives the board over real HTTP, says what happens, and checks everything it says.
//!
//! `reads`, `changes`, `races`, `warming` and `traffic` are the chapters. Each runs on
//! the state that the one before it left, so the number of entries that an
//! invalidation removes is known exactly.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::http::Method;
use cache_core::Cache;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::App;
use crate::db::Db;
use crate::setup;
use client::{Client, Reply};

mod changes;
mod client;
mod races;
mod reads;
mod traffic;
mod warming;

/// The day of the boards: the one with most departures from Dallas and Chicago.
const DAY: &str = "2001-03-09";
/// No request of the tour takes this long, even on a busy machine, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs all chapters; `Ok(false)`: a printed claim was not true.
///
/// # Errors
/// What kept the tour from asking at all: no port, no cache server.
pub async fn run() -> Outcome<bool> {
    let began = Instant::now();
    let db = Db::in_memory()?;
    // In a namespace of this run, so that whatever else the server of CACHE_URL holds is
    // neither read nor touched. Nothing is given up for being slow: the claims about queries
    // must hold on a busy machine, too.
    let settings = Cache::builder().namespace(db.namespace()).operation_deadline(PATIENCE).lease_wait(PATIENCE);
    let (cache, store) = setup::install_cache(settings)?;
    cache.ready(PATIENCE).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = Client::new(listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let app = App::new(db.clone(), cache.clone());
    let server = tokio::spawn(setup::serve(listener, app, async { drop(stopped.await) }));

    println!("Flight board: real flights of early 2001 in SQLite, cached in {store}.");
    let mut tour = Tour { client, db, cache, chapter: 0, claims: 0, untrue: Vec::new() };
    reads::run(&mut tour).await?;
    changes::run(&mut tour).await?;
    races::run(&mut tour).await?;
    warming::run(&mut tour).await?;
    traffic::run(&mut tour).await?;

    let left = tour.cache.clear().await?.entries;
    println!("\nCleared the tour's namespace: {left} entries.");
    drop(stop);
    server.await??;
    for claim in &tour.untrue {
        println!("NOT TRUE: {claim}");
    }
    println!(
        "{} of {} claims are true. {:.1} s.",
        tour.claims - tour.untrue.len(),
        tour.claims,
        began.elapsed().as_secs_f64()
    );
    Ok(tour.untrue.is_empty())
}

/// What the chapters use.
struct Tour {
    client: Client,
    db: Db,
    cache: Cache,
    chapter: usize,
    claims: usize,
    untrue: Vec<String>,
}

impl Tour {
    fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    /// Prints a claim, and remembers it if it is not true.
    fn claim(&mut self, claim: impl Into<String>, is_true: bool) {
        let claim = claim.into();
        self.claims += 1;
        println!("   {} {claim}", if is_true { "✓" } else { "✗ NOT TRUE:" });
        if !is_true {
            self.untrue.push(claim);
        }
    }

    /// Claims a number; says what it is instead, if it is another.
    fn claim_count(&mut self, claim: &str, counted: u64, expected: u64) {
        if counted == expected {
            self.claim(claim, true);
        } else {
            self.claim(format!("{claim} (expected {expected}, counted {counted})"), false);
        }
    }

    async fn get(&self, path: &str) -> Outcome<Reply> {
        let answer = tokio::time::timeout(PATIENCE, self.client.ask(Method::GET, path, None)).await??;
        report("GET", path, &answer);
        Ok(answer)
    }

    /// Makes a change and says how many entries it removed.
    async fn change(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<(Reply, u64)> {
        let before = self.cache.stats().total().invalidated;
        let answer = tokio::time::timeout(PATIENCE, self.client.ask(method.clone(), path, body.as_ref())).await??;
        let removed = self.cache.stats().total().invalidated - before;
        // A whole airport would fill the line.
        let body = body.map(|body| format!(" {body}")).filter(|body| body.len() < 50).unwrap_or_default();
        report(method.as_str(), &format!("{path}{body}"), &answer);
        println!("        removed {removed} cached {}", if removed == 1 { "entry" } else { "entries" });
        Ok((answer, removed))
    }

    async fn delay(&self, flight: u64, delay_min: i32) -> Outcome<(Reply, u64)> {
        self.change(Method::PUT, &format!("/flights/{flight}/delay"), Some(json!({ "delay_min": delay_min }))).await
    }

    async fn invalidate(&self, kind: &str, name: &str) -> Outcome<u64> {
        let (_, removed) = self.change(Method::POST, "/admin/invalidate", Some(json!({ kind: name }))).await?;
        Ok(removed)
    }

    fn refused_fills(&self) -> u64 {
        self.cache.stats().total().refused_fills
    }
}

fn report(method: &str, path: &str, answer: &Reply) {
    let queries = match answer.database_queries {
        1 => "1 query".to_owned(),
        queries => format!("{queries} queries"),
    };
    println!("   {:<72} {}  {:<8}  {queries}", format!("{method} {path}"), answer.status, answer.served_from);
}

fn board(iata: &str) -> String {
    format!("/airports/{iata}/departures?day={DAY}")
}

/// The delay that a board or an itinerary shows for a flight.
fn shown_delay(list: &Value, flight: u64) -> Option<i64> {
    let flights = list.as_array()?.iter().map(|line| line.get("flight").unwrap_or(line));
    flights.into_iter().find(|shown| shown["id"] == flight)?["delay_min"].as_i64()
}

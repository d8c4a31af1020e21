//! Copies in four processes, each of which changes data that all of them read. Every read is
//! checked, and of each copy that was old it is measured for how long it had been so.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use cache_tests::{Fault, FaultProxy, NearCrowd, NearRun, NearTally, Server};

const PROCESSES: usize = 4;
/// For how long a copy may be served after the last answer of its connection.
const TRUST: Duration = Duration::from_secs(1);
/// That of a cache with default settings.
const DEADLINE: Duration = Duration::from_millis(250);
/// Longer than a copy may be served without an answer.
const SILENT: Duration = Duration::from_millis(1_500);

pub async fn run(server: &Server, reads: u64) {
    println!("\n## {PROCESSES} processes with copies of 64 values that they all change, every read checked\n");
    println!(
        "| | reads | of copies | of old copies | old for, ms: p50 | p99 | max | bound |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let each = NearRun { reads: reads / PROCESSES as u64, lasts: Duration::ZERO, changes: true };
    let urls: Vec<String> = vec![server.url(); PROCESSES];
    let mut crowd = start(&urls, "standing").await;
    row("links that stand", NearTally::sum(crowd.run(0..PROCESSES, each).await));
    drop(crowd);
    row("one link after the other silent for 1.5 s", silent(server).await);
}

/// Each process in turn hears nothing while the others change what it has copies of.
async fn silent(server: &Server) -> NearTally {
    let address: SocketAddr = server.url().trim_start_matches("redis://").parse().expect("an address");
    let mut proxies = Vec::new();
    for _ in 0..PROCESSES {
        proxies.push(FaultProxy::start(address).await);
    }
    let urls: Vec<String> = proxies.iter().map(FaultProxy::url).collect();
    let mut crowd = start(&urls, "silent").await;
    let changes = NearRun { reads: 0, lasts: SILENT, changes: true };
    let mut tallies = Vec::new();
    for (process, proxy) in proxies.iter().enumerate() {
        tallies.extend(crowd.run(0..PROCESSES, changes).await);
        proxy.set(Fault::Stall).await;
        // It would doubt its copies after a change of its own.
        crowd.begin(process, NearRun { changes: false, ..changes }).await;
        let others: [Range<usize>; 2] = [0..process, process + 1..PROCESSES];
        for other in others.clone().into_iter().flatten() {
            crowd.begin(other, changes).await;
        }
        for other in others.into_iter().flatten() {
            tallies.push(crowd.end(other).await);
        }
        proxy.set(Fault::None).await;
        tallies.push(crowd.end(process).await);
    }
    NearTally::sum(tallies)
}

async fn start(urls: &[String], namespace: &str) -> NearCrowd {
    let program = std::env::current_exe().expect("this program");
    NearCrowd::start(program.to_str().expect("a path in UTF-8"), &["near-crowd"], urls, namespace, DEADLINE).await
}

fn row(name: &str, mut tally: NearTally) {
    assert_eq!(tally.wrong, 0, "what is no copy is never old, and no copy after a change of its own process");
    assert!(tally.staleness_max() <= TRUST, "{:?}", tally.staleness_max());
    tally.staleness_us.sort_unstable();
    let late = &tally.staleness_us;
    let ms = |per_cent: usize| late.get(late.len() * per_cent / 100).map_or(0.0, |us| *us as f64 / 1_000.0);
    println!(
        "| {name} | {} | {:.1} % | {} | {:.2} | {:.2} | {:.2} | {} |",
        tally.reads,
        tally.near_hits as f64 * 100.0 / tally.reads as f64,
        late.len(),
        ms(50),
        ms(99),
        tally.staleness_max().as_secs_f64() * 1_000.0,
        TRUST.as_millis()
    );
}

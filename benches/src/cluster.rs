//! What each kind of call costs on a cluster of three nodes, with 1, 16 and 64 partitions, beside
//! the same cluster used naively.
//!
//! The nodes count the scripts and the commands, and tell their CPU time. Round trips are measured
//! on links on which every reply takes its time.

use std::time::{Duration, Instant};

use cache_core::Cache;
use cache_tests::{ClusterSet, ServerKind};

use crate::rounds::Rounds;
use contestant::{Contestant, OPERATIONS, Operation};
use link::Link;
use naive::Naive;

mod contestant;
mod growth;
mod link;
mod naive;
mod nodes;

const NODES: usize = 3;
const PARTITIONS: [u16; 3] = [1, 16, 64];
/// The naive way, and each number of partitions.
const CONTESTANTS: usize = 1 + PARTITIONS.len();
const CALLERS: u64 = 8;
/// Far more than the work of one round trip takes, on a busy machine too.
const DELAY: Duration = Duration::from_millis(40);
/// Calls of each kind over slow links. The shortest one counts: a busy machine only adds to it.
const SLOW_CALLS: u64 = 5;
/// The ids of calls over slow links: no others begin there.
const SLOW_IDS: u64 = 1 << 40;
const READY: Duration = Duration::from_secs(30);

/// Figures of one kind of call by one contestant.
#[derive(Default)]
struct Figures {
    round_trips: f64,
    /// Scripts of ours, commands of the naive way.
    sent: Rounds,
    us: Rounds,
    cpu_us: Rounds,
}

pub async fn run(rounds: usize) {
    let set = ClusterSet::without_replicas(ServerKind::Redis, NODES).await;
    let mut contestants = vec![Contestant::Naive(Naive::connect(&set).await)];
    for partitions in PARTITIONS {
        contestants.push(Contestant::Ours(open(&set, partitions, None).await));
    }
    let mut figures = OPERATIONS.map(|_| [(); CONTESTANTS].map(|()| Figures::default()));
    for round in 0..rounds {
        for (operation, figures) in OPERATIONS.into_iter().zip(&mut figures) {
            for turn in 0..CONTESTANTS {
                let at = (round + turn) % CONTESTANTS;
                measure(&set, &contestants[at], operation, round as u64, &mut figures[at]).await;
            }
            for contestant in &contestants {
                contestant.clear().await;
            }
        }
    }
    count_round_trips(&set, &contestants, &mut figures).await;
    print(rounds, &figures);
    drop(set);
    growth::run(rounds).await;
}

/// With `links`, by ways on which every reply takes its time.
async fn open(set: &ClusterSet, partitions: u16, links: Option<&[Link]>) -> Cache {
    let url = format!("{}/?partitions={partitions}", set.url());
    let builder = Cache::builder().url(url).namespace(format!("p{partitions}")).operation_deadline(READY);
    let ways = set.nodes.iter().zip(links.unwrap_or_default());
    let builder = ways.fold(builder, |builder, (node, link)| {
        builder.node_address(node.address().to_string(), link.address().to_string())
    });
    let cache = builder.build().expect("a cache");
    cache.ready(READY).await.expect("a cluster that answers");
    cache
}

async fn measure(set: &ClusterSet, contestant: &Contestant, operation: Operation, round: u64, figures: &mut Figures) {
    let calls = operation.calls();
    let ids = round * calls..(round + 1) * calls;
    contestant.prepare(operation, ids.clone()).await;
    let before = nodes::spent(set).await;
    let begun = Instant::now();
    contestant.make_all(operation, ids, CALLERS).await;
    let took = begun.elapsed();
    let spent = nodes::spent(set).await.since(&before);
    let sent = if matches!(contestant, Contestant::Naive(_)) { spent.commands } else { spent.scripts };
    figures.sent.push(sent / calls as f64);
    figures.us.push(took.as_secs_f64() * 1e6 / calls as f64);
    figures.cpu_us.push(spent.cpu_us.iter().sum::<f64>() / calls as f64);
}

/// How often a caller waits, one call at a time.
async fn count_round_trips(
    set: &ClusterSet,
    contestants: &[Contestant],
    figures: &mut [[Figures; CONTESTANTS]; OPERATIONS.len()],
) {
    let mut links = Vec::new();
    for node in &set.nodes {
        links.push(Link::start(node.address(), DELAY).await);
    }
    let mut slow = vec![contestants[0].clone()];
    for partitions in PARTITIONS {
        slow.push(Contestant::Ours(open(set, partitions, Some(&links)).await));
    }
    for (operation, figures) in OPERATIONS.into_iter().zip(figures) {
        for ((fast, slow), figures) in contestants.iter().zip(&slow).zip(figures) {
            figures.round_trips = match slow {
                Contestant::Naive(naive) => {
                    fast.prepare(operation, SLOW_IDS..SLOW_IDS + 1).await;
                    naive.clone().make(operation, SLOW_IDS).await as f64
                }
                Contestant::Ours(_) => slow_calls(fast, slow, operation).await,
            };
            fast.clear().await;
        }
    }
}

/// How many replies a caller waits for, one after the other.
async fn slow_calls(fast: &Contestant, slow: &Contestant, operation: Operation) -> f64 {
    let mut took = Rounds::default();
    for id in SLOW_IDS..SLOW_IDS + SLOW_CALLS {
        fast.prepare(operation, id..id + 1).await;
        let begun = Instant::now();
        slow.make_all(operation, id..id + 1, 1).await;
        took.push((begun.elapsed().as_secs_f64() / DELAY.as_secs_f64()).floor());
    }
    took.lowest()
}

fn print(rounds: usize, figures: &[[Figures; CONTESTANTS]]) {
    let names = PARTITIONS.map(|partitions| format!("P = {partitions}"));
    println!("\n## A cluster of {NODES} nodes: round trips of a caller, and what the nodes count for one call\n");
    println!(
        "| | naively: round trips, commands | {}: round trips, scripts |",
        names.join(": round trips, scripts | ")
    );
    println!("|{}", "---|".repeat(1 + CONTESTANTS));
    for (operation, figures) in OPERATIONS.iter().zip(figures) {
        let cells = figures.iter().map(|figures| format!("{:.0}, {:.1}", figures.round_trips, figures.sent.median()));
        println!("| {} | {} |", operation.name(), cells.collect::<Vec<_>>().join(" | "));
    }
    let of_naive = [("Time", "time", times as fn(&Figures) -> &Rounds), ("CPU of all nodes", "CPU", cpu)];
    for (title, word, figure) in of_naive {
        println!("\n## {title} of one call, {CALLERS} callers, {rounds} rounds; median (min..max)\n");
        println!("| | naively, µs | {} |", names.clone().map(|name| format!("{name}: {word}, of naively")).join(" | "));
        println!("|{}", "---|".repeat(1 + CONTESTANTS));
        for (operation, [naive, ours @ ..]) in OPERATIONS.iter().zip(figures) {
            let naive = figure(naive);
            let ratios = ours.iter().map(|ours| figure(ours).over(naive).to_string());
            println!("| {} | {naive:.0} | {} |", operation.name(), ratios.collect::<Vec<_>>().join(" | "));
        }
    }
}

fn times(figures: &Figures) -> &Rounds {
    &figures.us
}

fn cpu(figures: &Figures) -> &Rounds {
    &figures.cpu_us
}

//! How invalidations per second grow from one node to three.

use std::time::Instant;

use cache_tests::{ClusterSet, ServerKind};

use super::contestant::{Contestant, Operation};
use super::{NODES, Naive, nodes, open};
use crate::rounds::Rounds;

const SIZES: [usize; 2] = [1, NODES];
const PARTITIONS: u16 = 16;
const CALLERS: u64 = 64;
const CALLS: u64 = 1_000;
const OPERATIONS: [Operation; 3] = [Operation::Key, Operation::Tag(3), Operation::Tag(16)];

/// On a cluster of one size.
#[derive(Default)]
struct Figures {
    per_second: Rounds,
    /// Of the node that worked most, for one invalidation.
    busiest_us: Rounds,
}

pub async fn run(rounds: usize) {
    let mut clusters = Vec::new();
    for size in SIZES {
        let set = ClusterSet::without_replicas(ServerKind::Redis, size).await;
        let ways =
            [Contestant::Naive(Naive::connect(&set).await), Contestant::Ours(open(&set, PARTITIONS, None).await)];
        clusters.push((set, ways));
    }
    let mut figures = OPERATIONS.map(|_| [(); 2].map(|()| [(); SIZES.len()].map(|()| Figures::default())));
    for round in 0..rounds as u64 {
        for (operation, figures) in OPERATIONS.into_iter().zip(&mut figures) {
            for (way, figures) in figures.iter_mut().enumerate() {
                for ((set, ways), figures) in clusters.iter().zip(figures) {
                    measure(set, &ways[way], operation, round, figures).await;
                }
            }
        }
    }
    println!("\n## From one node to {NODES}: {PARTITIONS} partitions, {CALLERS} callers; median (min..max)\n");
    println!("A node has one core for all of its commands, so what its CPU says is what it can do where it has one.\n");
    println!(
        "| invalidation | | 1 node, CPU, µs | {NODES} nodes, CPU of the busiest, µs | so {NODES} nodes do, times 1 node | done here, /s: 1 node | {NODES} nodes |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (operation, ways) in OPERATIONS.iter().zip(&figures) {
        for (name, [one, all]) in ["naively", "cache-core"].iter().zip(ways) {
            let growth = one.busiest_us.over(&all.busiest_us);
            let (one_us, all_us) = (&one.busiest_us, &all.busiest_us);
            let (one_here, all_here) = (one.per_second.median(), all.per_second.median());
            println!(
                "| {} | {name} | {one_us:.1} | {all_us:.1} | {growth} | {one_here:.0} | {all_here:.0} |",
                operation.name()
            );
        }
    }
}

async fn measure(set: &ClusterSet, way: &Contestant, operation: Operation, round: u64, figures: &mut Figures) {
    let ids = round * CALLS..(round + 1) * CALLS;
    way.prepare(operation, ids.clone()).await;
    let before = nodes::spent(set).await;
    let begun = Instant::now();
    way.make_all(operation, ids, CALLERS).await;
    figures.per_second.push(CALLS as f64 / begun.elapsed().as_secs_f64());
    let spent = nodes::spent(set).await.since(&before);
    figures.busiest_us.push(spent.cpu_us.into_iter().fold(0.0, f64::max) / CALLS as f64);
}

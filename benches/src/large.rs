//! Small hits beside a reader of large values, in one process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::Server;
use redis::aio::MultiplexedConnection;

use crate::rounds::Rounds;

/// Readers of large values, and the length of these.
const CROWDS: [(usize, usize); 2] = [(1, 10_000_000), (40, 7_000_000)];
const CALLERS: u64 = 8;

#[cached(prefix = "small", ttl = "1h", skip(cache), cache = cache)]
async fn small(cache: &Cache, id: u64) -> Result<String, Infallible> {
    Ok(format!("{id:0200}"))
}

#[cached(prefix = "large", ttl = "1h", skip(cache), cache = cache)]
async fn large(cache: &Cache, bytes: usize) -> Result<String, Infallible> {
    Ok("x".repeat(bytes))
}

#[derive(Clone)]
enum Contestant {
    Ours(Cache),
    /// The connections for small values and for large ones. A plain client has one for both; with
    /// two of them, all that is left to wait for is the server.
    Raw {
        small: MultiplexedConnection,
        large: MultiplexedConnection,
    },
}

impl Contestant {
    async fn small(&mut self, id: u64) -> usize {
        match self {
            Self::Ours(cache) => small(cache, id).await.expect("a value").len(),
            Self::Raw { small, .. } => raw_get(small, &format!("raw:small:{id}")).await,
        }
    }

    async fn large(&mut self, bytes: usize) -> usize {
        match self {
            Self::Ours(cache) => large(cache, bytes).await.expect("a value").len(),
            Self::Raw { large, .. } => raw_get(large, &format!("raw:large:{bytes}")).await,
        }
    }

    /// The 99th percentile of a small hit, in µs, and how many large values were read meanwhile.
    async fn measure(&self, readers: usize, bytes: usize, slice: Duration) -> (f64, u64) {
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let (mut contestant, stop) = (self.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut reads = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(contestant.large(bytes).await, bytes);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (mut contestant, stop) = (self.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        assert_eq!(contestant.small(caller).await, 200);
                        took.push(begun.elapsed());
                    }
                    took
                })
            })
            .collect();
        tokio::time::sleep(slice).await;
        stop.store(true, Ordering::Relaxed);
        let mut took = Vec::new();
        for caller in callers {
            took.extend(caller.await.expect("no caller panics"));
        }
        took.sort_unstable();
        let mut reads = 0;
        for reader in readers {
            reads += reader.await.expect("no reader panics");
        }
        (took[took.len() * 99 / 100].as_secs_f64() * 1e6, reads)
    }
}

async fn raw_get(raw: &mut MultiplexedConnection, key: &str) -> usize {
    let bytes: Vec<u8> = redis::cmd("GET").arg(key).query_async(raw).await.expect("a reply");
    serde_json::from_slice::<String>(&bytes).expect("a text").len()
}

pub async fn run(server: &Server, rounds: usize, slice: Duration) {
    let cache = Cache::builder().url(server.url()).value_bytes_max(16 << 20).build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    // Without the driver's own limit of half a second, at which it gives up on a busy machine.
    let connect = async || server.raw().await.connection().clone();
    let (one, two) = (connect().await, connect().await);
    let mut seed = server.raw().await;
    for id in 0..CALLERS {
        seed.set(&format!("raw:small:{id}"), &serde_json::to_vec(&format!("{id:0200}")).expect("JSON")).await;
    }
    for (_, bytes) in CROWDS {
        seed.set(&format!("raw:large:{bytes}"), &serde_json::to_vec(&"x".repeat(bytes)).expect("JSON")).await;
    }
    let mut contestants = [
        ("cache-core", Contestant::Ours(cache)),
        ("raw GET, 1 connection", Contestant::Raw { small: one.clone(), large: one.clone() }),
        ("raw GET, a connection of its own for each", Contestant::Raw { small: one, large: two }),
    ];
    for (_, contestant) in &mut contestants {
        for id in 0..CALLERS {
            contestant.small(id).await;
        }
        for (_, bytes) in CROWDS {
            contestant.large(bytes).await;
        }
    }
    for (readers, bytes) in CROWDS {
        compare(&contestants, readers, bytes, rounds, slice).await;
    }
}

async fn compare(contestants: &[(&str, Contestant)], readers: usize, bytes: usize, rounds: usize, slice: Duration) {
    println!(
        "\n## Small hits beside {readers} readers of {bytes} bytes: p99 of {CALLERS} callers, {rounds} rounds of {slice:?}\n"
    );
    println!("| contestant | alone, µs | beside, µs | beside / alone | large values read in a round |");
    println!("|---|---|---|---|---|");
    let mut figures = vec![[(); 3].map(|()| Rounds::default()); contestants.len()];
    for _ in 0..rounds {
        for ((_, contestant), [alone, beside, reads]) in contestants.iter().zip(&mut figures) {
            alone.push(contestant.measure(0, bytes, slice).await.0);
            let (p99, read) = contestant.measure(readers, bytes, slice).await;
            beside.push(p99);
            reads.push(read as f64);
        }
    }
    for ((name, _), [alone, beside, reads]) in contestants.iter().zip(&figures) {
        println!("| {name} | {alone:.0} | {beside:.0} | {:.2} | {reads:.0} |", beside.over(alone));
    }
}

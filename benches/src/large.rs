//! Small hits beside a reader of large values, in one process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::Server;
use redis::aio::MultiplexedConnection;

use crate::rounds::Rounds;

const LARGE_BYTES: usize = 10_000_000;
const CALLERS: u64 = 8;

#[cached(prefix = "small", ttl = "1h", skip(cache), cache = cache)]
async fn small(cache: &Cache, id: u64) -> Result<String, Infallible> {
    Ok(format!("{id:0200}"))
}

#[cached(prefix = "large", ttl = "1h", skip(cache), cache = cache)]
async fn large(cache: &Cache) -> Result<String, Infallible> {
    Ok("x".repeat(LARGE_BYTES))
}

#[derive(Clone)]
enum Contestant {
    Ours(Cache),
    /// One connection, as a plain client has.
    Raw(MultiplexedConnection),
}

impl Contestant {
    async fn small(&mut self, id: u64) -> usize {
        match self {
            Self::Ours(cache) => small(cache, id).await.expect("a value").len(),
            Self::Raw(raw) => raw_get(raw, &format!("raw:small:{id}")).await,
        }
    }

    async fn large(&mut self) -> usize {
        match self {
            Self::Ours(cache) => large(cache).await.expect("a value").len(),
            Self::Raw(raw) => raw_get(raw, "raw:large").await,
        }
    }

    /// The 99th percentile of a small hit, in µs, and how many large values were read meanwhile.
    async fn measure(&self, beside: bool, slice: Duration) -> (f64, u64) {
        let stop = Arc::new(AtomicBool::new(false));
        let reader = beside.then(|| {
            let (mut contestant, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                let mut reads = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(contestant.large().await, LARGE_BYTES);
                    reads += 1;
                }
                reads
            })
        });
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
        let reads = match reader {
            Some(reader) => reader.await.expect("the reader does not panic"),
            None => 0,
        };
        (took[took.len() * 99 / 100].as_secs_f64() * 1e6, reads)
    }
}

async fn raw_get(raw: &mut MultiplexedConnection, key: &str) -> usize {
    let bytes: Vec<u8> = redis::cmd("GET").arg(key).query_async(raw).await.expect("a reply");
    serde_json::from_slice::<String>(&bytes).expect("a text").len()
}

pub async fn run(server: &Server, rounds: usize, slice: Duration) {
    let cache = Cache::builder().url(server.url()).value_bytes_max(2 * LARGE_BYTES).build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let client = redis::Client::open(server.url()).expect("a redis URL");
    let raw = client.get_multiplexed_async_connection().await.expect("a server that answers");
    let mut seed = server.raw().await;
    for id in 0..CALLERS {
        seed.set(&format!("raw:small:{id}"), &serde_json::to_vec(&format!("{id:0200}")).expect("JSON")).await;
    }
    seed.set("raw:large", &serde_json::to_vec(&"x".repeat(LARGE_BYTES)).expect("JSON")).await;
    let mut contestants = [("cache-core", Contestant::Ours(cache)), ("raw GET, 1 connection", Contestant::Raw(raw))];
    for (_, contestant) in &mut contestants {
        for id in 0..CALLERS {
            contestant.small(id).await;
        }
        contestant.large().await;
    }
    println!("\n## Small hits beside a reader of {LARGE_BYTES} bytes: p99 of {CALLERS} callers, {rounds} rounds of {slice:?}\n");
    println!("| contestant | alone, µs | beside, µs | beside / alone | large values read in a round |");
    println!("|---|---|---|---|---|");
    let mut figures = vec![[(); 3].map(|()| Rounds::default()); contestants.len()];
    for _ in 0..rounds {
        for ((_, contestant), [alone, beside, reads]) in contestants.iter().zip(&mut figures) {
            alone.push(contestant.measure(false, slice).await.0);
            let (p99, read) = contestant.measure(true, slice).await;
            beside.push(p99);
            reads.push(read as f64);
        }
    }
    for ((name, _), [alone, beside, reads]) in contestants.iter().zip(&figures) {
        println!("| {name} | {alone:.0} | {beside:.0} | {:.2} | {reads:.0} |", beside.over(alone));
    }
}

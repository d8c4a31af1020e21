//! One call for a hundred ids, all of them hits, beside a hundred `GET`s in one pipeline.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::Server;
use redis::aio::MultiplexedConnection;

use crate::flight::Flight;
use crate::rounds::Rounds;

const IDS: u64 = 100;

#[cached(prefix = "of-many", ttl = "1h", each = ids, skip(cache), cache = cache)]
async fn flights(cache: &Cache, ids: &[u64]) -> Result<HashMap<u64, Flight>, Infallible> {
    Ok(ids.iter().map(|id| (*id, Flight::new(*id))).collect())
}

#[derive(Clone)]
enum Contestant {
    Ours(Cache),
    /// The replies in the order of the ids, put into a map as a user would.
    Pipeline(MultiplexedConnection),
    /// One command in place of a hundred.
    ManyAtOnce(MultiplexedConnection),
}

impl Contestant {
    async fn read(&mut self, ids: &[u64]) -> HashMap<u64, Flight> {
        let replies: Vec<Vec<u8>> = match self {
            Self::Ours(cache) => return flights(cache, ids).await.expect("infallible"),
            Self::Pipeline(connection) => {
                let mut pipe = redis::pipe();
                ids.iter().for_each(|id| {
                    pipe.get(raw_key(*id));
                });
                pipe.query_async(connection).await.expect("a reply")
            }
            Self::ManyAtOnce(connection) => {
                let keys: Vec<String> = ids.iter().map(|id| raw_key(*id)).collect();
                redis::cmd("MGET").arg(keys).query_async(connection).await.expect("a reply")
            }
        };
        let decode = |bytes: Vec<u8>| serde_json::from_slice(&bytes).expect("a flight");
        ids.iter().copied().zip(replies.into_iter().map(decode)).collect()
    }

    /// Batches per second of so many callers.
    async fn measure(&self, callers: usize, slice: Duration) -> f64 {
        let begun = Instant::now();
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let mut contestant = self.clone();
                tokio::spawn(async move {
                    let ids: Vec<u64> = (0..IDS).collect();
                    let mut batches = 0u64;
                    while begun.elapsed() < slice {
                        assert_eq!(contestant.read(&ids).await.len(), ids.len());
                        batches += 1;
                    }
                    batches
                })
            })
            .collect();
        let mut batches = 0;
        for caller in callers {
            batches += caller.await.expect("no caller panics");
        }
        batches as f64 / begun.elapsed().as_secs_f64()
    }
}

fn raw_key(id: u64) -> String {
    format!("raw:of-many:{id}")
}

pub async fn run(server: &Server, rounds: usize, slice: Duration) {
    let cache = Cache::builder().url(server.url()).namespace("batch").build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut seed = server.raw().await;
    for id in 0..IDS {
        seed.set(&raw_key(id), &serde_json::to_vec(&Flight::new(id)).expect("a flight")).await;
    }
    let client = redis::Client::open(server.url()).expect("a redis URL");
    let raw = client.get_multiplexed_async_connection().await.expect("a server that answers");
    let contestants = [
        ("cache-core, `each`", Contestant::Ours(cache)),
        ("100 `GET`s in a pipeline", Contestant::Pipeline(raw.clone())),
        ("`MGET`", Contestant::ManyAtOnce(raw)),
    ];
    println!("\n## {IDS} ids at once, all hits: {rounds} rounds of {slice:?}; median (min..max)\n");
    println!("| callers | | batches/s | of the pipeline |\n|---|---|---|---|");
    for callers in [1, 8] {
        let mut figures = [(); 3].map(|()| Rounds::default());
        for _ in 0..rounds {
            for ((_, contestant), figures) in contestants.iter().zip(&mut figures) {
                figures.push(contestant.measure(callers, slice).await);
            }
        }
        for ((name, _), batches) in contestants.iter().zip(&figures) {
            println!("| {callers} | {name} | {batches:.0} | {:.2} |", batches.over(&figures[1]));
        }
    }
}

//! Calls that never leave the process: hits in memory beside other libraries, and what a call costs
//! where the cache does nothing.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cached::macros::concurrent_cached;
use serde::{Serialize, Serializer};

use crate::flight::Flight;
use crate::rounds::Rounds;

/// Keys of each thread: so many that no key is special, so few that all of them stay in a
/// processor's cache.
const KEYS: u64 = 1_000;
const THREADS: [u64; 2] = [1, 2];
const KEYS_OF_ALL: u64 = KEYS * THREADS[1];

static LOADS: AtomicU64 = AtomicU64::new(0);

fn load(id: u64) -> Arc<Flight> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    Arc::new(Flight::new(id))
}

#[cached(prefix = "shared", ttl = "1h", skip(cache), cache = cache)]
async fn shared(cache: &Cache, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(load(id))
}

#[cached(prefix = "of-airline", ttl = "1h", skip(cache), cache = cache)]
async fn of_airline(cache: &Cache, airline: &str, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(load(id))
}

#[cached(prefix = "owned", ttl = "1h", skip(cache), cache = cache)]
async fn owned(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::clone(&load(id)))
}

#[cached(prefix = "near", ttl = "1h", near = "1h", skip(cache), cache = cache)]
async fn near(cache: &Cache, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(load(id))
}

#[cached(prefix = "near-of-airline", ttl = "1h", near = "1h", skip(cache), cache = cache)]
async fn near_of_airline(cache: &Cache, airline: &str, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(load(id))
}

#[concurrent_cached(max_size = 10_000, ttl_secs = 3_600)]
async fn peer(id: u64) -> Arc<Flight> {
    load(id)
}

#[concurrent_cached(max_size = 10_000, ttl_secs = 3_600)]
async fn peer_of_airline(airline: String, id: u64) -> Arc<Flight> {
    black_box(airline);
    load(id)
}

/// What the cache costs where it does nothing: the function itself costs nothing.
#[cached(prefix = "number", ttl = "1h", skip(cache), cache = cache)]
async fn number(cache: &Cache, id: u64) -> Result<u64, Infallible> {
    Ok(black_box(id))
}

async fn bare(id: u64) -> Result<u64, Infallible> {
    Ok(black_box(id))
}

/// An argument that refuses to be encoded, so the call goes past the cache.
struct Unfit(u64);

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("unfit"))
    }
}

#[cached(prefix = "unfit", ttl = "1h", skip(cache), cache = cache)]
async fn unfit(cache: &Cache, argument: &Unfit) -> Result<u64, Infallible> {
    Ok(black_box(argument.0))
}

/// What calls one contestant with each key of a thread.
type Calls = Box<dyn Fn(u64) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

struct Contestant {
    name: &'static str,
    calls: Calls,
}

/// A contestant by its name and one call of it.
macro_rules! contestant {
    ($name:expr, $id:ident => $call:expr) => {
        Contestant {
            name: $name,
            calls: Box::new(move |thread| {
                Box::pin(async move {
                    for id in thread * KEYS..(thread + 1) * KEYS {
                        let $id = black_box(id);
                        let _ = black_box($call);
                    }
                })
            }),
        }
    };
}

/// Everything that is called, for as long as the process lives.
struct Caches {
    embedded: Cache,
    disabled: Cache,
    /// On a port where nobody listens.
    out_of_reach: Cache,
    quick: quick_cache::sync::Cache<u64, Arc<Flight>>,
    quick_by_airline: quick_cache::sync::Cache<(String, u64), Arc<Flight>>,
    moka: moka::sync::Cache<u64, Arc<Flight>>,
    moka_by_airline: moka::sync::Cache<(String, u64), Arc<Flight>>,
    foyer: foyer_memory::Cache<u64, Arc<Flight>>,
}

impl Caches {
    fn new() -> &'static Self {
        let hour = Duration::from_secs(3_600);
        Box::leak(Box::new(Self {
            embedded: Cache::in_memory(),
            disabled: Cache::disabled(),
            out_of_reach: Cache::builder().url("redis://127.0.0.1:9").build().expect("a cache"),
            quick: quick_cache::sync::Cache::new(10_000),
            quick_by_airline: quick_cache::sync::Cache::new(10_000),
            moka: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(hour).build(),
            moka_by_airline: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(hour).build(),
            foyer: foyer_memory::CacheBuilder::new(10_000).build(),
        }))
    }

    /// Fills the peers that no function fills, and opens the breaker.
    async fn prepare(&self) {
        for id in 0..KEYS_OF_ALL {
            let by_airline = ("AA".to_owned(), id);
            self.quick.insert(id, load(id));
            self.quick_by_airline.insert(by_airline.clone(), load(id));
            self.moka.insert(id, load(id));
            self.moka_by_airline.insert(by_airline, load(id));
            self.foyer.insert(id, load(id));
        }
        for id in 0..KEYS {
            number(&self.out_of_reach, id).await.expect("infallible");
        }
    }
}

/// The borrowed form of a key: no look-up of quick_cache allocates.
#[derive(Hash)]
struct ByAirline<'a>(&'a str, u64);

impl quick_cache::Equivalent<(String, u64)> for ByAirline<'_> {
    fn equivalent(&self, key: &(String, u64)) -> bool {
        (self.0, self.1) == (key.0.as_str(), key.1)
    }
}

fn hits(caches: &'static Caches) -> Vec<Contestant> {
    let airline = || black_box("AA");
    vec![
        contestant!("cache-core, embedded, `u64`, `Arc`", id => shared(&caches.embedded, id).await),
        contestant!("cache-core, embedded, `(&str, u64)`, `Arc`", id => of_airline(&caches.embedded, airline(), id).await),
        contestant!("cache-core, embedded, `u64`, an owned value", id => owned(&caches.embedded, id).await),
        contestant!("cache-core, `near`, `u64`, `Arc`", id => near(&caches.embedded, id).await),
        contestant!("cache-core, `near`, `(&str, u64)`, `Arc`", id => near_of_airline(&caches.embedded, airline(), id).await),
        contestant!("`cached` 4.1, `u64`", id => peer(id).await),
        contestant!("`cached` 4.1, `(String, u64)`", id => peer_of_airline(airline().to_owned(), id).await),
        contestant!("quick_cache 0.7, bare, `u64`", id => caches.quick.get(&id).expect("a hit")),
        contestant!("quick_cache 0.7, bare, `(&str, u64)`", id => {
            caches.quick_by_airline.get(&ByAirline(airline(), id)).expect("a hit")
        }),
        contestant!("moka 0.12, bare, `u64`", id => caches.moka.get(&id).expect("a hit")),
        contestant!("moka 0.12, bare, `(String, u64)`", id => {
            caches.moka_by_airline.get(&(airline().to_owned(), id)).expect("a hit")
        }),
        contestant!("foyer 0.22 in memory, bare, `u64`", id => Arc::clone(caches.foyer.get(&id).expect("a hit").value())),
    ]
}

fn past_the_cache(caches: &'static Caches) -> Vec<Contestant> {
    vec![
        contestant!("the bare function", id => bare(id).await),
        contestant!("`Cache::disabled()`", id => number(&caches.disabled, id).await),
        contestant!("breaker open", id => number(&caches.out_of_reach, id).await),
        contestant!("an argument that cannot be encoded", id => unfit(&caches.embedded, &Unfit(id)).await),
    ]
}

/// Nanoseconds of one call, by so many threads that each call other keys and have a runtime each.
fn measure(contestant: &Contestant, threads: u64, slice: Duration) -> f64 {
    let calls_per_ns: f64 = std::thread::scope(|scope| {
        let worker = |thread: u64| {
            let calls = &contestant.calls;
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a tokio runtime");
                let mut called = 0;
                let begun = Instant::now();
                while begun.elapsed() < slice {
                    runtime.block_on(calls(thread));
                    called += KEYS;
                }
                called as f64 / begun.elapsed().as_nanos() as f64
            }
        };
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(worker(thread))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no caller panics")).sum()
    });
    1.0 / calls_per_ns
}

/// A figure for each contestant and number of threads, in every round.
fn compare(contestants: &[Contestant], rounds: usize, slice: Duration) -> Vec<[Rounds; THREADS.len()]> {
    let mut figures = vec![[(); THREADS.len()].map(|()| Rounds::default()); contestants.len()];
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            for (threads, figures) in THREADS.iter().zip(&mut figures[index]) {
                figures.push(measure(&contestants[index], *threads, slice));
            }
        }
    }
    figures
}

fn table(title: &str, contestants: &[Contestant], rounds: usize, slice: Duration) {
    println!("\n## {title}: {rounds} rounds of {slice:?}; median (min..max)\n");
    println!("| | ns a call, one thread | ns a call, two threads | two threads / one thread |\n|---|---|---|---|");
    for (contestant, [one, two]) in contestants.iter().zip(compare(contestants, rounds, slice)) {
        println!("| {} | {one:.0} | {two:.0} | {:.2} |", contestant.name, one.over(&two));
    }
}

pub async fn run(rounds: usize, slice: Duration) {
    let caches = Caches::new();
    caches.prepare().await;
    let (hits, past) = (hits(caches), past_the_cache(caches));
    // On threads of their own: a call must not find the runtime of this function.
    tokio::task::spawn_blocking(move || {
        for contestant in hits.iter().chain(&past) {
            // Fills what a function fills, for each thread.
            measure(contestant, THREADS[1], Duration::from_millis(1));
        }
        let loads = LOADS.load(Ordering::Relaxed);
        table(&format!("Hits in this process, {KEYS} keys for each thread"), &hits, rounds, slice);
        assert_eq!(LOADS.load(Ordering::Relaxed), loads, "every measured call is a hit");
        table("Calls past the cache", &past, rounds, slice);
    })
    .await
    .expect("no contestant panics");
}

//! A hit, by callers that do nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::Server;
use cached::AsyncRedisCache;
use cached::macros::concurrent_cached;
use hitbox::policy::PolicyConfig;
use hitbox_redis::{ConnectionMode, RedisBackend};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell};

use crate::flight::Flight;
use crate::rounds::Rounds;
use crate::server_time::cpu_us;

/// So many that no key is special, so few that filling is quick.
const KEYS: u64 = 1_000;
const CALLERS: [usize; 3] = [1, 32, 256];
/// One, as a plain client has, and the default of cache-core.
const CONNECTIONS: [usize; 2] = [1, 2];

static LOADS: AtomicU64 = AtomicU64::new(0);

#[cached(prefix = "flight", ttl = "1h", skip(cache), cache = cache)]
async fn ours(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    Ok(Flight::new(id))
}

static PEER_URL: OnceCell<String> = OnceCell::const_new();

#[concurrent_cached(
    map_error = r##"|error| error.to_string()"##,
    ty = "AsyncRedisCache<u64, Flight>",
    create = r##"{
        AsyncRedisCache::builder("peer")
            .ttl(Duration::from_secs(3600))
            .connection_string(PEER_URL.get().expect("set before the first call"))
            .build()
            .await
            .expect("the peer's cache")
    }"##
)]
async fn peer(id: u64) -> Result<Flight, String> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    Ok(Flight::new(id))
}

/// hitbox keeps its own binary form of a value, and no JSON: its default.
type Hitbox = Arc<hitbox_fn::Cache<RedisBackend>>;

#[hitbox_fn::cached(prefix = "hitbox")]
async fn other_peer(id: u64) -> Flight {
    LOADS.fetch_add(1, Ordering::Relaxed);
    Flight::new(id)
}

fn hitbox(server: &Server) -> Hitbox {
    let backend = RedisBackend::builder().connection(ConnectionMode::single(server.url())).build();
    let policy = PolicyConfig::builder().ttl(Duration::from_secs(3_600)).build();
    Arc::new(hitbox_fn::Cache::builder().backend(backend.expect("a backend")).policy(policy).build())
}

/// The client that one would write by hand: the same number of connections, a key always on the
/// same one.
#[derive(Clone)]
struct Raw {
    connections: Vec<MultiplexedConnection>,
}

impl Raw {
    async fn connect(server: &Server, connections: usize) -> Self {
        let client = redis::Client::open(server.url()).expect("a redis URL");
        let mut raw = Self { connections: Vec::new() };
        for _ in 0..connections {
            raw.connections.push(client.get_multiplexed_async_connection().await.expect("a server that answers"));
        }
        raw
    }

    async fn get(&mut self, id: u64) -> Flight {
        let stripe = id as usize % self.connections.len();
        let mut command = redis::cmd("GET");
        command.arg(format!("raw:flight:{id}"));
        let bytes: Vec<u8> = command.query_async(&mut self.connections[stripe]).await.expect("a reply");
        serde_json::from_slice(&bytes).expect("a flight")
    }
}

/// What no client can do less than: the commands of all callers leave in one write for each
/// connection, and one loop reads and decodes the replies. No caller waits for its own, and none is
/// woken.
#[derive(Clone)]
struct Loop {
    connections: Vec<Arc<Mutex<TcpStream>>>,
}

impl Loop {
    async fn connect(server: &Server, connections: usize) -> Self {
        let url = server.url();
        let address = url.trim_start_matches("redis://").trim_end_matches('/');
        let mut bare = Self { connections: Vec::new() };
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.expect("a server that answers");
            stream.set_nodelay(true).expect("a socket");
            bare.connections.push(Arc::new(Mutex::new(stream)));
        }
        bare
    }

    /// The flights of these ids, in one round trip on one connection.
    async fn get(&self, connection: usize, ids: impl Iterator<Item = u64>) -> Vec<Flight> {
        let mut stream = self.connections[connection].lock().await;
        let (mut commands, mut replies, mut flights, mut asked) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for id in ids {
            let key = format!("raw:flight:{id}");
            commands.extend_from_slice(format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).as_bytes());
            asked += 1;
        }
        stream.write_all(&commands).await.expect("the server reads");
        let mut at = 0;
        while flights.len() < asked {
            stream.read_buf(&mut replies).await.expect("the server answers");
            while let Some((flight, end)) = reply(&replies[at..]) {
                flights.push(flight);
                at += end;
            }
        }
        flights
    }
}

/// The flight in a reply, and where that ends. `None`: it has not come whole.
fn reply(bytes: &[u8]) -> Option<(Flight, usize)> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let length = std::str::from_utf8(&bytes[1..line - 1]).expect("digits").parse::<usize>().expect("a length");
    let value = bytes.get(line + 1..line + 3 + length)?;
    Some((serde_json::from_slice(&value[..length]).expect("a flight"), line + 3 + length))
}

#[derive(Clone)]
enum Contestant {
    Raw(Raw),
    Loop(Loop),
    Ours(Cache),
    Peer,
    Hitbox(Hitbox),
}

impl Contestant {
    /// `None`: the peer gave up, as it does on a loaded machine after half a second.
    async fn get(&mut self, id: u64) -> Option<Flight> {
        match self {
            Self::Raw(raw) => Some(raw.get(id).await),
            Self::Loop(bare) => bare.get(0, [id].into_iter()).await.pop(),
            Self::Ours(cache) => ours(cache, id).await.ok(),
            Self::Peer => peer(id).await.ok(),
            Self::Hitbox(cache) => Some(other_peer(id).cache(&**cache).await),
        }
    }

    /// How many tasks make the calls of so many callers, and how many calls each makes at once.
    fn tasks(&self, callers: usize) -> (usize, u64) {
        let Self::Loop(bare) = self else { return (callers, 1) };
        let tasks = bare.connections.len().min(callers);
        (tasks, (callers / tasks) as u64)
    }

    /// Asks for keys until told to stop. Returns the hits, and how often the contestant gave up.
    async fn ask(mut self, caller: usize, at_once: u64, stop: Arc<AtomicBool>) -> (u64, u64) {
        let (mut hits, mut failures) = (0, 0);
        let mut id = caller as u64 * 31 % KEYS;
        while !stop.load(Ordering::Relaxed) {
            if let Self::Loop(bare) = &self {
                let ids = (0..at_once).map(|ahead| (id + 7 * ahead) % KEYS);
                let flights = bare.get(caller, ids.clone()).await;
                assert!(flights.iter().map(|flight| flight.id).eq(ids));
                hits += at_once;
            } else {
                match self.get(id).await {
                    Some(flight) => {
                        assert_eq!(flight.id, id);
                        hits += 1;
                    }
                    None => failures += 1,
                }
            }
            id = (id + 7 * at_once) % KEYS;
        }
        (hits, failures)
    }

    /// Measures the hits per second of this many callers, and what one hit costs this process and
    /// the server.
    async fn measure(&self, callers: usize, slice: Duration, server: &mut cache_tests::Raw) -> Measured {
        let stop = Arc::new(AtomicBool::new(false));
        let server_before = cpu_us(server).await;
        let (started_at, cpu_before) = (Instant::now(), cpu_time());
        let (tasks, at_once) = self.tasks(callers);
        let ask = |caller| tokio::spawn(self.clone().ask(caller, at_once, stop.clone()));
        let tasks: Vec<_> = (0..tasks).map(ask).collect();
        tokio::time::sleep(slice).await;
        stop.store(true, Ordering::Relaxed);
        let (mut hits, mut failures) = (0, 0);
        for task in tasks {
            let (hit, failed) = task.await.expect("no caller panics");
            hits += hit;
            failures += failed;
        }
        let per_second = hits as f64 / started_at.elapsed().as_secs_f64();
        let cpu_us_here = (cpu_time() - cpu_before).as_secs_f64() * 1e6;
        let server_us = cpu_us(server).await - server_before;
        Measured { per_second, cpu_us: cpu_us_here / hits as f64, server_us: server_us / hits as f64, failures }
    }
}

struct Measured {
    per_second: f64,
    cpu_us: f64,
    server_us: f64,
    failures: u64,
}

/// The CPU time of all threads of this process. Unlike throughput it hardly depends on what else
/// the machine does.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().expect("time is not negative")
}

pub async fn run(server: &Server, rounds: usize, slice: Duration) {
    PEER_URL.set(server.url()).expect("set once");
    let mut contestants = Vec::new();
    for connections in CONNECTIONS {
        let cache = Cache::builder().url(server.url()).connections(connections).build().expect("a cache");
        cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
        contestants.push((
            format!("raw GET + serde_json, {connections}"),
            Contestant::Raw(Raw::connect(server, connections).await),
        ));
        contestants.push((format!("cache-core, {connections}"), Contestant::Ours(cache)));
        let bare = Contestant::Loop(Loop::connect(server, connections).await);
        contestants.push((format!("a bare loop, {connections}"), bare));
    }
    contestants.push(("cached 4.1, 1".to_owned(), Contestant::Peer));
    contestants.push(("hitbox 0.2, 1".to_owned(), Contestant::Hitbox(hitbox(server))));

    let bytes = serde_json::to_vec(&Flight::new(1)).expect("a flight").len();
    let mut raw = server.raw().await;
    for id in 0..KEYS {
        raw.set(&format!("raw:flight:{id}"), &serde_json::to_vec(&Flight::new(id)).expect("a flight")).await;
    }
    for (_, contestant) in &mut contestants {
        for id in 0..KEYS {
            contestant.get(id).await.expect("nobody gives up on a quiet server");
        }
    }
    let loads = LOADS.load(Ordering::Relaxed);

    println!("\n## A hit: {bytes} bytes of JSON, {KEYS} keys, {rounds} rounds of {slice:?} each; median (min..max)\n");
    println!(
        "| callers | contestant, connections | hits/s | of raw with as many connections | client CPU, µs a hit | raw / this | server CPU, µs a hit | given up |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for callers in CALLERS {
        let mut hits = vec![Rounds::default(); contestants.len()];
        let mut cpu = vec![Rounds::default(); contestants.len()];
        let mut on_server = vec![Rounds::default(); contestants.len()];
        let mut failures = vec![0; contestants.len()];
        for round in 0..rounds {
            for turn in 0..contestants.len() {
                // The contestants take turns to begin a round, so none always runs after the same
                // one.
                let index = (round + turn) % contestants.len();
                let measured = contestants[index].1.measure(callers, slice, &mut raw).await;
                hits[index].push(measured.per_second);
                cpu[index].push(measured.cpu_us);
                on_server[index].push(measured.server_us);
                failures[index] += measured.failures;
            }
        }
        for (index, (name, contestant)) in contestants.iter().enumerate() {
            let raw_at = match contestant {
                Contestant::Raw(_) => index,
                Contestant::Ours(_) => index - 1,
                Contestant::Loop(_) => index - 2,
                Contestant::Peer | Contestant::Hitbox(_) => 0,
            };
            let (speed, cost) = (hits[index].over(&hits[raw_at]), cpu[raw_at].over(&cpu[index]));
            let (hits, cpu, server, failures) = (&hits[index], &cpu[index], &on_server[index], failures[index]);
            println!(
                "| {callers} | {name} | {hits:.0} | {speed:.2} | {cpu:.2} | {cost:.2} | {server:.2} | {failures} |"
            );
        }
    }
    assert_eq!(LOADS.load(Ordering::Relaxed), loads, "every measured call is a hit");
}

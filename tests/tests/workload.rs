//! Random reads, invalidations and puts on nested entries from many sides, checked against the one
//! promise: once an invalidation has returned, no later call returns a version from before it.
//!
//! A failure prints its seed and the last of its history; `CACHE_TEST_SEED` runs a seed again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_tests::{PAUSE, Probe, Server, Source, TestStore, Worker, World, each_server, ready, redis, run};

const DATA: usize = 6;
const READERS: usize = 12;
const WRITERS: usize = 3;
const HISTORY_SHOWN: usize = 300;
/// Writers stop then, however few their writes on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(60);

/// One side of the cache: in this process or in another.
enum Node {
    Here(World),
    /// Replaced when it is killed.
    There(Mutex<Arc<Worker>>),
}

impl Node {
    /// `None`: its process was killed, so nobody knows what came of it.
    async fn run(&self, command: &str) -> Option<Result<String, String>> {
        match self {
            Self::Here(world) => Some(world.run(command).await),
            Self::There(worker) => {
                let worker = worker.lock().unwrap().clone();
                worker.run(command).await
            }
        }
    }
}

/// What all sides share: the data, and what is known of it.
struct Shared {
    seed: u64,
    versions: [AtomicU64; DATA],
    /// The version that each datum had when its last completed invalidation began.
    least: [AtomicU64; DATA],
    /// A transaction: from the change of a datum until its `put` has
    /// returned, nobody else changes it.
    rows: [tokio::sync::Mutex<()>; DATA],
    writes: Probe,
    done: AtomicBool,
    reads: Probe,
    overtaken: AtomicU64,
    history: Mutex<Vec<String>>,
}

impl Shared {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            versions: Default::default(),
            least: Default::default(),
            rows: Default::default(),
            writes: Probe::new(),
            done: AtomicBool::new(false),
            reads: Probe::new(),
            overtaken: AtomicU64::new(0),
            history: Mutex::default(),
        })
    }

    /// Every eighth load or pause is held until others have written.
    fn source(self: &Arc<Self>) -> Source {
        let shared = self.clone();
        let random = Mutex::new(fastrand::Rng::with_seed(self.seed));
        Arc::new(move |datum| {
            let shared = shared.clone();
            let stall = { random.lock().unwrap().u64(0..8) };
            Box::pin(async move {
                let version = match datum {
                    PAUSE.. => 0,
                    datum => shared.versions[datum as usize].load(Ordering::SeqCst),
                };
                if stall == 0 {
                    let until = shared.writes.count() + 1;
                    while !shared.done.load(Ordering::SeqCst) && shared.writes.count() < until {
                        // The end is no write, so a held load looks for it now and then.
                        _ = tokio::time::timeout(Duration::from_millis(20), shared.writes.reached(until)).await;
                    }
                    shared.overtaken.fetch_add(1, Ordering::Relaxed);
                }
                version
            })
        })
    }

    fn note(&self, line: String) {
        self.history.lock().unwrap().push(line);
    }

    async fn read(&self, node: &Node, who: usize, random: &mut fastrand::Rng) {
        let (kind, sides) = [("leaf", DATA), ("pair", DATA - 1), ("board", DATA - 3)][random.usize(0..3)];
        let command = format!("read {kind} {}", random.usize(0..sides));
        let least: Vec<u64> = self.least.iter().map(|least| least.load(Ordering::SeqCst)).collect();
        self.note(format!("reader {who}: {command}; not below {least:?}"));
        let Some(answer) = node.run(&command).await else { return };
        let answer = answer.expect("a read never fails");
        self.note(format!("reader {who}: {command} is {answer}"));
        self.reads.mark();
        for seen in answer.split(' ') {
            let (datum, version) = seen.split_once('=').expect("datum=version");
            let (datum, version): (usize, u64) = (datum.parse().unwrap(), version.parse().unwrap());
            if version < least[datum] {
                let history = self.history.lock().unwrap();
                let from = history.len().saturating_sub(HISTORY_SHOWN);
                panic!(
                    "stale: reader {who} got version {version} of datum {datum}, \
                     {} was invalidated away before\nseed {}\n{}",
                    least[datum],
                    self.seed,
                    history[from..].join("\n")
                );
            }
        }
    }

    async fn write(&self, node: &Node, who: usize, random: &mut fastrand::Rng) {
        let datum = random.usize(0..DATA);
        let row = self.rows[datum].lock().await;
        let version = self.versions[datum].fetch_add(1, Ordering::SeqCst) + 1;
        let command = match random.u32(0..20) {
            0..10 => format!("key leaf:{datum}"),
            10..14 => format!("tag group:{}", datum % 2),
            14 => format!("pattern ?eaf:{datum}*"),
            15 => "clear".to_owned(),
            _ => format!("put {datum} {version}"),
        };
        if !command.starts_with("put") {
            drop(row);
        }
        self.note(format!("writer {who}: version {version} of {datum}: {command}"));
        let answer = node.run(&command).await;
        self.note(format!("writer {who}: {command} answered {answer:?}"));
        if let Some(answer) = answer {
            answer.unwrap_or_else(|error| panic!("{command} fails: {error} (seed {})", self.seed));
            self.least[datum].fetch_max(version, Ordering::SeqCst);
        }
        self.writes.mark();
    }
}

/// Readers read until the writers have written `writes` times each, or [`TIME_MAX`] is over.
async fn workload(shared: &Arc<Shared>, nodes: &Arc<Vec<Node>>, writes: usize) {
    let mut random = fastrand::Rng::with_seed(shared.seed);
    let mut tasks = tokio::task::JoinSet::new();
    for who in 0..READERS {
        let (shared, nodes, mut random) = (shared.clone(), nodes.clone(), random.fork());
        tasks.spawn(async move {
            while !shared.done.load(Ordering::SeqCst) {
                shared.read(&nodes[who % nodes.len()], who, &mut random).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut writers = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for who in 0..WRITERS {
        let (shared, nodes, mut random) = (shared.clone(), nodes.clone(), random.fork());
        writers.spawn(async move {
            for _ in (0..writes).take_while(|_| begun.elapsed() < TIME_MAX) {
                // Something is to be stored before it falls; but held readers may
                // be waiting for this very write.
                let read = shared.reads.reached(shared.reads.count() + random.u64(0..16));
                _ = tokio::time::timeout(Duration::from_millis(10), read).await;
                let node = &nodes[random.usize(0..nodes.len())];
                shared.write(node, who, &mut random).await;
            }
        });
    }
    // A reader that ends now has failed.
    while !writers.is_empty() {
        tokio::select! {
            Some(written) = writers.join_next() => written.unwrap(),
            Some(failed) = tasks.join_next() => failed.unwrap(),
        }
    }
    shared.done.store(true, Ordering::SeqCst);
    while let Some(read) = tasks.join_next().await {
        read.unwrap();
    }
    println!("seed {}: {} reads checked, {} writes", shared.seed, shared.reads.count(), shared.writes.count());
    assert!(shared.overtaken.load(Ordering::Relaxed) > 0, "no load was ever held");
}

fn seed() -> u64 {
    std::env::var("CACHE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"))
}

#[test]
fn nothing_stale_is_ever_read_from_the_embedded_store() {
    for _ in 0..10 {
        run(0, async {
            let shared = Shared::new(seed());
            let world = World::new(TestStore::embedded().cache().await, shared.source());
            let nodes = Arc::new(vec![Node::Here(world.clone()), Node::Here(world)]);
            workload(&shared, &nodes, 100).await;
        });
    }
}

each_server! {
    #![multi_thread]
    async fn nothing_stale_is_ever_read_through_two_caches(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let shared = Shared::new(seed());
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(Node::Here(World::new(ready(store.impatient().url(server.url())).await, shared.source())));
        }
        workload(&shared, &Arc::new(nodes), 150).await;
    }

    /// The server forgets everything, entries, fences and clock
    /// together, while loads are under way.
    async fn nothing_stale_is_ever_read_from_a_server_that_forgets(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let shared = Shared::new(seed());
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(Node::Here(World::new(ready(store.impatient().url(server.url())).await, shared.source())));
        }
        let (nodes, mut raw) = (Arc::new(nodes), server.raw().await);
        let forgetting = async {
            for writes in (10..).step_by(10) {
                shared.writes.reached(writes).await;
                shared.note("FLUSHALL".to_owned());
                redis::cmd("FLUSHALL").exec_async(raw.connection()).await.unwrap();
                redis::cmd("SCRIPT").arg("FLUSH").exec_async(raw.connection()).await.unwrap();
            }
        };
        tokio::select! {
            () = workload(&shared, &nodes, 150) => {}
            () = forgetting => unreachable!("it goes on for as long as there are writes"),
        }
    }

    /// Each process is killed again and again, whatever it is doing.
    async fn nothing_stale_is_ever_read_by_processes_that_are_killed(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let shared = Shared::new(seed());
        let program = env!("CARGO_BIN_EXE_cache-test-worker");
        let start = async || Arc::new(Worker::start(program, &server.url(), store.namespace(), shared.source()).await);
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::There(Mutex::new(start().await)));
        }
        let nodes = Arc::new(nodes);
        let mut random = fastrand::Rng::with_seed(shared.seed);
        let killing = async {
            loop {
                shared.writes.reached(shared.writes.count() + random.u64(1..10)).await;
                let Node::There(slot) = &nodes[random.usize(0..nodes.len())] else { unreachable!() };
                let successor = start().await;
                let victim = std::mem::replace(&mut *slot.lock().unwrap(), successor);
                shared.note("a process is killed".to_owned());
                victim.kill();
            }
        };
        tokio::select! {
            () = workload(&shared, &nodes, 150) => {}
            () = killing => unreachable!("it goes on for as long as there are writes"),
        }
    }
}

//! A process of the application: many tasks, each with a random mix of calls.

use std::collections::BTreeMap;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Cache, MetricValue, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::bias::Bias;
use crate::clock;
use crate::link::Link;
use crate::mix;
use crate::probing::Seat;
use crate::world::World;

pub(crate) const NAMESPACE: &str = "history";
/// Short, so that floors rise, loads grow too old, and what has ended goes soon.
pub(crate) const RETENTION: Duration = Duration::from_millis(600);
/// How long a worker waits for its server, or for the end of a runtime: a busy machine is not a
/// fault.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same if there are faults: the default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest pause between two calls of a task, if calls are to leave the machine time.
const PAUSE_MAX: Duration = Duration::from_millis(40);
/// The pauses between two probes.
const READS_EVERY: Duration = Duration::from_millis(3);
const INVALIDATES_EVERY: Duration = Duration::from_millis(20);
/// How often a process at rest looks whether it owes anything.
const SETTLES_EVERY: Duration = Duration::from_millis(5);

/// What one worker program is given: how the conductor starts it.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) url: String,
    pub(crate) socket: PathBuf,
    /// The number of this program.
    pub(crate) program: u16,
    /// Its processes. With several, each is a thread with a runtime of its own.
    pub(crate) processes: u16,
    pub(crate) tasks: u16,
    pub(crate) seed: u64,
    /// The rule whose mix it is, or the usual one.
    pub(crate) mix: String,
    /// Calls leave the machine time, and some of them are probes.
    pub(crate) has_faults: bool,
}

impl Orders {
    pub(crate) fn line(&self) -> Vec<String> {
        let numbers = [
            u64::from(self.program),
            u64::from(self.processes),
            u64::from(self.tasks),
            self.seed,
            u64::from(self.has_faults),
        ];
        let mut line = vec!["worker".to_owned(), self.url.clone(), self.socket.display().to_string()];
        line.extend(numbers.iter().map(u64::to_string));
        line.push(self.mix.clone());
        line
    }

    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [url, socket, numbers @ .., mix] = arguments else { return None };
        let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>().ok()?;
        let [program, processes, tasks, seed, has_faults] = numbers[..] else { return None };
        Some(Self {
            url: url.clone(),
            socket: socket.into(),
            program: program as u16,
            processes: processes as u16,
            tasks: tasks as u16,
            seed,
            mix: mix.clone(),
            has_faults: has_faults != 0,
        })
    }

    /// How many partitions the store has.
    fn partitions(&self) -> u16 {
        let told = self.url.split_once("?partitions=").and_then(|(_, count)| count.parse().ok());
        told.unwrap_or(1)
    }

    fn bias(&self) -> Bias {
        Bias::of(&self.mix, self.has_faults)
    }

    /// How long a worker waits for its server.
    fn patience(&self) -> Duration {
        if self.has_faults { CONNECT_TIMEOUT } else { PATIENCE }
    }
}

/// Panics of this program, wherever they end.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs until the conductor is gone.
pub(crate) fn run(orders: &Orders) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    let cache = Builder::new_current_thread().build().expect("a runtime").block_on(async { open(orders) });
    std::thread::scope(|scope| {
        for slot in 0..orders.processes {
            let cache = &cache;
            scope.spawn(move || run_process(cache, orders, slot));
        }
    });
    // As a process that ends: nothing is waited for.
    std::process::exit(0);
}

/// One process after the other, each on a runtime of its own: when the conductor closes the socket
/// of one, its runtime ends with all that is under way on it, and the cache lives on. The embedded
/// store lives in one program, so its processes are peers.
fn run_process(cache: &Cache, orders: &Orders, slot: u16) {
    let threads = if orders.processes == 1 { 2 } else { 1 };
    loop {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a tokio runtime");
        let cache = if orders.processes == 1 { cache.clone() } else { cache.peer() };
        let goes_on = runtime.block_on(async { serve(&cache, orders, slot).await });
        // Nothing of it may go on beside the next one, which takes its place.
        runtime.shutdown_timeout(PATIENCE);
        if !goes_on {
            return;
        }
    }
}

fn open(orders: &Orders) -> Cache {
    let Bias { deadline, closing_lifetime, .. } = orders.bias();
    let builder = Cache::builder().url(orders.url.as_str()).namespace(NAMESPACE).jitter(0.1);
    let builder = builder.operation_deadline(deadline).connect_timeout(orders.patience());
    // Short, so that leases end.
    let builder = builder.fence_retention(RETENTION).closing_lifetime(closing_lifetime);
    let builder = builder.lease(Duration::from_millis(150)).lease_wait(Duration::from_millis(300));
    builder.build().expect("valid settings")
}

/// Makes calls until the conductor ends it. Whether there was a conductor.
async fn serve(cache: &Cache, orders: &Orders, slot: u16) -> bool {
    let Some((stream, process)) = connect(&orders.socket, orders.program + slot).await else { return false };
    let link = Arc::new(Link::new(process, cache.clone()));
    let seed = orders.seed ^ u64::from(process) << 32;
    let world = World::new(cache.clone(), link.clone(), orders.bias(), seed);
    let work = async {
        // A server that is away is one of the things to be checked.
        _ = cache.ready(orders.patience()).await;
        while link.starts().await {
            make_calls(&world, orders, seed).await;
            settle(cache).await;
            world.read_everything().await;
            link.rest(counters(&world));
        }
        link.finish(counters(&world));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = link.run(stream, || counters(&world)) => {}
        () = work => {}
    }
    true
}

/// The connection to the conductor, and the number of the process.
async fn connect(socket: &Path, program: u16) -> Option<(UnixStream, u16)> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    stream.write_all(&program.to_le_bytes()).await.ok()?;
    let process = stream.read_u16_le().await.ok()?;
    Some((stream, process))
}

/// Makes calls until none may begin, and waits for those that have begun.
async fn make_calls(world: &World, orders: &Orders, seed: u64) {
    let pause = if orders.has_faults { PAUSE_MAX } else { Duration::ZERO };
    let mut tasks = JoinSet::new();
    for task in 0..orders.tasks {
        tasks.spawn(act(world.clone(), seed.wrapping_add(u64::from(task)), pause));
    }
    if orders.has_faults {
        let partitions = orders.partitions();
        for seat in Seat::all(world.link.process(), partitions) {
            tasks.spawn(probe_reads(world.clone(), seat, READS_EVERY * partitions.into()));
        }
        tasks.spawn(probe_invalidations(world.clone(), partitions));
    }
    // A panic is counted.
    while tasks.join_next().await.is_some() {}
}

async fn probe_reads(world: World, seat: Seat, every: Duration) {
    while world.link.runs() {
        world.probe_read(&seat).await;
        tokio::time::sleep(every).await;
    }
}

async fn probe_invalidations(world: World, partitions: u16) {
    while world.link.runs() {
        world.probe_invalidation(partitions).await;
        tokio::time::sleep(INVALIDATES_EVERY).await;
    }
}

/// Waits until nothing is owed.
async fn settle(cache: &Cache) {
    while cache.health().owes_invalidations {
        tokio::time::sleep(SETTLES_EVERY).await;
    }
}

/// One task: calls, some of which are dropped or whose tasks are aborted.
async fn act(world: World, seed: u64, pause_max: Duration) {
    let mut random = fastrand::Rng::with_seed(seed);
    while world.link.runs() {
        let step = mix::step(&world.bias, &mut random);
        let patience = Duration::from_micros(random.u64(0..4_000));
        let dice = random.u32(0..100);
        let dropped = if world.link.drops_calls() { 0..60 } else { 0..4 };
        match dice {
            _ if dropped.contains(&dice) => _ = tokio::time::timeout(patience, world.run(&step, &mut random)).await,
            98.. => {
                let (world, mut own) = (world.clone(), random.fork());
                let task = tokio::spawn(async move { world.run(&step, &mut own).await });
                tokio::time::sleep(patience).await;
                task.abort();
            }
            _ => world.run(&step, &mut random).await,
        }
        match pause_max {
            Duration::ZERO => tokio::task::yield_now().await,
            pause_max => tokio::time::sleep(pause_max.mul_f64(random.f64())).await,
        }
    }
}

/// What the cache has counted, a line each: what was covered is read off it.
fn counters(world: &World) -> String {
    let stats = world.cache.stats();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in stats.total().counters() {
        lines.insert(name.to_owned(), count);
    }
    for reason in stats.total().unstored_by_reason() {
        lines.insert(format!("not stored: {}", reason.reason), reason.count);
    }
    for (end, count) in counts(&stats, "cache_waits_total", "ended") {
        *lines.entry(format!("wait: {end}")).or_default() += count;
    }
    let mut operations = counts(&stats, "cache_store_operation_duration_seconds", "operation");
    let further = operations.find_map(|(operation, count)| (operation == "cascade").then_some(count));
    lines.insert("further scripts".to_owned(), further.unwrap_or_default());
    lines.insert("clock steps".to_owned(), clock_steps());
    lines.insert("panics".to_owned(), PANICS.load(Ordering::Relaxed));
    lines.insert("failed calls".to_owned(), world.failed.load(Ordering::Relaxed));
    lines.into_iter().map(|(name, count)| format!("{name}={count}\n")).collect()
}

/// How often the wall clock of this program was found set, by more than the seconds in which both
/// clocks are read.
fn clock_steps() -> u64 {
    static STEPS: Mutex<(Option<i64>, u64)> = Mutex::new((None, 0));
    let (ahead, mut steps) = (clock::wall_is_ahead(), STEPS.lock().unwrap_or_else(PoisonError::into_inner));
    let was_set = steps.0.replace(ahead).is_some_and(|before| before.abs_diff(ahead) > 2);
    steps.1 += u64::from(was_set);
    steps.1
}

/// How often a metric has counted each word of one of its labels.
fn counts(stats: &Stats, metric: &str, label: &str) -> impl Iterator<Item = (String, u64)> {
    let metrics = stats.metrics().into_iter().filter(move |each| each.name == metric);
    metrics.flat_map(|metric| metric.samples).filter_map(move |sample| {
        let word = sample.labels.into_iter().find(|(name, _)| *name == label)?.1;
        match sample.value {
            MetricValue::Count(count) | MetricValue::Histogram { count, .. } => Some((word, count)),
            _ => None,
        }
    })
}

//! A process of the application: many tasks, each with a random mix of calls.

use std::collections::BTreeMap;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{Cache, MetricValue};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Builder;

use crate::bias::Bias;
use crate::link::Link;
use crate::mix;
use crate::world::World;

/// What one worker program is given: how the conductor starts it.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) url: String,
    pub(crate) socket: PathBuf,
    /// The number of its process. With several, each is a thread with a runtime of its own.
    pub(crate) process: u16,
    pub(crate) processes: u16,
    pub(crate) tasks: u16,
    pub(crate) seed: u64,
    /// The rule whose mix it is, or `-`.
    pub(crate) mix: String,
}

impl Orders {
    pub(crate) fn line(&self) -> Vec<String> {
        let numbers = [u64::from(self.process), u64::from(self.processes), u64::from(self.tasks), self.seed];
        let mut line = vec!["worker".to_owned(), self.url.clone(), self.socket.display().to_string()];
        line.extend(numbers.iter().map(u64::to_string));
        line.push(self.mix.clone());
        line
    }

    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [url, socket, numbers @ .., mix] = arguments else { return None };
        let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>().ok()?;
        let [process, processes, tasks, seed] = numbers[..] else { return None };
        Some(Self {
            url: url.clone(),
            socket: socket.into(),
            process: process as u16,
            processes: processes as u16,
            tasks: tasks as u16,
            seed,
            mix: mix.clone(),
        })
    }
}

/// How long a worker waits for its server: a busy machine is not a fault.
const PATIENCE: Duration = Duration::from_secs(20);

/// Panics of this program, wherever they end.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs until the conductor closes the socket.
pub(crate) fn run(orders: &Orders) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    if orders.processes == 1 {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a tokio runtime");
        runtime.block_on(async {
            let cache = open(orders);
            serve(&cache, orders, orders.process).await;
        });
        // As a process that ends: nothing is waited for.
        std::process::exit(0);
    }
    let cache = Builder::new_current_thread().build().expect("a runtime").block_on(async { open(orders) });
    std::thread::scope(|scope| {
        for slot in 0..orders.processes {
            let cache = &cache;
            scope.spawn(move || run_peers(cache, orders, slot));
        }
    });
}

/// The embedded store lives in one process, so its processes are peers, each on a runtime of its
/// own. One that is killed is a runtime that ends with all that is under way on it.
fn run_peers(cache: &Cache, orders: &Orders, slot: u16) {
    for generation in 0.. {
        let process = orders.process + slot + orders.processes * generation;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a tokio runtime");
        let goes_on = runtime.block_on(async { serve(&cache.peer(), orders, process).await });
        runtime.shutdown_background();
        if !goes_on {
            return;
        }
    }
}

fn open(orders: &Orders) -> Cache {
    let Bias { deadline, closing_lifetime, .. } = Bias::of(&orders.mix);
    let builder = Cache::builder().url(orders.url.as_str()).namespace("history").jitter(0.1);
    let builder = builder.operation_deadline(deadline).connect_timeout(PATIENCE);
    // Short, so that floors rise, leases end and loads grow too old.
    let builder = builder.fence_retention(Duration::from_millis(600)).closing_lifetime(closing_lifetime);
    let builder = builder.lease(Duration::from_millis(150)).lease_wait(Duration::from_millis(300));
    builder.build().expect("valid settings")
}

/// Makes calls until the conductor ends it. Whether there was a conductor.
async fn serve(cache: &Cache, orders: &Orders, process: u16) -> bool {
    let Some(stream) = connect(&orders.socket, process).await else { return false };
    let link = Arc::new(Link::new(process));
    let seed = orders.seed ^ u64::from(process) << 32;
    let world = World::new(cache.clone(), link.clone(), Bias::of(&orders.mix), seed);
    let work = async {
        // A server that is away is one of the things to be checked.
        _ = cache.ready(PATIENCE).await;
        link.started().await;
        let tasks = (0..orders.tasks).map(|task| tokio::spawn(act(world.clone(), seed.wrapping_add(u64::from(task)))));
        for task in tasks.collect::<Vec<_>>() {
            // A panic is counted.
            _ = task.await;
        }
        link.finish(counters(cache));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = link.run(stream, || counters(cache)) => {}
        () = work => {}
    }
    true
}

async fn connect(socket: &Path, process: u16) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    stream.write_all(&process.to_le_bytes()).await.ok()?;
    Some(stream)
}

/// One task: calls, some of which are dropped or whose tasks are aborted.
async fn act(world: World, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !world.link.is_stopped() {
        let step = mix::step(&world.bias, &mut random);
        let patience = Duration::from_micros(random.u64(0..4_000));
        match random.u32(0..100) {
            0..4 => _ = tokio::time::timeout(patience, world.run(&step, &mut random)).await,
            4..6 => {
                let (world, mut own) = (world.clone(), random.fork());
                let task = tokio::spawn(async move { world.run(&step, &mut own).await });
                tokio::time::sleep(patience).await;
                task.abort();
            }
            _ => world.run(&step, &mut random).await,
        }
        tokio::task::yield_now().await;
    }
}

/// What the cache has counted, a line each: what was covered is read off it.
fn counters(cache: &Cache) -> String {
    let stats = cache.stats();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in stats.total().counters() {
        lines.insert(name.to_owned(), count);
    }
    for reason in stats.total().unstored_by_reason() {
        lines.insert(format!("not stored: {}", reason.reason), reason.count);
    }
    for metric in stats.metrics().iter().filter(|metric| metric.name == "cache_waits_total") {
        for sample in &metric.samples {
            let end = sample.labels.iter().find(|(label, _)| *label == "ended");
            if let (Some((_, end)), MetricValue::Count(count)) = (end, &sample.value) {
                *lines.entry(format!("wait: {end}")).or_default() += count;
            }
        }
    }
    lines.insert("panics".to_owned(), PANICS.load(Ordering::Relaxed));
    lines.into_iter().map(|(name, count)| format!("{name}={count}\n")).collect()
}

//! Processes that keep copies of what all of them change, and check every value that they are
//! served: how long ago was it to be replaced?

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, CallResult, cached};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::crowd::wall_us;
use crate::ready;

/// One process changes so many data. All read the data of all, with a caller for each.
const DATA_OF_A_PROCESS: u64 = 16;
/// Reads of a caller between two changes that it makes, if its process changes the datum.
const READS_PER_CHANGE: u64 = 50;
/// Of one datum.
const VERSIONS_MAX: u64 = 1 << 20;

/// Several processes that run [`near_main`] on one namespace. Dropping it kills them.
#[derive(Debug)]
pub struct NearCrowd {
    processes: Vec<NearProcess>,
    _truth: TempDir,
}

#[derive(Debug)]
struct NearProcess {
    _child: Child,
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

/// What a process is to do.
#[derive(Clone, Copy, Debug)]
pub struct NearRun {
    /// How often it reads at least.
    pub reads: u64,
    /// For how long at least.
    pub lasts: Duration,
    /// Whether it changes its data meanwhile.
    pub changes: bool,
}

/// What the callers of one process were served in one run.
#[derive(Clone, Debug, Default)]
pub struct NearTally {
    /// All reads.
    pub reads: u64,
    /// Those that were served a copy.
    pub near_hits: u64,
    /// Reads that were served what no read may be: an old value that was no copy, or one that this
    /// very process had replaced.
    pub wrong: u64,
    /// Of each copy that was old: how long before the read began the change had returned, in µs.
    pub staleness_us: Vec<u64>,
}

impl NearCrowd {
    /// Starts a process of `program` at each of `urls`, and waits until they are ready.
    /// `arguments` come before what [`near_main`] takes. `deadline` is that of their operations.
    pub async fn start(
        program: &str,
        arguments: &[&str],
        urls: &[String],
        namespace: &str,
        deadline: Duration,
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("cache-test-").tempdir().expect("a temporary directory");
        let truth = directory.path().join("truth");
        File::create(&truth).expect("a file");
        let truth = truth.to_str().expect("a path in UTF-8");
        let (of, deadline) = (urls.len().to_string(), deadline.as_millis().to_string());
        let mut processes = Vec::new();
        for (number, url) in urls.iter().enumerate() {
            let own = [url, namespace, truth, &number.to_string(), &of, &deadline];
            processes.push(NearProcess::start(program, arguments.iter().copied().chain(own)).await);
        }
        Self { processes, _truth: directory }
    }

    /// Has a process do its part.
    pub async fn begin(&mut self, process: usize, run: NearRun) {
        let stdin = &mut self.processes[process].stdin;
        stdin.write_all(format!("{}\n", run.line()).as_bytes()).await.expect("the process listens");
    }

    /// What came of it.
    pub async fn end(&mut self, process: usize) -> NearTally {
        let line = self.processes[process].said.next_line().await.expect("text");
        NearTally::parse(&line.expect("the process lives"))
    }

    /// Has these processes do their part.
    pub async fn run(&mut self, processes: Range<usize>, run: NearRun) -> Vec<NearTally> {
        for process in processes.clone() {
            self.begin(process, run).await;
        }
        let mut tallies = Vec::new();
        for process in processes {
            tallies.push(self.end(process).await);
        }
        tallies
    }
}

impl NearRun {
    fn line(self) -> String {
        format!("{} {} {}", self.reads, self.lasts.as_millis(), self.changes)
    }

    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [reads, lasts_ms, changes] = words[..] else { panic!("not understood: {line}") };
        Self { reads: number(reads), lasts: Duration::from_millis(number(lasts_ms)), changes: changes == "true" }
    }
}

impl NearProcess {
    async fn start<'a>(program: &str, arguments: impl Iterator<Item = &'a str>) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        let mut said = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        assert_eq!(said.next_line().await.expect("text").as_deref(), Some("ready"));
        Self { stdin: child.stdin.take().expect("stdin is piped"), said, _child: child }
    }
}

impl NearTally {
    /// Of several processes or runs.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, one| {
            sum.reads += one.reads;
            sum.near_hits += one.near_hits;
            sum.wrong += one.wrong;
            sum.staleness_us.extend(one.staleness_us);
            sum
        })
    }

    /// The oldest copy that was served.
    pub fn staleness_max(&self) -> Duration {
        Duration::from_micros(self.staleness_us.iter().copied().max().unwrap_or(0))
    }

    fn line(&self) -> String {
        let staleness: Vec<String> = self.staleness_us.iter().map(u64::to_string).collect();
        format!("{} {} {} {}", self.reads, self.near_hits, self.wrong, staleness.join(","))
    }

    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [reads, near_hits, wrong, staleness] = words[..] else { panic!("not understood: {line}") };
        let staleness_us = staleness.split(',').filter(|part| !part.is_empty()).map(number).collect();
        Self { reads: number(reads), near_hits: number(near_hits), wrong: number(wrong), staleness_us }
    }
}

/// What is true of each datum, in a file that all processes share: its version, the last version
/// whose change has returned, and when each change had returned. One caller changes a datum.
#[derive(Debug)]
struct Truth(File);

impl Truth {
    fn open(path: &Path) -> Self {
        Self(File::options().read(true).write(true).open(path).expect("the file is there"))
    }

    fn version(&self, datum: u64) -> u64 {
        self.get(datum, 0)
    }

    fn set_version(&self, datum: u64, version: u64) {
        self.set(datum, 0, version);
    }

    fn returned(&self, datum: u64) -> u64 {
        self.get(datum, 1)
    }

    /// A bit late, for the clock is read in whole µs.
    fn returned_at_us(&self, datum: u64, version: u64) -> u64 {
        self.get(datum, 2 + version)
    }

    fn set_returned(&self, datum: u64, version: u64) {
        assert!(version < VERSIONS_MAX);
        self.set(datum, 2 + version, wall_us() + 1);
        self.set(datum, 1, version);
    }

    /// What was never written is 0.
    fn get(&self, datum: u64, at: u64) -> u64 {
        let mut bytes = [0; 8];
        match self.0.read_at(&mut bytes, Self::offset(datum, at)).expect("the file can be read") {
            8 => u64::from_ne_bytes(bytes),
            _ => 0,
        }
    }

    fn set(&self, datum: u64, at: u64, number: u64) {
        self.0.write_all_at(&number.to_ne_bytes(), Self::offset(datum, at)).expect("the file can be written");
    }

    fn offset(datum: u64, at: u64) -> u64 {
        (datum * (2 + VERSIONS_MAX) + at) * 8
    }
}

/// One process.
struct NearWorld {
    cache: Cache,
    truth: Truth,
    number: u64,
    processes: u64,
}

#[cached(prefix = "value", ttl = "60s", near = "30s", cache = world.cache, skip(world), tags = ["datum:{datum}"])]
async fn value(world: &NearWorld, datum: u64) -> u64 {
    part(world, datum).await;
    world.truth.version(datum)
}

/// What the value of a datum is made from.
#[cached(prefix = "part", ttl = "60s", cache = world.cache, skip(world))]
async fn part(world: &NearWorld, datum: u64) -> u64 {
    datum
}

impl NearWorld {
    /// Makes the next version of a datum, in one way after the other. Returns once the change has.
    async fn change(&self, datum: u64) {
        let (cache, version) = (&self.cache, self.truth.version(datum) + 1);
        self.truth.set_version(datum, version);
        // What is put depends on nothing, so its key is invalidated next.
        let change = async || match version % 4 {
            0 => cache.put(value::key(&datum), &version).await.map(drop),
            1 => cache.invalidate_key(value::key(&datum)).await.map(drop),
            2 => cache.invalidate_tag(format!("datum:{datum}")).await.map(drop),
            _ => cache.invalidate_key(part::key(&datum)).await.map(drop),
        };
        // One that has failed may still reach the server, and it has not returned.
        while change().await.is_err() {
            tokio::task::yield_now().await;
        }
        self.truth.set_returned(datum, version);
    }

    fn is_own(&self, datum: u64) -> bool {
        datum / DATA_OF_A_PROCESS == self.number
    }

    async fn read(&self, datum: u64, tally: &mut NearTally) {
        let returned = self.truth.returned(datum);
        let asked_us = wall_us();
        let (version, log) = cache_core::observe(value(self, datum)).await;
        let is_near = log.count(CallResult::NearHit) > 0;
        tally.reads += 1;
        tally.near_hits += u64::from(is_near);
        if version < returned {
            tally.wrong += u64::from(self.is_own(datum) || !is_near);
            tally.staleness_us.push(asked_us.saturating_sub(self.truth.returned_at_us(datum, version + 1)));
        }
    }

    async fn call(self: Arc<Self>, datum: u64, reads: Arc<AtomicU64>, run: NearRun) -> NearTally {
        let (begun, changes) = (Instant::now(), run.changes && self.is_own(datum));
        let mut tally = NearTally::default();
        while reads.fetch_add(1, Ordering::Relaxed) < run.reads || begun.elapsed() < run.lasts {
            self.read(datum, &mut tally).await;
            if changes && tally.reads.is_multiple_of(READS_PER_CHANGE) {
                self.change(datum).await;
            }
            tokio::task::yield_now().await;
        }
        tally
    }
}

/// What one process of a [`NearCrowd`] runs. Arguments: the URL, the namespace, the file with what
/// is true, the process's number, how many there are, and the deadline in ms. Each line that it is
/// given is a [`NearRun`].
pub async fn near_main(arguments: &[String]) {
    let [url, namespace, truth, own, processes, deadline] = arguments else { panic!("expected six arguments") };
    let deadline = Duration::from_millis(number(deadline));
    let builder = Cache::builder().url(url.as_str()).namespace(namespace.as_str()).operation_deadline(deadline);
    let truth = Truth::open(Path::new(truth));
    let cache = ready(builder).await;
    let world = Arc::new(NearWorld { cache, truth, number: number(own), processes: number(processes) });
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (run, reads, data) = (NearRun::parse(&line), Arc::default(), 0..world.processes * DATA_OF_A_PROCESS);
        let call = |datum| tokio::spawn(world.clone().call(datum, Arc::clone(&reads), run));
        let mut tallies = Vec::new();
        for caller in data.map(call).collect::<Vec<_>>() {
            tallies.push(caller.await.expect("no caller panics"));
        }
        println!("{}", NearTally::sum(tallies).line());
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

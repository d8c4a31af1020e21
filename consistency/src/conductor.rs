//! The program that starts the server and the workers, answers for the database, has workers
//! killed, and hands what they tell to the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cache_tests::Server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use crate::bias::{Bias, Disturbance};
use crate::checker::Checker;
use crate::clock;
use crate::coverage::Coverage;
use crate::database::{Asker, Database, Query};
use crate::faults::baton::{Baton, Order};
use crate::faults::clock_file::ClockFile;
use crate::faults::director::Director;
use crate::faults::ledger::FaultLedger;
use crate::faults::scene::Scene;
use crate::options::{self, Options};
use crate::record::{Batch, Call, How, Scope};
use crate::wire::{self, Frame};
use crate::worker::Orders;

mod ending;
mod ordered;

use ordered::Awaited;

/// Frames that wait to be handled: workers are held up beyond.
const FRAMES_MAX: usize = 256;
/// Frames that wait until a process reads them, for each of its callers: one that drops its call
/// asks again. A process that stands still asks for nothing.
const FRAMES_PER_TASK_MAX: usize = 16;
/// How long the last calls may take.
const LAST_CALLS: Duration = Duration::from_secs(60);
/// How often the conductor looks whether the history is to end.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// How long a process stands still: longer than a copy may be trusted without an answer.
const STANDS_STILL: Duration = Duration::from_millis(2_500);

/// What came of a history.
pub(crate) struct Outcome {
    pub(crate) checker: Checker,
    pub(crate) coverage: Coverage,
    pub(crate) changes: BTreeMap<How, [u64; 2]>,
    pub(crate) kills: u64,
    pub(crate) took: Duration,
    pub(crate) server: String,
    pub(crate) fault_ledger: FaultLedger,
}

/// What the conductor hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// A process of the program with this number.
    Joined(u16, UnixStream),
    Said(u16, Frame, Vec<u8>),
    Gone(u16),
    Ordered(Order, oneshot::Sender<()>),
    Failed(String),
}

/// A worker that is connected.
struct Peer {
    /// The number of its program.
    program: u16,
    to_process: mpsc::Sender<Vec<u8>>,
    reader: AbortHandle,
}

struct Conductor {
    options: Options,
    bias: Bias,
    /// Where the cache is, unless faults are done there.
    place: Place,
    socket: PathBuf,
    url: String,
    _directory: TempDir,
    checker: Checker,
    coverage: Coverage,
    database: Database,
    peers: BTreeMap<u16, Peer>,
    /// Processes whose runtime is being ended, by their program.
    ending: BTreeMap<u16, u16>,
    /// The programs, by slot. The embedded store has one.
    children: Vec<Program>,
    last_program: u16,
    last_process: u16,
    changes: BTreeMap<How, [u64; 2]>,
    kills: u64,
    random: fastrand::Rng,
    events: mpsc::Sender<Event>,
    ends: bool,
    /// No call may begin, and who has none under way.
    rests: bool,
    rested: BTreeSet<u16>,
    /// What the director of faults waits for.
    awaited: Option<Awaited>,
    fault_ledger: FaultLedger,
    /// All faults are.
    is_played: bool,
    failure: Option<String>,
    /// The clock of the process that has its own, and where this one is.
    clock: ClockFile,
    slot_of_clock: usize,
}

struct Program {
    number: u16,
    child: Child,
}

/// Runs one history.
pub(crate) async fn run(options: Options) -> io::Result<Outcome> {
    let directory = tempfile::Builder::new().prefix("cache-history-").tempdir()?;
    let socket = directory.path().join("conductor");
    let listener = UnixListener::bind(&socket)?;
    let (events, mut said) = mpsc::channel(FRAMES_MAX);
    let place = Place::prepare(&options).await?;
    let (url, version) = (place.url(), place.version().await);
    let (has_faults, clock) = (options.faults.is_some(), ClockFile::of(directory.path()));
    let mut conductor = Conductor {
        socket,
        url,
        _directory: directory,
        checker: Checker::new(),
        coverage: Coverage::default(),
        database: Database::default(),
        peers: BTreeMap::new(),
        children: Vec::new(),
        last_program: 0,
        last_process: 0,
        changes: BTreeMap::new(),
        kills: 0,
        ending: BTreeMap::new(),
        random: fastrand::Rng::with_seed(options.seed),
        events: events.clone(),
        ends: false,
        bias: options.bias(),
        place: Place::InMemory,
        rests: has_faults,
        rested: BTreeSet::new(),
        awaited: None,
        fault_ledger: FaultLedger::default(),
        is_played: false,
        failure: None,
        clock,
        slot_of_clock: 0,
        options,
    };
    tokio::spawn(accept(listener, events.clone()));
    conductor.place = place.play(&conductor.options, Baton::new(events));
    conductor.start_workers()?;
    let began = Instant::now();
    if let Err(error) = conductor.conduct(&mut said, began).await {
        eprint!("{}", conductor.fault_ledger.table());
        return Err(error);
    }
    let Conductor { checker, coverage, changes, kills, fault_ledger, .. } = conductor;
    Ok(Outcome { checker, coverage, changes, kills, took: began.elapsed(), server: version, fault_ledger })
}

/// Where the cache is.
enum Place {
    InMemory,
    Server(Box<Server>),
    Scene(Scene),
}

impl Place {
    async fn prepare(options: &Options) -> io::Result<Self> {
        Ok(match options.place {
            options::Place::Server(kind) if options.faults.is_none() => Self::Server(Box::new(Server::start(kind))),
            place => Scene::start(place, options.seed).await.map_or(Self::InMemory, Self::Scene),
        })
    }

    fn url(&self) -> String {
        match self {
            Self::InMemory => "memory://".to_owned(),
            Self::Server(server) => server.url(),
            Self::Scene(scene) => scene.url(),
        }
    }

    async fn version(&self) -> String {
        match self {
            Self::InMemory => "in memory".to_owned(),
            Self::Server(server) => version_of(server).await,
            Self::Scene(scene) => version_of(scene.server()).await,
        }
    }

    /// The faults begin, if there are any. What this returns lives on.
    fn play(self, options: &Options, baton: Baton) -> Self {
        match (self, &options.faults) {
            (Self::Scene(scene), Some(selection)) => {
                let random = fastrand::Rng::with_seed(options.seed);
                let lasts = Some(options.lasts_max).filter(|lasts| *lasts < Duration::MAX);
                let (watching, endures) = (baton.clone(), options.ablate.is_some());
                let director = Director { scene, baton, selection: selection.clone(), random, lasts, endures };
                let runtime = tokio::runtime::Handle::current();
                let directing = tokio::task::spawn_blocking(move || runtime.block_on(director.direct()));
                tokio::spawn(watching.watch(directing));
                Self::InMemory
            }
            (place, _) => place,
        }
    }
}

async fn version_of(server: &Server) -> String {
    let text: String = server.raw().await.command("INFO", &["server"]).await;
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(ToOwned::to_owned));
    let of = if text.contains("_mode:cluster") { "-cluster" } else { "" };
    line("valkey_version:")
        .map(|version| format!("Valkey{of} {version}"))
        .unwrap_or_else(|| format!("Redis{of} {}", line("redis_version:").unwrap_or_default()))
}

async fn accept(listener: UnixListener, events: mpsc::Sender<Event>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(program) = stream.read_u16_le().await else { continue };
        if events.send(Event::Joined(program, stream)).await.is_err() {
            return;
        }
    }
}

async fn read_frames(process: u16, reader: OwnedReadHalf, events: mpsc::Sender<Event>) {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    loop {
        let mut body = Vec::new();
        let event = match wire::next(&mut reader, &mut body).await {
            Ok(frame) => Event::Said(process, frame, body),
            Err(_) => Event::Gone(process),
        };
        let is_gone = matches!(event, Event::Gone(_));
        if events.send(event).await.is_err() || is_gone {
            return;
        }
    }
}

async fn write_frames(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut frame) = frames.recv().await {
        while let Ok(more) = frames.try_recv() {
            frame.extend(more);
        }
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

impl Conductor {
    fn is_embedded(&self) -> bool {
        self.options.place == options::Place::Embedded
    }

    fn start_workers(&mut self) -> io::Result<()> {
        let programs = if self.is_embedded() { 1 } else { self.options.processes };
        for _ in 0..programs {
            let program = self.start_worker(false)?;
            self.children.push(program);
        }
        Ok(())
    }

    fn start_worker(&mut self, has_own_clock: bool) -> io::Result<Program> {
        let processes = if self.is_embedded() { self.options.processes } else { 1 };
        let orders = Orders {
            url: self.url.clone(),
            socket: self.socket.clone(),
            program: self.last_program + 1,
            processes,
            tasks: self.options.tasks,
            seed: self.random.u64(..),
            mix: self.options.mix.clone(),
            has_faults: self.options.faults.is_some(),
        };
        self.last_program += processes;
        let mut command = Command::new(this_program()?);
        if let Some(rule) = &self.options.ablate {
            command.env("CACHE_ABLATE", rule);
        }
        if has_own_clock {
            command.envs(self.clock.variables()?);
        }
        command.env("CACHE_LIMITS", self.bias.limits);
        let child = command.args(orders.line()).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(Program { number: orders.program, child })
    }

    async fn conduct(&mut self, said: &mut mpsc::Receiver<Event>, began: Instant) -> io::Result<()> {
        let mut looks = tokio::time::interval(LOOKS_EVERY);
        let kills_every = self.bias.kills_every;
        let mut kill_at = tokio::time::Instant::now() + kills_every;
        let mut ends_at = None;
        loop {
            tokio::select! {
                Some(event) = said.recv() => self.handle(event),
                _ = looks.tick() => {
                    self.check_awaited();
                    if ends_at.is_none() && self.is_over(began) {
                        self.ends = true;
                        ends_at = Some(Instant::now() + LAST_CALLS);
                        self.say_all(Frame::Stop, &[]);
                    }
                }
                () = sleep_until(kill_at), if !self.ends && self.options.faults.is_none() => {
                    kill_at = tokio::time::Instant::now() + kills_every.mul_f64(2.0 * self.random.f64());
                    self.disturb().await?;
                }
            }
            if let Some(message) = self.failure.take() {
                return Err(io::Error::other(message));
            }
            // Without one of its rules, a call need not end.
            if self.ends && (self.peers.is_empty() || self.has_found()) {
                return Ok(());
            }
            if ends_at.is_some_and(|at| Instant::now() > at) {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the last calls of {:?} do not end", self.peers.keys()),
                ));
            }
        }
    }

    /// Whether it has the stale read that it looks for.
    fn has_found(&self) -> bool {
        self.options.ablate.is_some() && self.checker.stale_count() > 0
    }

    fn is_over(&self, began: Instant) -> bool {
        if self.options.faults.is_some() {
            return self.is_played || self.has_found();
        }
        self.checker.judged() >= self.options.reads_max
            || began.elapsed() >= self.options.lasts_max
            || self.checker.stale_count() > 0
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Joined(program, stream) => self.join(program, stream),
            Event::Ordered(order, done) => self.obey(order, done),
            Event::Failed(message) => self.failure = Some(message),
            Event::Gone(process) => self.leave(process),
            // A frame that was read before its process was killed counts for nothing after it.
            Event::Said(process, Frame::Calls | Frame::Ask, _) if !self.peers.contains_key(&process) => {}
            Event::Said(process, frame, body) => match frame {
                Frame::Calls => self.take(process, &body),
                Frame::Ask => self.ask(process, &body),
                Frame::Counters => self.coverage.take(process, &String::from_utf8_lossy(&body)),
                Frame::Rested => _ = self.rested.insert(process),
                Frame::Start | Frame::Answer | Frame::Stop | Frame::Rest | Frame::Drop => {}
            },
        }
    }

    fn join(&mut self, program: u16, stream: UnixStream) {
        self.has_ended(program);
        if self.ends {
            return;
        }
        self.last_process += 1;
        let process = self.last_process;
        let (reader, writer) = stream.into_split();
        let (to_process, frames) = mpsc::channel(FRAMES_PER_TASK_MAX * (1 + usize::from(self.options.tasks)));
        tokio::spawn(write_frames(writer, frames));
        let reader = tokio::spawn(read_frames(process, reader, self.events.clone())).abort_handle();
        // Before all frames. An error is a process that is gone.
        _ = to_process.try_send(process.to_le_bytes().to_vec());
        self.peers.insert(process, Peer { program, to_process, reader });
        self.checker.begin(process, clock::now());
        match self.rests {
            true => _ = self.rested.insert(process),
            false => self.say(process, Frame::Start, &[]),
        }
    }

    fn take(&mut self, process: u16, body: &[u8]) {
        let Some(mut batch) = Batch::decode(body) else { return };
        batch.calls.retain(|call| !matches!(call, Call::Change(change) if self.fault_ledger.excuses(change)));
        let is_last = batch.complete_until == u64::MAX;
        for call in &batch.calls {
            match call {
                Call::Change(change) => {
                    let counts = self.changes.entry(change.how).or_default();
                    counts[usize::from(change.scope == Scope::OwnProcess)] += 1;
                }
                Call::Probe(probe) => self.fault_ledger.take(probe),
                Call::Read(_) => {}
            }
        }
        if batch.settled > 0 {
            self.fault_ledger.settled(process, batch.settled);
        }
        self.checker.take(process, batch);
        if is_last {
            self.leave(process);
        }
    }

    fn ask(&mut self, process: u16, body: &[u8]) {
        let query = body.get(8..).and_then(|query| query.first_chunk()).and_then(|query| Query::decode(*query));
        if let (Some(number), Some(query)) = (wire::number(body), query) {
            let answers = self.database.ask((process, number), query);
            self.answer(answers);
        }
    }

    fn answer(&mut self, answers: Vec<(Asker, u64)>) {
        for ((process, number), version) in answers {
            let body = [number.to_le_bytes(), version.to_le_bytes()].concat();
            self.say(process, Frame::Answer, &body);
        }
    }

    fn say(&mut self, process: u16, frame: Frame, body: &[u8]) {
        if let Some(peer) = self.peers.get(&process) {
            let mut bytes = Vec::new();
            wire::push(&mut bytes, frame, body);
            match peer.to_process.try_send(bytes) {
                Err(TrySendError::Full(_)) => self.failure = Some(format!("process {process} reads nothing")),
                // One that is closed is of a process that is gone.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
            }
        }
    }

    fn say_all(&mut self, frame: Frame, body: &[u8]) {
        let processes: Vec<u16> = self.peers.keys().copied().collect();
        processes.into_iter().for_each(|process| self.say(process, frame, body));
    }

    async fn disturb(&mut self) -> io::Result<()> {
        match (self.bias.disturbance, &mut self.place) {
            (Disturbance::ClockLost, Place::Server(server)) => lose_a_clock(server, &mut self.random).await,
            (Disturbance::ClockLost, Place::Scene(scene)) => {
                let server = scene.any_primary().await;
                lose_a_clock(server, &mut self.random).await
            }
            (Disturbance::Stop, Place::Server(_) | Place::Scene(_)) => {
                let slot = self.random.usize(..self.children.len());
                self.stop_for(slot, STANDS_STILL);
                Ok(())
            }
            _ => self.kill_one(),
        }
    }
}

/// Deletes one of the clocks that a server has, if it has any.
async fn lose_a_clock(server: &Server, random: &mut fastrand::Rng) -> io::Result<()> {
    let mut raw = server.raw().await;
    let clocks: Vec<String> = raw.command("KEYS", &["*~clock"]).await;
    if let Some(clock) = random.choice(&clocks) {
        let _: u64 = raw.command("DEL", &[clock]).await;
    }
    Ok(())
}

/// The program that runs here. Its path may lead to another build meanwhile, with or without a
/// rule.
fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

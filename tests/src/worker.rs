//! Another process with a cache of its own.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::Cache;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use crate::world::{Source, World};
use crate::{PATIENCE, ready};

/// Of every worker: the lease of one that is killed must not cost a test seconds.
const LEASE: Duration = Duration::from_millis(250);
/// Of every worker: the same for what is closed. A busy machine must not end what a worker renews.
const CLOSING_LIFETIME: Duration = Duration::from_secs(5);

/// A process that runs [`worker_main`]: it obeys [`World`]'s commands, and asks this process for
/// its data. Dropping it kills it.
///
/// One line is one message. To the process: `run <id> <command>`, `loaded <id> <version>`. From it:
/// `ready`, `load <id> <datum>`, `done <id> <answer>`, `failed <id> <error>`.
#[derive(Debug)]
pub struct Worker {
    to_process: mpsc::UnboundedSender<String>,
    answers: Answers,
    last_id: AtomicU64,
    child: Mutex<Child>,
}

/// `None`: the process is gone, and nobody will be answered any more.
type Answers = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Result<String, String>>>>>>;

impl Worker {
    /// Starts `program` (a test's `env!("CARGO_BIN_EXE_cache-test-worker")`) on a
    /// store, and waits until it is ready.
    pub async fn start(program: &str, url: &str, namespace: &str, source: Source) -> Self {
        let mut child = Command::new(program)
            .args([url, namespace])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut lines = BufReader::new(stdout.expect("stdout is piped"));
        let mut ready = String::new();
        lines.read_line(&mut ready).await.expect("its stdout is text");
        assert_eq!(ready, "ready\n");
        let (to_process, outgoing) = mpsc::unbounded_channel();
        let answers: Answers = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write_lines(stdin.expect("stdin is piped"), outgoing));
        tokio::spawn(read_lines(lines, answers.clone(), to_process.clone(), source));
        Self { to_process, answers, last_id: AtomicU64::new(0), child: Mutex::new(child) }
    }

    /// Has a command run there. `None`: the process was killed before it answered.
    pub async fn run(&self, command: &str) -> Option<Result<String, String>> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.answers).as_mut()?.insert(id, answer);
        self.to_process.send(format!("run {id} {command}")).ok()?;
        answered.await.ok()
    }

    /// SIGKILL, whatever it is doing.
    pub fn kill(&self) {
        // It fails only if the process is dead already.
        _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
    }
}

async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_lines(
    stdout: BufReader<ChildStdout>,
    answers: Answers,
    to_process: mpsc::UnboundedSender<String>,
    source: Source,
) {
    let mut lines = stdout.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (what, id, text) = message(&line);
        if what == "load" {
            let (loading, to_process) = (source(number(text)), to_process.clone());
            tokio::spawn(async move { to_process.send(format!("loaded {id} {}", loading.await)) });
        } else if let Some(answer) = lock(&answers).as_mut().and_then(|waiting| waiting.remove(&id)) {
            let text = text.to_owned();
            // An error is a caller that no longer waits.
            _ = answer.send(if what == "done" { Ok(text) } else { Err(text) });
        }
    }
    *lock(&answers) = None;
}

/// What the process of a [`Worker`] runs. Its arguments are URL and namespace; it gets messages on
/// stdin and sends them on stdout.
pub async fn worker_main() {
    let arguments: Vec<String> = std::env::args().collect();
    let builder = Cache::builder().url(&arguments[1]).namespace(&arguments[2]).jitter(0.0);
    let builder = builder.operation_deadline(PATIENCE).connect_timeout(PATIENCE);
    let builder = builder.lease(LEASE).lease_wait(LEASE).closing_lifetime(CLOSING_LIFETIME);
    let cache = ready(builder).await;
    let loads: Arc<Mutex<HashMap<u64, oneshot::Sender<u64>>>> = Arc::default();
    let last_load = AtomicU64::new(0);
    let world = World::new(cache, {
        let loads = loads.clone();
        Arc::new(move |datum| {
            let id = last_load.fetch_add(1, Ordering::Relaxed);
            let (loaded, version) = oneshot::channel();
            lock(&loads).insert(id, loaded);
            println!("load {id} {datum}");
            Box::pin(async move { version.await.expect("the test answers every load") })
        })
    });
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (what, id, text) = message(&line);
        if what == "loaded" {
            // A load that was dropped has nobody to tell.
            _ = lock(&loads).remove(&id).map(|load| load.send(number(text)));
            continue;
        }
        let (world, command) = (world.clone(), text.to_owned());
        tokio::spawn(async move {
            match world.run(&command).await {
                Ok(answer) => println!("done {id} {answer}"),
                Err(error) => println!("failed {id} {error}"),
            }
        });
    }
}

fn message(line: &str) -> (&str, u64, &str) {
    let mut parts = line.splitn(3, ' ');
    let (what, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    (what, number(id), parts.next().unwrap_or_default())
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Processes full of callers of one key.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::Cache;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};

use crate::{PATIENCE, ready};

/// How long one load of a storm takes before it fails.
const FAILING_LOAD: Duration = Duration::from_millis(20);

/// Several processes that run [`crowd_main`], and what they say, in order. Dropping it kills them.
#[derive(Debug)]
pub struct Crowd {
    processes: Vec<(Child, ChildStdin)>,
    said: mpsc::UnboundedReceiver<(usize, Message)>,
}

/// What one process of a crowd says, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// It listens.
    Ready,
    /// A load has begun.
    Loading,
    /// A load has ended, at this time.
    Loaded(u64),
    /// All callers of one order have their answers.
    Done(Tally),
}

/// How the callers of one order fared. Times are in µs of the wall clock, which
/// processes of one machine share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Callers with a value.
    pub served: usize,
    /// Callers with an error.
    pub failed: usize,
    /// When the order came.
    pub begun_us: u64,
    /// When each caller had its answer.
    pub answered_us: Vec<u64>,
    /// When each load of the process began and ended.
    pub loads_us: Vec<(u64, u64)>,
}

impl Tally {
    /// Most loads that were under way at once in all of these processes.
    pub fn loads_at_once_max(all: &[Self]) -> usize {
        let loads = all.iter().flat_map(|done| &done.loads_us);
        // An end counts before a beginning at the same time.
        let mut steps: Vec<(u64, i32)> = loads.flat_map(|(begun, ended)| [(*begun, 1), (*ended, -1)]).collect();
        steps.sort_unstable();
        let at_once = steps.iter().scan(0, |now, (_, step)| {
            *now += step;
            Some(*now)
        });
        at_once.max().unwrap_or(0) as usize
    }
}

impl Crowd {
    /// Starts `processes` of `program` with `arguments`, which come before what [`crowd_main`]
    /// takes, and waits until they are ready.
    pub async fn start(
        program: &str,
        arguments: &[&str],
        processes: usize,
        url: &str,
        lease: Duration,
        lease_wait: Duration,
    ) -> Self {
        let (tell, said) = mpsc::unbounded_channel();
        let mut crowd = Self { processes: Vec::new(), said };
        let (lease, wait) = (lease.as_millis().to_string(), lease_wait.as_millis().to_string());
        for number in 0..processes {
            let mut child = Command::new(program)
                .args(arguments)
                .args([url, &lease, &wait])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
            let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
            let stdin = child.stdin.take().expect("stdin is piped");
            crowd.processes.push((child, stdin));
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    _ = tell.send((number, parse(&line)));
                }
            });
        }
        for _ in 0..processes {
            assert_eq!(crowd.next().await.1, Message::Ready);
        }
        crowd
    }

    /// The next message, and the process that it comes from.
    pub async fn next(&mut self) -> (usize, Message) {
        self.said.recv().await.expect("a process lives")
    }

    /// Gives an order to one process; see [`crowd_main`].
    pub async fn order(&mut self, process: usize, order: &str) {
        let stdin = &mut self.processes[process].1;
        stdin.write_all(format!("{order}\n").as_bytes()).await.expect("the process listens");
    }

    /// Gives an order to every process.
    pub async fn order_all(&mut self, order: &str) {
        for process in 0..self.processes.len() {
            self.order(process, order).await;
        }
    }

    /// SIGKILL.
    pub async fn kill(&mut self, process: usize) {
        self.processes[process].0.kill().await.expect("the process can be killed");
    }

    /// Lets every load succeed until this many processes are done. Returns how many loads
    /// began, and how the callers fared.
    pub async fn until_done(&mut self, processes: usize) -> (usize, Vec<Tally>) {
        let (mut loads, mut all) = (0, Vec::new());
        while all.len() < processes {
            match self.next().await {
                (process, Message::Loading) => {
                    loads += 1;
                    self.order(process, "ok").await;
                }
                (_, Message::Done(done)) => all.push(done),
                (_, Message::Ready | Message::Loaded(_)) => {}
            }
        }
        (loads, all)
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

fn parse(line: &str) -> Message {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |word: &str| -> u64 { word.parse().expect("a number") };
    match words[..] {
        ["ready"] => Message::Ready,
        ["loading"] => Message::Loading,
        ["loaded", at] => Message::Loaded(number(at)),
        ["done", served, failed, begun, answered, loads] => Message::Done(Tally {
            served: number(served) as usize,
            failed: number(failed) as usize,
            begun_us: number(begun),
            answered_us: list(answered).map(number).collect(),
            loads_us: list(loads)
                .map(|load| load.split_once('-').expect("two times"))
                .map(|(begun, ended)| (number(begun), number(ended)))
                .collect(),
        }),
        _ => panic!("not understood: {line}"),
    }
}

pub(crate) fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// The loads of one process.
struct Loads {
    permits: Mutex<mpsc::UnboundedReceiver<()>>,
    ended_us: Mutex<Vec<(u64, u64)>>,
}

impl Loads {
    async fn load(&self, fails: bool) -> Result<u64, ()> {
        let begun = wall_us();
        if fails {
            tokio::time::sleep(FAILING_LOAD).await;
        } else {
            println!("loading");
            self.permits.lock().await.recv().await;
            println!("loaded {}", wall_us());
        }
        self.ended_us.lock().await.push((begun, wall_us()));
        if fails { Err(()) } else { Ok(1) }
    }
}

/// What one process of a [`Crowd`] runs. Arguments: the URL, then the lease and the longest wait in
/// ms. Orders, one a line: `call CALLERS KEY` (loads end when told to), `storm CALLERS KEY` (every
/// load fails), `ok` (one load succeeds).
pub async fn crowd_main(arguments: &[String]) {
    let [url, lease, lease_wait] = arguments else { panic!("expected URL, lease and wait") };
    let ms = |text: &str| Duration::from_millis(text.parse().expect("a number"));
    let builder = Cache::builder().url(url.as_str()).namespace("crowd").jitter(0.0);
    let builder = builder.operation_deadline(PATIENCE).connect_timeout(PATIENCE);
    let cache = ready(builder.lease(ms(lease)).lease_wait(ms(lease_wait))).await;
    let (permit, permits) = mpsc::unbounded_channel();
    let loads = Arc::new(Loads { permits: Mutex::new(permits), ended_us: Mutex::default() });
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ok"] => permit.send(()).expect("the receiver is here"),
            [what, callers, key] => {
                let callers = callers.parse().expect("a number");
                tokio::spawn(call(cache.clone(), loads.clone(), callers, key.to_owned(), what == "storm"));
            }
            _ => panic!("not understood: {line}"),
        }
    }
}

async fn call(cache: Cache, loads: Arc<Loads>, callers: usize, key: String, fails: bool) {
    let mut done = Tally { begun_us: wall_us(), ..Tally::default() };
    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let (cache, loads, key) = (cache.clone(), loads.clone(), key.clone());
            tokio::spawn(async move { (cache.get_or_load(&key, || loads.load(fails)).await, wall_us()) })
        })
        .collect();
    for call in calls {
        let (answer, at) = call.await.expect("calls do not panic");
        done.answered_us.push(at);
        *if answer.is_ok() { &mut done.served } else { &mut done.failed } += 1;
    }
    let answered: Vec<String> = done.answered_us.iter().map(u64::to_string).collect();
    let loads = loads.ended_us.lock().await;
    let loads: Vec<String> = loads.iter().map(|(begun, ended)| format!("{begun}-{ended}")).collect();
    println!("done {} {} {} {} {}", done.served, done.failed, done.begun_us, answered.join(","), loads.join(","));
}

//! A worker's side of its socket: it asks the database, and tells every call that has ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::Cache;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot, watch};

use crate::clock;
use crate::database::Query;
use crate::record::{Batch, Call};
use crate::wire::{self, Frame};

/// How often the calls that have ended are told.
const TELLS_EVERY: Duration = Duration::from_millis(15);
/// And how often what the cache has counted.
const COUNTS_EVERY: u32 = 20;

/// See the module.
pub(crate) struct Link {
    process: u16,
    cache: Cache,
    open: Mutex<Recorder>,
    outgoing: Mutex<Vec<u8>>,
    has_outgoing: Notify,
    questions: Mutex<HashMap<u64, oneshot::Sender<u64>>>,
    last_question: AtomicU64,
    phase: watch::Sender<Phase>,
    drops_calls: AtomicBool,
}

/// How far the history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// No call may begin.
    Rests,
    Runs,
    Ends,
}

#[derive(Default)]
struct Recorder {
    /// The calls under way, by their starts; several may start at once.
    open: BTreeMap<u64, u32>,
    ended: Vec<Call>,
}

/// A call under way. Dropped, it never ended.
pub(crate) struct OpenCall<'a> {
    link: &'a Link,
    pub(crate) start: u64,
}

impl Link {
    pub(crate) fn new(process: u16, cache: Cache) -> Self {
        Self {
            process,
            cache,
            open: Mutex::default(),
            outgoing: Mutex::default(),
            has_outgoing: Notify::new(),
            questions: Mutex::default(),
            last_question: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Rests),
            drops_calls: AtomicBool::new(false),
        }
    }

    pub(crate) fn process(&self) -> u16 {
        self.process
    }

    /// Waits until calls may begin. False: the history ends.
    pub(crate) async fn starts(&self) -> bool {
        let mut phase = self.phase.subscribe();
        // An error is the end of this link.
        phase.wait_for(|phase| *phase != Phase::Rests).await.is_ok_and(|phase| *phase == Phase::Runs)
    }

    /// Whether calls may begin.
    pub(crate) fn runs(&self) -> bool {
        *self.phase.borrow() == Phase::Runs
    }

    /// Whether most callers drop their calls at the moment.
    pub(crate) fn drops_calls(&self) -> bool {
        self.drops_calls.load(Ordering::Relaxed)
    }

    /// Notes that a call begins. The clock is read under the lock, so that what is told is
    /// complete.
    pub(crate) fn begin(&self) -> OpenCall<'_> {
        let mut recorder = lock(&self.open);
        let start = clock::now();
        *recorder.open.entry(start).or_default() += 1;
        OpenCall { link: self, start }
    }

    pub(crate) async fn ask(&self, query: Query) -> u64 {
        let number = self.last_question.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.questions).insert(number, answer);
        let body = [&number.to_le_bytes()[..], &query.encode()].concat();
        wire::push(&mut lock(&self.outgoing), Frame::Ask, &body);
        self.has_outgoing.notify_one();
        match answered.await {
            Ok(version) => version,
            // The conductor is gone, and this process ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// As [`ask`](Self::ask), for somebody who does not wait.
    pub(crate) fn tell(&self, query: Query) {
        let number = self.last_question.fetch_add(1, Ordering::Relaxed);
        let body = [&number.to_le_bytes()[..], &query.encode()].concat();
        wire::push(&mut lock(&self.outgoing), Frame::Ask, &body);
        self.has_outgoing.notify_one();
    }

    /// Serves the socket until the conductor closes it. `counters` says what the cache has counted.
    pub(crate) async fn run(&self, stream: UnixStream, counters: impl Fn() -> String) {
        let (reader, writer) = stream.into_split();
        tokio::select! {
            () = self.receive(reader) => {}
            () = self.send(writer) => {}
            () = self.tell_calls(counters) => {}
        }
    }

    /// Tells that nothing is under way, and nothing is owed.
    pub(crate) fn rest(&self, counters: String) {
        self.flush(Some(counters), false);
        wire::push(&mut lock(&self.outgoing), Frame::Rested, &[]);
        self.has_outgoing.notify_one();
    }

    /// The last that is told: everything has ended. The conductor then closes the socket.
    pub(crate) fn finish(&self, counters: String) {
        self.flush(Some(counters), true);
    }

    async fn tell_calls(&self, counters: impl Fn() -> String) {
        let mut every = tokio::time::interval(TELLS_EVERY);
        for tick in 0_u32.. {
            every.tick().await;
            self.flush(tick.is_multiple_of(COUNTS_EVERY).then(&counters), false);
        }
    }

    fn flush(&self, counters: Option<String>, is_last: bool) {
        let mut batch = {
            let mut recorder = lock(&self.open);
            let now = if is_last { u64::MAX } else { clock::now() };
            let oldest_open = recorder.open.keys().next().copied().filter(|_| !is_last).unwrap_or(now);
            Batch { complete_until: now, oldest_open, settled: 0, calls: std::mem::take(&mut recorder.ended) }
        };
        // What has failed was owed before its call returned, so it is asked for after the calls
        // were taken; and the clock is read after the answer.
        if !self.cache.health().owes_invalidations {
            batch.settled = clock::now();
        }
        let mut body = Vec::new();
        batch.encode(&mut body);
        let mut outgoing = lock(&self.outgoing);
        if let Some(counters) = counters {
            wire::push(&mut outgoing, Frame::Counters, counters.as_bytes());
        }
        wire::push(&mut outgoing, Frame::Calls, &body);
        self.has_outgoing.notify_one();
    }

    async fn send(&self, mut writer: OwnedWriteHalf) {
        loop {
            let bytes = std::mem::take(&mut *lock(&self.outgoing));
            if bytes.is_empty() {
                self.has_outgoing.notified().await;
            } else if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    async fn receive(&self, reader: OwnedReadHalf) {
        let (mut reader, mut body) = (BufReader::new(reader), Vec::new());
        loop {
            match wire::next(&mut reader, &mut body).await {
                Ok(Frame::Answer) => {
                    let numbers = wire::number(&body).zip(body.get(8..).and_then(wire::number));
                    let (question, version) = numbers.expect("an answer has two numbers");
                    // An error is a call that was dropped.
                    _ = lock(&self.questions).remove(&question).map(|asker| asker.send(version));
                }
                Ok(Frame::Start) => _ = self.phase.send_replace(Phase::Runs),
                Ok(Frame::Rest) => _ = self.phase.send_replace(Phase::Rests),
                Ok(Frame::Drop) => self.drops_calls.store(body == [1], Ordering::Relaxed),
                Ok(_) => _ = self.phase.send_replace(Phase::Ends),
                Err(_) => return,
            }
        }
    }
}

impl OpenCall<'_> {
    /// The call has ended with this. `record` is given its end.
    pub(crate) fn end(self, record: impl FnOnce(u64) -> Call) {
        let mut recorder = lock(&self.link.open);
        let call = record(clock::now());
        recorder.ended.push(call);
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let mut recorder = lock(&self.link.open);
        if let Some(count) = recorder.open.get_mut(&self.start) {
            *count -= 1;
            if *count == 0 {
                recorder.open.remove(&self.start);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

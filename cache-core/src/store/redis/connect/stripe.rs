//! One connection as its callers see it: open, on its way, or down.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Invocation};
use super::fault::Fault;
use super::primary::Primary;
use super::shared::Shared;
use crate::clock;
use crate::config::{SUPERVISOR_SLACK, UNANSWERED_CALLS_MAX};
use crate::store::redis::resp::Reply;
use crate::store::{Voucher, Watches};

/// One connection, with the task that keeps it.
pub(super) struct Stripe {
    pub(super) index: usize,
    /// Whether it carries reads of which copies are kept, and nothing else.
    pub(super) keeps_copies: bool,
    /// Told when copies need the answer to a new question.
    pub(super) doubts: Notify,
    pub(super) shared: Arc<Shared>,
    link: watch::Sender<Link>,
    task: Mutex<Option<AbortHandle>>,
    /// Counts replies, so that a busy connection need not be asked whether it lives.
    replies: AtomicU64,
    /// Calls without an answer since the last reply. While this is not zero, `silent_since` is
    /// set.
    unanswered: AtomicU32,
    silent_since: Mutex<Option<Instant>>,
    /// Calls that wait for a push on this connection.
    pub(super) watches: Watches,
}

struct Link {
    /// The number of the supervisor that keeps this link. A supervisor that was replaced may not
    /// change the link any more.
    run: u64,
    state: LinkState,
    /// When the supervisor counts as dead if the link has not changed by then.
    overdue_at: Option<Instant>,
}

impl Link {
    fn standing(&self, started: Instant) -> Option<LiveConnection> {
        let LinkState::Live(connection, primary) = &self.state else { return None };
        let doubted = (!primary.is_trusted(started)).then(|| primary.clone());
        Some(LiveConnection { run: self.run, connection: connection.clone(), doubted })
    }
}

#[derive(Clone)]
pub(super) enum LinkState {
    /// Never used, or the supervisor's runtime has ended.
    Idle,
    /// No attempt has failed yet: worth waiting for.
    Connecting,
    Live(Arc<Connection>, Arc<Primary>),
    Down(Fault),
}

/// An open connection, as one call takes it.
pub(super) struct LiveConnection {
    /// The number of the supervisor that keeps the connection.
    run: u64,
    connection: Arc<Connection>,
    /// A primary whose word is too old: it must be asked again before its reply counts.
    doubted: Option<Arc<Primary>>,
}

impl LiveConnection {
    /// What vouches for copies of what is read on it.
    pub(super) fn voucher(&self) -> Option<Arc<Voucher>> {
        self.connection.voucher.clone()
    }

    async fn send(&mut self, invocation: &Invocation<'_>, deadline: Instant) -> Result<Reply, Fault> {
        match self.doubted.take() {
            None => self.connection.send(invocation, Some(deadline)).await,
            // Boxed, because it is rare and would double the size of each call's future.
            Some(primary) => Box::pin(self.send_in_doubt(&primary, invocation, deadline)).await,
        }
    }

    /// Sends the question and the command at once, in one round trip. Their order at the server
    /// does not matter: a server that is a primary after the question was sent has been one for
    /// long enough.
    async fn send_in_doubt(
        &self,
        primary: &Primary,
        invocation: &Invocation<'_>,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let (said, outcome) = tokio::join!(
            primary.ask(&self.connection, Some(deadline)),
            self.connection.send(invocation, Some(deadline))
        );
        said.and(outcome)
    }
}

impl Stripe {
    pub(super) fn new(index: usize, keeps_copies: bool, shared: Arc<Shared>) -> Self {
        Self {
            index,
            keeps_copies,
            doubts: Notify::new(),
            shared,
            link: watch::Sender::new(Link { run: 0, state: LinkState::Idle, overdue_at: None }),
            task: Mutex::new(None),
            replies: AtomicU64::new(0),
            unanswered: AtomicU32::new(0),
            silent_since: Mutex::new(None),
            watches: Watches::default(),
        }
    }

    /// Sends one command of a call that began at `started`, on `standing` if the caller has it.
    /// Waits for a connection and for the reply until `deadline`.
    pub(super) async fn call(
        self: &Arc<Self>,
        invocation: &Invocation<'_>,
        mut standing: Option<LiveConnection>,
        started: Instant,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let mut may_repeat = true;
        loop {
            let standing = match standing.take().or_else(|| self.standing(started)) {
                Some(standing) => standing,
                None => timeout_at(deadline, self.connection(started)).await.unwrap_or_else(|_| {
                    Err(Fault::unavailable("no connection to Redis within the operation deadline"))
                })?,
            };
            let run = standing.run;
            match self.call_once(invocation, standing, deadline).await {
                // The connection was given up because other calls had no answer, or it ended with
                // its runtime. That is no fault of the server, and a command may be sent twice.
                Err(fault) if fault.connection_lost && may_repeat && self.was_orphaned(run) => may_repeat = false,
                outcome => return outcome,
            }
        }
    }

    /// Sends one command on this very connection.
    pub(super) async fn call_once(
        self: &Arc<Self>,
        invocation: &Invocation<'_>,
        mut standing: LiveConnection,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let outcome = standing.send(invocation, deadline).await;
        match &outcome {
            Err(fault) if fault.is_timeout() => self.note_unanswered(standing.run),
            Err(fault) => {
                if fault.wants_another_server {
                    self.abandon(standing.run);
                }
                if !fault.connection_lost {
                    self.note_reply();
                }
            }
            Ok(_) => self.note_reply(),
        }
        outcome
    }

    /// Waits for the end of the first attempt, if one is under way.
    pub(super) async fn settled(self: &Arc<Self>) -> Result<(), Fault> {
        self.connection(clock::now()).await.map(drop)
    }

    /// Waits for the outcome of the next attempt to connect.
    pub(super) async fn news(&self) {
        let mut link = self.link.subscribe();
        let next_try = link.borrow_and_update().overdue_at;
        wait_for_change(&mut link, next_try).await;
    }

    pub(super) fn start_if_idle(self: &Arc<Self>) -> Result<(), Fault> {
        let idle_run = {
            let link = self.link.borrow();
            matches!(link.state, LinkState::Idle).then_some(link.run)
        };
        idle_run.map_or(Ok(()), |run| self.start(run))
    }

    pub(super) fn stop(&self) {
        if let Some(task) = self.lock_task().take() {
            task.abort();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.link.borrow().state, LinkState::Idle)
    }

    pub(super) fn was_started(&self) -> bool {
        self.link.borrow().run > 0
    }

    /// Whether the last attempt to connect failed.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.link.borrow().state, LinkState::Down(_))
    }

    pub(super) fn vouches(&self) -> bool {
        let standing = self.standing(clock::now());
        standing.and_then(|standing| standing.voucher()).is_some_and(|voucher| voucher.vouches_now())
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.link.borrow().state, LinkState::Live(..))
    }

    /// The connection, if it is open, for a call that began at `started`.
    pub(super) fn standing(&self, started: Instant) -> Option<LiveConnection> {
        self.link.borrow().standing(started)
    }

    /// The connection, or why there is none. Waits only while the first attempt is under way.
    async fn connection(self: &Arc<Self>, started: Instant) -> Result<LiveConnection, Fault> {
        enum Next {
            Start { replaced: u64 },
            Wait { until: Option<Instant> },
        }
        let mut link = self.link.subscribe();
        let mut starts = 0;
        loop {
            let next = {
                let seen = link.borrow_and_update();
                let overdue = seen.overdue_at.is_some_and(|overdue_at| overdue_at <= clock::now());
                if let Some(standing) = seen.standing(started) {
                    return Ok(standing);
                }
                match &seen.state {
                    LinkState::Down(fault) if !overdue => return Err(fault.clone()),
                    LinkState::Connecting if !overdue => Next::Wait { until: seen.overdue_at },
                    _ => Next::Start { replaced: seen.run },
                }
            };
            match next {
                // The supervisor ends as soon as it starts: its runtime is shutting down, or has no
                // I/O.
                Next::Start { .. } if starts == 2 => return Err(Fault::unavailable("the connection's task ended")),
                Next::Start { replaced } => {
                    starts += 1;
                    self.start(replaced)?;
                }
                Next::Wait { until } => wait_for_change(&mut link, until).await,
            }
        }
    }

    /// Lets `spawn` begin a supervisor in place of the one with the number `replaced`, unless
    /// another call has done so.
    pub(super) fn take_over(self: &Arc<Self>, replaced: u64, spawn: impl FnOnce(Tenure) -> AbortHandle) {
        let mut task = self.lock_task();
        if self.link.borrow().run != replaced {
            return;
        }
        if let Some(old) = task.take() {
            old.abort();
        }
        let run = replaced + 1;
        let overdue_at = Some(clock::now() + self.shared.connect_timeout + SUPERVISOR_SLACK);
        self.link.send_replace(Link { run, state: LinkState::Connecting, overdue_at });
        *task = Some(spawn(Tenure { stripe: self.clone(), run }));
    }

    /// Gives up a connection with its supervisor, and has another connection made at once: there
    /// may be no next call to ask for it. The supervisor is not asked to do this, for it may be
    /// stuck behind a task that blocks its thread.
    fn abandon(self: &Arc<Self>, run: u64) {
        // An error means that there is no runtime here for another supervisor. Then the connection
        // stays with the one it has.
        let _ = self.start(run);
    }

    fn was_orphaned(&self, run: u64) -> bool {
        let link = self.link.borrow();
        link.run != run || matches!(link.state, LinkState::Idle)
    }

    pub(super) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    fn note_reply(&self) {
        self.replies.fetch_add(1, Ordering::Relaxed);
        if self.unanswered.load(Ordering::Relaxed) != 0 {
            self.forget_silence();
        }
    }

    fn forget_silence(&self) {
        let mut silent_since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        *silent_since = None;
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Notes a call without an answer. Many calls that time out at once are only one slow moment of
    /// the server. So the connection is given up after [`UNANSWERED_CALLS_MAX`] such calls only if
    /// the silence has also lasted for as many deadlines.
    fn note_unanswered(self: &Arc<Self>, run: u64) {
        let now = clock::now();
        let mut silent_since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *silent_since.get_or_insert(now);
        let unanswered = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
        drop(silent_since);
        let patience = self.shared.operation_deadline * (UNANSWERED_CALLS_MAX - 1);
        if unanswered >= UNANSWERED_CALLS_MAX && now.duration_since(since) >= patience {
            tracing::warn!(stripe = self.index, unanswered, "Redis connection given up: calls remain unanswered");
            self.forget_silence();
            self.abandon(run);
        }
    }

    fn lock_task(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a change of the link, until `until` at the latest. The sender cannot be gone: it is
/// the stripe's own.
async fn wait_for_change(link: &mut watch::Receiver<Link>, until: Option<Instant>) {
    let changed = async { drop(link.changed().await) };
    match until {
        Some(until) => drop(timeout_at(until, changed).await),
        None => changed.await,
    }
}

/// A supervisor's right to publish the state of its connection. It is dropped with the supervisor,
/// also where a runtime ends. That leaves the stripe idle, so that the next call starts another
/// supervisor.
pub(super) struct Tenure {
    stripe: Arc<Stripe>,
    run: u64,
}

impl Tenure {
    /// Publishes the state of the connection. `due_in`: how soon the next change is expected at the
    /// latest. `false`: another supervisor has taken over.
    pub(super) fn publish(&self, state: LinkState, due_in: Option<Duration>) -> bool {
        let overdue_at = due_in.map(|due_in| clock::now() + due_in + SUPERVISOR_SLACK);
        match state {
            LinkState::Live(..) => self.stripe.forget_silence(),
            // The server forgets what was tracked on a connection when the connection ends.
            _ => self.stripe.watches.wake_all(),
        }
        self.stripe.link.send_if_modified(|link| {
            let ours = link.run == self.run;
            if ours {
                *link = Link { run: self.run, state, overdue_at };
            }
            ours
        })
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.publish(LinkState::Idle, None);
    }
}

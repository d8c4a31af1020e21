//! The connections of one tokio runtime.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::runtime::{Handle, Id};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;
use super::shared::Shared;
use super::stripe::Stripe;
use crate::clock::timers;
use crate::config::{LARGE_CALLS_MAX, RUNTIMES_MAX};

/// A fixed number of connections, kept by tasks of one runtime and used by the calls that this
/// runtime polls.
pub(super) struct Stripes {
    pub(super) each: Box<[Arc<Stripe>]>,
    /// For large values: replies come in order, and a small one would wait behind a large one.
    /// Opened when it is first used.
    large: Arc<Stripe>,
    large_turns: Semaphore,
    /// For reads of which copies are kept. Opened when it is first used.
    pub(super) copies: Arc<Stripe>,
}

impl Stripes {
    fn new(connections: usize, shared: &Arc<Shared>) -> Self {
        let stripe = |index| Arc::new(Stripe::new(index, false, shared.clone()));
        Self {
            each: (0..connections).map(stripe).collect(),
            large: stripe(connections),
            large_turns: Semaphore::new(LARGE_CALLS_MAX),
            copies: Arc::new(Stripe::new(connections + 1, true, shared.clone())),
        }
    }

    pub(super) fn of(&self, key: StripeKey) -> &Arc<Stripe> {
        match key.lane {
            Some(hash) => &self.each[(hash % self.each.len() as u64) as usize],
            None => &self.large,
        }
    }

    /// Waits for the call's turn. A server that is asked for many large values at once does nothing
    /// else until it has copied them all.
    pub(super) async fn turn(&self, key: StripeKey, until: Instant) -> Result<Option<SemaphorePermit<'_>>, Fault> {
        if !key.is_large() {
            return Ok(None);
        }
        match timeout_at(until, self.large_turns.acquire()).await {
            Ok(turn) => Ok(turn.ok()),
            Err(_) => Err(Fault::unavailable("too many large values are asked for at once")),
        }
    }

    #[cfg(test)]
    pub(super) fn large_turns_taken(&self) -> usize {
        LARGE_CALLS_MAX - self.large_turns.available_permits()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Stripe>> {
        self.each.iter().chain([&self.large, &self.copies])
    }

    /// An open connection, in place of one whose last attempt failed; else the connection itself.
    pub(super) fn in_place_of<'a>(&'a self, stripe: &'a Arc<Stripe>) -> &'a Arc<Stripe> {
        let mut others = self.each.iter().filter(|_| stripe.is_down());
        others.find(|other| other.is_live()).unwrap_or(stripe)
    }

    /// Whether the tasks were started and are gone: their runtime has ended.
    fn has_ended(&self) -> bool {
        self.all().all(|stripe| stripe.is_idle()) && self.all().any(|stripe| stripe.was_started())
    }
}

/// Tells which connection serves a call: the one to the node of a partition, and of the connections
/// there the one with a number, or `None`, the one for large values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StripeKey {
    partition: u16,
    lane: Option<u64>,
}

impl StripeKey {
    pub(crate) const LARGE: Self = Self { partition: 0, lane: None };

    pub(crate) fn new(key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self { partition: 0, lane: Some(hasher.finish()) }
    }

    /// The same in a partition other than the first.
    pub(crate) fn of_partition(self, partition: u16) -> Self {
        Self { partition, ..self }
    }

    pub(super) fn partition(self) -> u16 {
        self.partition
    }

    fn is_large(self) -> bool {
        self.lane.is_none()
    }
}

/// The connections of each runtime that the pool is used from.
///
/// A runtime drives sockets and timers only while somebody polls it. Connections shared by several
/// runtimes would stand still with the runtime that opened them, and end with it. The connections
/// of a call's own runtime are driven whenever the call is.
pub(super) struct Runtimes {
    connections: usize,
    /// The connections of the first runtime, which is the only one in most processes. Its calls
    /// find them without a lock.
    first: OnceLock<(Id, Stripes)>,
    others: RwLock<Vec<ByRuntime>>,
}

struct ByRuntime {
    runtime: Id,
    /// The connections, or the reason why there can be none.
    stripes: Result<Arc<Stripes>, Fault>,
}

/// The connections of the caller's runtime.
pub(super) enum Here<'a> {
    First(&'a Stripes),
    Other(Arc<Stripes>),
}

impl Deref for Here<'_> {
    type Target = Stripes;

    fn deref(&self) -> &Stripes {
        match self {
            Self::First(stripes) => stripes,
            Self::Other(stripes) => stripes,
        }
    }
}

impl Runtimes {
    pub(super) fn new(connections: usize) -> Self {
        Self { connections: connections.max(1), first: OnceLock::new(), others: RwLock::default() }
    }

    /// The connections of the runtime that polls the caller.
    pub(super) fn here(&self, shared: &Arc<Shared>) -> Result<Here<'_>, Fault> {
        let runtime = Handle::try_current().map_err(|_| Fault::no_runtime())?.id();
        if let Some(first) = self.first(runtime) {
            return Ok(Here::First(first));
        }
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.iter().find(|known| known.runtime == runtime) {
            return known.stripes.clone().map(Here::Other);
        }
        drop(others);
        self.add(runtime, shared)
    }

    fn first(&self, runtime: Id) -> Option<&Stripes> {
        self.first.get().filter(|(first, _)| *first == runtime).map(|(_, stripes)| stripes)
    }

    fn add(&self, runtime: Id, shared: &Arc<Shared>) -> Result<Here<'_>, Fault> {
        let is_fit = drives_connections();
        let stripes = || Stripes::new(self.connections, shared);
        if is_fit.is_ok() {
            self.first.get_or_init(|| (runtime, stripes()));
        }
        if let Some(first) = self.first(runtime) {
            return Ok(Here::First(first));
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.iter().find(|known| known.runtime == runtime) {
            return known.stripes.clone().map(Here::Other);
        }
        others.retain(|known| known.stripes.as_ref().is_ok_and(|stripes| !stripes.has_ended()));
        if others.len() + 1 >= RUNTIMES_MAX {
            return Err(Fault::unavailable(format!("{RUNTIMES_MAX} other tokio runtimes have connections to Redis")));
        }
        let stripes = is_fit.map(|()| Arc::new(stripes()));
        others.push(ByRuntime { runtime, stripes: stripes.clone() });
        stripes.map(Here::Other)
    }

    /// Whether `is` says yes to a connection of any runtime.
    pub(super) fn any(&self, mut is: impl FnMut(&Stripe) -> bool) -> bool {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let others = others.iter().filter_map(|known| known.stripes.as_deref().ok());
        let all = self.first.get().map(|(_, stripes)| stripes).into_iter().chain(others);
        all.flat_map(Stripes::all).any(|stripe| is(stripe))
    }

    pub(super) fn stop(&self) {
        self.any(|stripe| {
            stripe.stop();
            false
        });
    }
}

/// Checks that the runtime that polls the caller has the timers and the I/O that connections need.
/// Without them tokio panics, and there is no other way to ask.
fn drives_connections() -> Result<(), Fault> {
    timers().map_err(|error| Fault::new(error.kind(), error.to_string()))?;
    if catch_unwind(register_a_socket).is_ok() {
        return Ok(());
    }
    tracing::warn!("a tokio runtime has no I/O, and calls on it go past Redis: build it with `enable_all`");
    Err(Fault::config("this tokio runtime has no I/O: build it with `enable_all`"))
}

/// Panics if the runtime has no I/O. That no socket is to be had is no error here.
fn register_a_socket() {
    #[cfg(unix)]
    drop(tokio::net::UnixStream::pair());
    #[cfg(not(unix))]
    if let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0")
        && socket.set_nonblocking(true).is_ok()
    {
        drop(tokio::net::UdpSocket::from_std(socket));
    }
}

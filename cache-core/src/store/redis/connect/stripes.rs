//! The connections of one tokio runtime.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::catch_unwind;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::{Handle, Id};

use super::fault::Fault;
use super::shared::Shared;
use super::stripe::Stripe;
use crate::clock::timers;
use crate::config::RUNTIMES_MAX;

/// A fixed number of connections, kept by tasks of one runtime and used by the calls that it polls.
pub(super) struct Stripes {
    pub(super) each: Box<[Arc<Stripe>]>,
}

impl Stripes {
    fn new(connections: usize, shared: &Arc<Shared>) -> Self {
        Self { each: (0..connections).map(|index| Arc::new(Stripe::new(index, shared.clone()))).collect() }
    }

    pub(super) fn of(&self, key: StripeKey) -> &Arc<Stripe> {
        &self.each[(key.0 % self.each.len() as u64) as usize]
    }

    /// Its tasks were there, and are gone.
    fn has_ended(&self) -> bool {
        self.each.iter().all(|stripe| stripe.is_idle()) && self.each.iter().any(|stripe| stripe.was_started())
    }
}

/// Tells which connection serves a key.
#[derive(Clone, Copy)]
pub(super) struct StripeKey(u64);

impl StripeKey {
    pub(super) fn new(key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The connections of each runtime that the pool is used from.
///
/// A runtime drives sockets and timers only while somebody polls it. Connections that runtimes shared would stand still
/// with the one that opened them, and end with it; those of a call's own runtime are driven whenever the call is.
pub(super) struct Runtimes {
    connections: usize,
    /// Few, and read by every call.
    known: RwLock<Vec<Known>>,
}

struct Known {
    runtime: Id,
    /// Or why there can be none.
    stripes: Result<Arc<Stripes>, Fault>,
}

impl Runtimes {
    pub(super) fn new(connections: usize) -> Self {
        Self { connections: connections.max(1), known: RwLock::default() }
    }

    /// The connections of the runtime that polls the caller.
    pub(super) fn here(&self, shared: &Arc<Shared>) -> Result<Arc<Stripes>, Fault> {
        let runtime = Handle::try_current().map_err(|_| Fault::no_runtime())?.id();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| known.runtime == runtime) {
            return known.stripes.clone();
        }
        drop(known);
        self.add(runtime, shared)
    }

    fn add(&self, runtime: Id, shared: &Arc<Shared>) -> Result<Arc<Stripes>, Fault> {
        let is_fit = drives_connections();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| known.runtime == runtime) {
            return known.stripes.clone();
        }
        known.retain(|known| known.stripes.as_ref().is_ok_and(|stripes| !stripes.has_ended()));
        if known.len() >= RUNTIMES_MAX {
            return Err(Fault::unavailable(format!("{RUNTIMES_MAX} other tokio runtimes have connections to Redis")));
        }
        let stripes = is_fit.map(|()| Arc::new(Stripes::new(self.connections, shared)));
        known.push(Known { runtime, stripes: stripes.clone() });
        stripes
    }

    pub(super) fn any(&self, is: impl Fn(&Stripe) -> bool) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter_map(|known| known.stripes.as_ref().ok())
            .flat_map(|stripes| &stripes.each)
            .any(|stripe| is(stripe))
    }

    pub(super) fn stop(&self) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter_map(|known| known.stripes.as_ref().ok())
            .flat_map(|stripes| &stripes.each)
            .for_each(|stripe| stripe.stop());
    }

    pub(super) fn connections(&self) -> usize {
        self.connections
    }
}

/// Whether the runtime that polls the caller has the timers and the I/O that connections need. tokio panics without them,
/// and has no other way to be asked.
fn drives_connections() -> Result<(), Fault> {
    timers().map_err(|error| Fault::new(error.kind(), error.to_string()))?;
    if catch_unwind(register_a_socket).is_ok() {
        return Ok(());
    }
    tracing::warn!("a tokio runtime has no I/O, and calls on it go past Redis: build it with `enable_all`");
    Err(Fault::config("this tokio runtime has no I/O: build it with `enable_all`"))
}

/// An error (no socket is to be had) is not for now.
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

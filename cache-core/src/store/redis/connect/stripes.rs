//! The connections of one tokio runtime.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::{self, Handle};

use super::fault::Fault;
use super::shared::Shared;
use super::stripe::Stripe;
use crate::config::RUNTIMES_MAX;

/// A fixed number of connections, kept by tasks of one runtime and used by the calls that it polls.
pub(super) struct Stripes {
    runtime: runtime::Id,
    pub(super) each: Box<[Arc<Stripe>]>,
}

impl Stripes {
    fn new(runtime: runtime::Id, connections: usize, shared: &Arc<Shared>) -> Self {
        Self { runtime, each: (0..connections).map(|index| Arc::new(Stripe::new(index, shared.clone()))).collect() }
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
    known: RwLock<Vec<Arc<Stripes>>>,
}

impl Runtimes {
    pub(super) fn new(connections: usize) -> Self {
        Self { connections: connections.max(1), known: RwLock::default() }
    }

    /// The connections of the runtime that polls the caller.
    pub(super) fn here(&self, shared: &Arc<Shared>) -> Result<Arc<Stripes>, Fault> {
        let runtime = Handle::try_current().map_err(|_| Fault::no_runtime())?.id();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(stripes) = known.iter().find(|stripes| stripes.runtime == runtime) {
            return Ok(stripes.clone());
        }
        drop(known);
        self.add(runtime, shared)
    }

    fn add(&self, runtime: runtime::Id, shared: &Arc<Shared>) -> Result<Arc<Stripes>, Fault> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(stripes) = known.iter().find(|stripes| stripes.runtime == runtime) {
            return Ok(stripes.clone());
        }
        known.retain(|stripes| !stripes.has_ended());
        if known.len() >= RUNTIMES_MAX {
            return Err(Fault::unavailable(format!("{RUNTIMES_MAX} other tokio runtimes have connections to Redis")));
        }
        let stripes = Arc::new(Stripes::new(runtime, self.connections, shared));
        known.push(stripes.clone());
        Ok(stripes)
    }

    pub(super) fn any(&self, is: impl Fn(&Stripe) -> bool) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().flat_map(|stripes| &stripes.each).any(|stripe| is(stripe))
    }

    pub(super) fn stop(&self) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().flat_map(|stripes| &stripes.each).for_each(|stripe| stripe.stop());
    }

    pub(super) fn connections(&self) -> usize {
        self.connections
    }
}

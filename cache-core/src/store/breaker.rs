//! When to stop asking a store that does not answer.
//!
//! This module knows nothing of Redis, does no I/O and reads no clock: its callers say what
//! happened and when.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::config::{BREAKER_PROBE_DELAY_MAX, BREAKER_PROBE_DELAY_MIN, BREAKER_PROBE_LEASE};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, cache_loom))]
mod interleavings;

/// A circuit breaker: closed, open, half-open.
///
/// While it is closed, every call is admitted. After `failures_max` consecutive failures it opens:
/// calls are refused at once. After a delay (exponential with jitter) one call is admitted as a
/// probe. If the probe succeeds, the breaker closes; if it fails, the breaker opens again for
/// longer. Outcomes of calls that were admitted before the last change of state are too old to
/// count.
///
/// # Cost
/// Closed: one atomic load to admit, one to report a success. Open: one uncontended lock, no I/O.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    /// The number of the closed period, counted from 1; 0 while the breaker is not closed. A call
    /// reports its outcome to the closed period that admitted it, and to no other.
    closed_period: AtomicU64,
    consecutive_failures: AtomicU32,
    phase: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    backoff: Backoff,
    closings: u64,
    probes: u64,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open { probe_at: Instant },
    // The lease ends, so that a probe that is neither polled nor dropped blocks the next one only
    // for a while.
    HalfOpen { probe: u64, lease_ends: Instant },
}

/// The breaker is open: the call must not ask the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenBreaker;

/// One admitted call. If it is dropped without an outcome (the caller went away), it counts as
/// nothing.
#[derive(Debug)]
#[must_use = "an outcome that is not reported is lost"]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    role: PermitKind,
    reported: bool,
}

#[derive(Clone, Copy, Debug)]
enum PermitKind {
    Call { closed_period: u64 },
    Probe { probe: u64, admitted_at: Instant },
}

impl Breaker {
    /// Opens after `failures_max` consecutive failures (at least one).
    pub(crate) fn new(failures_max: u32) -> Self {
        Self {
            failures_max: failures_max.max(1),
            closed_period: AtomicU64::new(1),
            consecutive_failures: AtomicU32::new(0),
            phase: Mutex::new(Inner {
                phase: Phase::Closed,
                backoff: Backoff::new(BREAKER_PROBE_DELAY_MIN, BREAKER_PROBE_DELAY_MAX),
                closings: 1,
                probes: 0,
            }),
        }
    }

    /// Admits a call, or refuses it.
    pub(crate) fn admit(&self, now: Instant) -> Result<Permit<'_>, OpenBreaker> {
        let closed_period = self.closed_period.load(Ordering::Acquire);
        if closed_period != 0 {
            return Ok(self.permit(PermitKind::Call { closed_period }));
        }
        let mut inner = self.lock();
        let free_at = match inner.phase {
            // The breaker was closed between the load and the lock.
            Phase::Closed => return Ok(self.permit(PermitKind::Call { closed_period: inner.closings })),
            Phase::Open { probe_at } => probe_at,
            Phase::HalfOpen { lease_ends, .. } => lease_ends,
        };
        if now < free_at {
            return Err(OpenBreaker);
        }
        inner.probes += 1;
        let probe = inner.probes;
        inner.phase = Phase::HalfOpen { probe, lease_ends: now + BREAKER_PROBE_LEASE };
        tracing::debug!("cache breaker half-open: one call tries the store");
        Ok(self.permit(PermitKind::Probe { probe, admitted_at: now }))
    }

    /// Notes a sign that the store is back (a connection was made): the next call may try at once.
    pub(crate) fn probe_soon(&self, now: Instant) {
        if self.closed_period.load(Ordering::Acquire) != 0 {
            return;
        }
        if let Phase::Open { probe_at } = &mut self.lock().phase {
            *probe_at = now.min(*probe_at);
        }
    }

    /// Notes an answer of the store to a question that was asked without a permit.
    pub(crate) fn answered(&self) {
        if self.is_open() {
            self.close(&mut self.lock());
        }
    }

    /// Whether calls are refused, probes aside.
    pub(crate) fn is_open(&self) -> bool {
        self.closed_period.load(Ordering::Acquire) == 0
    }

    /// Whether a call would be refused. One that may be the probe would not.
    pub(crate) fn refuses(&self, now: Instant) -> bool {
        match self.lock().phase {
            Phase::Closed => false,
            Phase::Open { probe_at: free_at } | Phase::HalfOpen { lease_ends: free_at, .. } => now < free_at,
        }
    }

    fn permit(&self, role: PermitKind) -> Permit<'_> {
        Permit { breaker: self, role, reported: false }
    }

    fn call_succeeded(&self, closed_period: u64) {
        if self.consecutive_failures.load(Ordering::Relaxed) != 0
            && self.closed_period.load(Ordering::Acquire) == closed_period
        {
            self.consecutive_failures.store(0, Ordering::Relaxed);
        }
    }

    fn call_failed(&self, closed_period: u64, now: Instant) {
        let mut inner = self.lock();
        if self.closed_period.load(Ordering::Acquire) != closed_period {
            return;
        }
        let failures = self.consecutive_failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < self.failures_max {
            return;
        }
        self.closed_period.store(0, Ordering::Release);
        inner.backoff.reset();
        inner.phase = Phase::Open { probe_at: now + inner.backoff.next_delay() };
        tracing::warn!(failures, "cache breaker opened: calls go on without the store");
    }

    fn probe_succeeded(&self, probe: u64) {
        let mut inner = self.lock();
        if inner.phase.is_probing(probe) {
            self.close(&mut inner);
        }
    }

    fn close(&self, inner: &mut Inner) {
        if matches!(inner.phase, Phase::Closed) {
            return;
        }
        inner.phase = Phase::Closed;
        inner.closings += 1;
        self.consecutive_failures.store(0, Ordering::Relaxed);
        self.closed_period.store(inner.closings, Ordering::Release);
        tracing::info!("cache breaker closed: the store answers again");
    }

    fn probe_failed(&self, probe: u64, now: Instant) {
        let mut inner = self.lock();
        if !inner.phase.is_probing(probe) {
            return;
        }
        let delay = inner.backoff.next_delay();
        inner.phase = Phase::Open { probe_at: now + delay };
        tracing::debug!(?delay, "cache breaker open again: the store still does not answer");
    }

    fn probe_abandoned(&self, probe: u64, admitted_at: Instant) {
        let mut inner = self.lock();
        if inner.phase.is_probing(probe) {
            inner.phase = Phase::Open { probe_at: admitted_at };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a single assignment, so a panicking thread leaves a whole phase behind.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    fn is_probing(&self, id: u64) -> bool {
        matches!(self, Phase::HalfOpen { probe, .. } if *probe == id)
    }
}

impl Permit<'_> {
    /// Reports that the store answered, if only with an error.
    pub(crate) fn succeeded(mut self) {
        self.reported = true;
        match self.role {
            PermitKind::Call { closed_period } => self.breaker.call_succeeded(closed_period),
            PermitKind::Probe { probe, .. } => self.breaker.probe_succeeded(probe),
        }
    }

    /// Reports that the store could not be reached or did not answer.
    pub(crate) fn failed(mut self, now: Instant) {
        self.reported = true;
        match self.role {
            PermitKind::Call { closed_period } => self.breaker.call_failed(closed_period, now),
            PermitKind::Probe { probe, .. } => self.breaker.probe_failed(probe, now),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let PermitKind::Probe { probe, admitted_at } = self.role
            && !self.reported
        {
            self.breaker.probe_abandoned(probe, admitted_at);
        }
    }
}

#[cfg(test)]
mod tests;

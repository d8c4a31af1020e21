//! Connections to one server: the only one, the primary of a set of sentinels, or a node of a
//! cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Invocation;
use super::fault::Fault;
use super::primary::Hello;
use super::shared::Shared;
use super::stripe::Stripe;
use super::stripes::{Runtimes, StripeKey};
use crate::clock;
use crate::config::{RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};
use crate::error::ErrorKind;
use crate::store::backoff::Backoff;
use crate::store::breaker::Permit;
use crate::store::redis::resp::{Command, Reply};
use crate::store::{Voucher, Watch};

/// A fixed number of multiplexed connections to one primary for each tokio runtime that calls come
/// from, one more for large values, and one for reads of which copies are kept. A key always uses
/// the same one of them.
///
/// A connection is opened when a call of its runtime needs it, is kept by a task of that runtime,
/// and ends with the runtime. Dropping the pool closes all connections.
///
/// # Cost
/// A call is one round trip (two if the server lost a script), and no task of its own.
pub(super) struct NodePool {
    pub(super) runtimes: Runtimes,
    pub(super) shared: Arc<Shared>,
}

impl NodePool {
    /// Does no I/O and needs no runtime: the server may be absent.
    pub(super) fn new(shared: Shared, connections: usize) -> Self {
        Self { runtimes: Runtimes::new(connections), shared: Arc::new(shared) }
    }

    /// Sends one command on the connection of `key`.
    pub(super) async fn call(
        &self,
        key: StripeKey,
        invocation: &Invocation<'_>,
        until: Instant,
    ) -> Result<Reply, Fault> {
        let stripes = self.runtimes.here(&self.shared)?;
        // Before the permit: a call that waits for others says nothing about the server.
        let _turn = stripes.turn(key, until).await?;
        let started = clock::now();
        let permit = self.admit(started)?;
        let own = stripes.of(key);
        let standing = own.standing(started);
        // If the server has too few connections to give (`maxclients`), a key's call may use
        // another connection. A tracked call may not: its pushes come on the key's own connection.
        let stripe = match standing {
            None if !invocation.is_tracked() => stripes.in_place_of(own),
            _ => own,
        };
        let outcome = stripe.call(invocation, standing, started, until).await;
        self.settle(permit, &outcome, started, until);
        outcome
    }

    /// See [`Pool::register`](super::Pool::register).
    pub(super) fn register(&self, key: StripeKey, value: &str, lease: &str) -> Option<Watch> {
        let stripes = self.runtimes.here(&self.shared).ok()?;
        stripes.of(key).watches.register(value, lease)
    }

    /// See [`Pool::read_to_copy`](super::Pool::read_to_copy).
    pub(super) async fn read_to_copy(
        &self,
        key: StripeKey,
        command: Command,
        until: Instant,
    ) -> Result<(Reply, Option<Arc<Voucher>>), Fault> {
        let stripes = self.runtimes.here(&self.shared)?;
        let (copies, started) = (&stripes.copies, clock::now());
        // Without a task for it there is no connection for copies, and the call does without.
        let _ = copies.start_if_idle();
        let vouched = copies.standing(started).and_then(|standing| Some((standing.voucher()?, standing)));
        let invocation = Invocation::command(command);
        let Some((voucher, standing)) = vouched.filter(|(voucher, _)| voucher.vouches_now()) else {
            return Ok((self.call(key, &invocation, until).await?, None));
        };
        let permit = self.admit(started)?;
        let outcome = copies.call_once(&invocation, standing, until).await;
        self.settle(permit, &outcome, started, until);
        Ok((outcome?, Some(voucher)))
    }

    /// See [`Pool::confirm_copies`](super::Pool::confirm_copies).
    pub(super) fn confirm_copies(&self) {
        self.runtimes.any(|stripe| {
            stripe.doubts.notify_one();
            false
        });
    }

    /// See [`Pool::lacks_vouchers`](super::Pool::lacks_vouchers).
    pub(super) fn lacks_vouchers(&self) -> bool {
        self.runtimes.any(|stripe| stripe.keeps_copies && stripe.was_started() && !stripe.vouches())
    }

    /// See [`Pool::ready`](super::Pool::ready).
    pub(super) async fn ready(&self, timeout: Duration) -> Result<(), Fault> {
        // First: a runtime without timers is told as such.
        self.runtimes.here(&self.shared)?;
        let mut failed = None;
        match tokio::time::timeout(timeout, self.answered(&mut failed)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::not_ready(timeout, failed)),
        }
    }

    /// Tries until the server answers. The reason of the last failure is left in `failed`.
    pub(super) async fn answered(&self, failed: &mut Option<Fault>) -> Result<(), Fault> {
        let stripes = self.runtimes.here(&self.shared)?;
        for stripe in &stripes.each {
            stripe.start_if_idle()?;
        }
        let question = Hello::question();
        let mut backoff = Backoff::new(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
        loop {
            let mut standing = None;
            for stripe in &stripes.each {
                match stripe.settled().await {
                    Ok(()) => standing = standing.or(Some(stripe)),
                    Err(fault) if fault.kind == ErrorKind::Config || stripe.is_idle() => return Err(fault),
                    Err(fault) => *failed = Some(fault),
                }
            }
            let Some(stripe) = standing else {
                stripes.each[0].news().await;
                continue;
            };
            // Asks without a permit of the breaker: the answer is to tell whether an open breaker
            // may be closed.
            let now = clock::now();
            match stripe.call(&question, None, now, now + self.shared.operation_deadline).await {
                Ok(reply) if Hello::parse(&reply)?.is_replica => *failed = Some(Fault::replica()),
                Err(fault) if fault.is_failure_of_the_store() => *failed = Some(fault),
                _ => match self.served(stripe).await {
                    Err(fault) => *failed = Some(fault.in_cluster()),
                    Ok(()) => {
                        self.shared.breaker.answered();
                        return Ok(());
                    }
                },
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Whether a node of a cluster serves its slots.
    async fn served(&self, stripe: &Arc<Stripe>) -> Result<(), Fault> {
        for probe in self.shared.probes() {
            let now = clock::now();
            match stripe.call(&probe, None, now, now + self.shared.operation_deadline).await {
                Err(fault) if !fault.is_of_a_move() => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// See [`Pool::is_connected`](super::Pool::is_connected).
    pub(super) fn is_connected(&self) -> bool {
        let Ok(stripes) = self.runtimes.here(&self.shared) else { return self.runtimes.any(Stripe::is_live) };
        for stripe in &stripes.each {
            let _ = stripe.start_if_idle();
        }
        stripes.each.iter().any(|stripe| stripe.is_live())
    }

    /// How many connections are open, of every runtime.
    pub(super) fn standing(&self) -> u64 {
        let mut standing = 0;
        self.runtimes.any(|stripe| {
            standing += u64::from(stripe.is_live());
            false
        });
        standing
    }

    /// Whether the breaker would refuse a call now.
    pub(super) fn refuses(&self) -> bool {
        self.shared.breaker.is_open() && self.shared.breaker.refuses(clock::now())
    }

    fn admit(&self, started: Instant) -> Result<Permit<'_>, Fault> {
        let refused = |_| Fault::unavailable("Redis failed repeatedly and is not asked for now");
        self.shared.breaker.admit(started).map_err(refused)
    }

    /// Reports the outcome of a call to the breaker.
    fn settle(&self, permit: Permit<'_>, outcome: &Result<Reply, Fault>, started: Instant, until: Instant) {
        match outcome {
            // The call had little time left, so the server had little time to answer. That says
            // nothing about the server.
            Err(fault) if fault.is_timeout() && until < started + self.shared.operation_deadline / 2 => drop(permit),
            Err(fault) if fault.counts_against_the_server() => permit.failed(clock::now()),
            _ => permit.succeeded(),
        }
    }
}

impl Drop for NodePool {
    fn drop(&mut self) {
        self.runtimes.stop();
    }
}

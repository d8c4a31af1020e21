//! Connections to one Redis primary: opened, watched and replaced in the background; used through
//! [`Pool`].
//!
//! Every connection is multiplexed and belongs to a supervisor task: connect, handshake, publish,
//! watch, replace. A call takes the connection of its key, never waits longer than the operation
//! deadline, and fails at once while that connection is known to be down or the breaker is open.
//!
//! This module knows nothing of keys, entries and what scripts do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ToRedisArgs, Value};
use tokio::time::{Instant, sleep};

use self::backoff::Backoff;
use super::scripts::Script;
use crate::clock;
use crate::config::{Config, RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};
use crate::error::{Error, ErrorKind};
use crate::store::Watch;

mod backoff;
mod breaker;
mod connection;
mod dial;
mod fault;
mod handshake;
mod primary;
mod shared;
mod stripe;
mod stripes;
mod supervisor;
mod url;

#[cfg(test)]
mod tests;

pub(crate) use connection::Connection;
pub(crate) use fault::reply_code;

use connection::Invocation;
use dial::Dial;
use fault::Fault;
use primary::Hello;
use shared::Shared;
use stripe::Stripe;
use stripes::{Runtimes, StripeKey, Stripes};
use url::Target;

/// Runs on a fresh connection to a primary, before any call may use it. On an error, or at the end
/// of the connect timeout, the connection is discarded and tried again later, with the hook.
pub(crate) type Hook = Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync>;

/// What is to be done on fresh connections.
pub(crate) struct Hooks {
    /// On each, first.
    pub(crate) on_connection: Hook,
    /// If it leads to another primary than the one that this process talked to last. May run more
    /// than once for one primary.
    pub(crate) on_new_primary: Hook,
}

/// A fixed number of multiplexed connections to one primary for each tokio runtime that calls come
/// from; a key always uses the same one of them.
///
/// They are opened when a call of that runtime needs one, kept by tasks there, and end with it.
/// Dropping the pool closes them.
///
/// # Cost
/// A call is one round trip (two if the server lost a script), and no task of its own.
pub(crate) struct Pool {
    runtimes: Runtimes,
    shared: Arc<Shared>,
}

impl Pool {
    /// Does no I/O and needs no runtime: the server may be absent.
    ///
    /// # Errors
    /// A URL that cannot be understood, without repeating it.
    pub(crate) fn new(
        url: &str,
        config: &Config,
        scripts: &'static [&'static Script],
        hooks: Hooks,
    ) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let dial = dial::to(target.address.clone())?;
        Ok(Self::with_dial(target, dial, config, scripts, hooks))
    }

    fn with_dial(
        target: Target,
        dial: Dial,
        config: &Config,
        scripts: &'static [&'static Script],
        hooks: Hooks,
    ) -> Self {
        let shared = Arc::new(Shared::new(target, dial, config, scripts, hooks));
        Self { runtimes: Runtimes::new(config.connections), shared }
    }

    /// Runs a script on the connection of `stripe_key`. `keys` and `args` may be slices, or tuples
    /// of different types.
    ///
    /// # Errors
    /// `Unavailable`: no connection, or the breaker is open; nothing was sent unless the message
    /// says that the connection was lost. `Timeout`: the outcome is unknown. `Limit`: the server is
    /// out of memory. `Config`: credentials, permissions or database. `Protocol`: any other error
    /// reply; [`reply_code`] tells which.
    ///
    /// # Cancel safety
    /// A dropped call leaves its outcome unknown, and counts neither for nor against the server.
    pub(crate) fn run<'a>(
        &'a self,
        script: &'a Script,
        stripe_key: &str,
        keys: impl ToRedisArgs,
        args: impl ToRedisArgs,
        until: Instant,
    ) -> impl Future<Output = Result<Value, Error>> + Send {
        let invocation = Invocation::script(script, &keys, &args);
        let key = StripeKey::new(stripe_key);
        async move { self.call(key, &invocation, until).await }
    }

    /// Sends one command on the connection of `stripe_key`; everything else as for
    /// [`run`](Self::run).
    pub(crate) fn command(
        &self,
        stripe_key: &str,
        command: Cmd,
        until: Instant,
    ) -> impl Future<Output = Result<Value, Error>> + Send {
        let invocation = Invocation::command(command);
        let key = StripeKey::new(stripe_key);
        async move { self.call(key, &invocation, until).await }
    }

    /// A wait for pushes that tell of either name, on the connection of `stripe_key`. They come
    /// once [`track`](Self::track) has read what the names stand for; the loss of the connection
    /// wakes as well. `None`: too many wait already.
    pub(crate) fn register(&self, stripe_key: &str, value: &str, lease: &str) -> Option<Watch> {
        let stripes = self.runtimes.here(&self.shared).ok()?;
        stripes.of(StripeKey::new(stripe_key)).watches.register(value, lease)
    }

    /// As [`command`](Self::command), and has the server push the next change of every key that the
    /// command reads. Fails where pushes are not to be had.
    pub(crate) fn track(
        &self,
        stripe_key: &str,
        command: Cmd,
        until: Instant,
    ) -> impl Future<Output = Result<Value, Error>> + Send {
        let invocation = Invocation::tracked(command);
        let key = StripeKey::new(stripe_key);
        async move { self.call(key, &invocation, until).await }
    }

    /// Waits until a connection of this runtime stands, each other one does or has failed, and the
    /// server answers within the operation deadline.
    ///
    /// # Cost
    /// One round trip, or one for each try: a connection that stands may lead to a server that
    /// answers no more, or is a primary no more.
    ///
    /// # Errors
    /// At once if the server refuses us for good (`Config`: credentials, permissions, database, not
    /// Redis); after `timeout` with the reason of the last failure (`Unavailable`).
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        let stripes = self.runtimes.here(&self.shared)?;
        for stripe in &stripes.each {
            stripe.start_if_idle()?;
        }
        let mut failed = None;
        match tokio::time::timeout(timeout, self.answered(&stripes, &mut failed)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => {
                let reason = failed.map_or("no answer".into(), |fault: Fault| fault.message);
                Err(Error::new(ErrorKind::Unavailable, format!("not ready after {timeout:?}: {reason}")))
            }
        }
    }

    /// Tries until the server answers. What keeps it from that is left in `failed`.
    async fn answered(&self, stripes: &Stripes, failed: &mut Option<Fault>) -> Result<(), Fault> {
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
            // With no permit: an open breaker is what this is to find out about.
            let now = clock::now();
            match stripe.call(&question, None, now, now + self.shared.operation_deadline).await {
                Ok(reply) if Hello::parse(&reply).is_replica => *failed = Some(Fault::replica()),
                Err(fault) if fault.is_failure_of_the_store() => *failed = Some(fault),
                _ => {
                    self.shared.breaker.answered();
                    return Ok(());
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Whether a connection of this runtime stands; outside a runtime, of any. Has those made that
    /// nobody asked for yet, if there is a runtime to do it.
    pub(crate) fn is_connected(&self) -> bool {
        let Ok(stripes) = self.runtimes.here(&self.shared) else { return self.runtimes.any(Stripe::is_live) };
        for stripe in &stripes.each {
            let _ = stripe.start_if_idle();
        }
        stripes.each.iter().any(|stripe| stripe.is_live())
    }

    /// Whether the server may evict keys that have no TTL (`allkeys-*`), the protocol's clock and
    /// indexes among them. `false` until a connection stood.
    pub(crate) fn evicts_any_key(&self) -> bool {
        self.shared.evicts_any_key()
    }

    /// When an answer is due to a question that nobody waits for.
    pub(crate) fn answer_due(&self) -> Instant {
        clock::now() + self.shared.operation_deadline
    }

    /// Whether calls are refused because the server failed too often.
    pub(crate) fn breaker_is_open(&self) -> bool {
        self.shared.breaker.is_open()
    }

    async fn call(&self, key: StripeKey, invocation: &Invocation<'_>, until: Instant) -> Result<Value, Error> {
        let stripes = self.runtimes.here(&self.shared)?;
        let started = clock::now();
        let Ok(permit) = self.shared.breaker.admit(started) else {
            return Err(Error::new(ErrorKind::Unavailable, "Redis failed repeatedly and is not asked for now"));
        };
        let own = stripes.of(key);
        let standing = own.standing(started);
        // A server that has too few connections to give (`maxclients`) is not without them. Pushes
        // come on the key's own.
        let stripe = match standing {
            None if !invocation.is_tracked() => stripes.in_place_of(own),
            _ => own,
        };
        let outcome = stripe.call(invocation, standing, started, until).await;
        match &outcome {
            // It had little time to answer, of what was left to the call: that says nothing of it.
            Err(fault) if fault.is_timeout() && until < started + self.shared.operation_deadline / 2 => drop(permit),
            Err(fault) if fault.is_failure_of_the_store() => permit.failed(clock::now()),
            _ => permit.succeeded(),
        }
        Ok(outcome?)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.runtimes.stop();
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("target", &self.shared.target)
            .field("connections", &self.runtimes.connections())
            .finish()
    }
}

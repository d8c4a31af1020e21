//! Connections to one Redis primary. They are opened, watched and replaced in the background, and
//! used through a [`Pool`].
//!
//! Every connection is multiplexed and belongs to a supervisor task: connect, handshake, publish,
//! watch, replace. A call takes the connection of its key, and never waits longer than the
//! operation deadline. It fails at once while that connection is known to be down or the breaker is
//! open.
//!
//! This module knows nothing of keys and entries, nor of what scripts do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::backoff::Backoff;
use super::resp::{Command, Reply};
use super::scripts::Script;
use crate::clock;
use crate::config::{Config, RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};
use crate::error::{Error, ErrorKind};
use crate::store::{Voucher, Watch};

mod access;
mod backoff;
mod breaker;
mod connection;
mod credentials;
mod dial;
#[cfg(feature = "tls")]
mod distrust;
mod fault;
mod handshake;
mod pipeline;
mod primary;
mod renewal;
mod route;
mod sentinel;
mod shared;
mod stripe;
mod stripes;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;
mod url;

#[cfg(test)]
mod tests;

pub(crate) use access::Access;
pub(crate) use connection::Connection;
pub use credentials::Credentials;
pub(crate) use credentials::CredentialsProvider;
pub(crate) use fault::reply_code;
pub(crate) use stripes::StripeKey;
#[cfg(feature = "tls")]
pub use tls::Tls;

use breaker::Permit;
use connection::Invocation;
use credentials::Logins;
use fault::Fault;
use primary::Hello;
use route::Dial;
use shared::Shared;
use stripe::Stripe;
use stripes::{Runtimes, Stripes};
use url::ServerUrl;

/// Runs on a fresh connection to a primary, before any call may use the connection. After an error,
/// or at the end of the connect timeout, the connection is discarded. Later another one is tried,
/// with the hook.
pub(crate) type Hook = Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync>;

/// Runs on a fresh connection to a primary, if this process talked to another one last. Else as a
/// [`Hook`].
pub(crate) type MeetingHook =
    Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = Result<Inheritance, Error>> + Send>> + Send + Sync>;

/// What a primary has of what this process has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    Whole,
    /// It lacks writes.
    Lost,
}

/// Is told the reign of a primary that lacks writes, before any call may use a connection to it.
pub(crate) type LossHook = Box<dyn Fn(Option<&str>) + Send + Sync>;

/// Is told of a key that was read on a connection for copies and has changed, or that all may have
/// changed. Called in the order of the stream.
pub(crate) type ChangeHook = Box<dyn Fn(Option<&[u8]>) + Send + Sync>;

/// The work to be done on fresh connections, and what is told of them.
pub(crate) struct Hooks {
    /// Runs on each fresh connection, first.
    pub(crate) on_connection: Hook,
    /// Runs if the connection leads to another primary than the one that this process talked to
    /// last. May run more than once for one primary.
    pub(crate) on_new_primary: MeetingHook,
    pub(crate) on_loss: LossHook,
    pub(crate) on_change: ChangeHook,
}

/// A fixed number of multiplexed connections to one primary for each tokio runtime that calls come
/// from, one more for large values, and one for reads of which copies are kept. A key always uses
/// the same one of them.
///
/// A connection is opened when a call of its runtime needs it, is kept by a task of that runtime,
/// and ends with the runtime. Dropping the pool closes all connections.
///
/// # Cost
/// A call is one round trip (two if the server lost a script), and no task of its own.
pub(crate) struct Pool {
    runtimes: Runtimes,
    shared: Arc<Shared>,
}

impl Pool {
    /// Makes a pool. Does no I/O and needs no runtime: the server may be absent.
    ///
    /// # Errors
    /// A URL that cannot be understood, or access that cannot be as asked for. The error does not
    /// repeat the URL.
    pub(crate) fn new(
        url: &str,
        access: &Access,
        config: &Config,
        scripts: &'static [&'static Script],
        hooks: Hooks,
    ) -> Result<Self, Error> {
        let target = ServerUrl::parse(url)?;
        let dial = route::to(&target, access, config.connect_timeout)?;
        let logins = Logins::of(&target, access.credentials.as_ref())?;
        Ok(Self::with_dial(target, dial, logins, config, scripts, hooks))
    }

    fn with_dial(
        target: ServerUrl,
        dial: Dial,
        logins: Logins,
        config: &Config,
        scripts: &'static [&'static Script],
        hooks: Hooks,
    ) -> Self {
        let shared = Arc::new(Shared::new(target, dial, logins, config, scripts, hooks));
        Self { runtimes: Runtimes::new(config.connections), shared }
    }

    /// Server and database, as the URL says them.
    pub(crate) fn place(&self) -> String {
        let ServerUrl { address, database, .. } = &self.shared.target;
        format!("{address}/{database}")
    }

    /// Runs a script on the connection of `key`.
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
        key: StripeKey,
        keys: &[&str],
        args: &[&[u8]],
        until: Instant,
    ) -> impl Future<Output = Result<Reply, Error>> + Send + use<'a> {
        let invocation = Invocation::script(script, keys, args);
        async move { self.call(key, &invocation, until).await }
    }

    /// Sends one command on the connection of `key`; everything else as for
    /// [`run`](Self::run).
    pub(crate) fn command(
        &self,
        key: StripeKey,
        command: Command,
        until: Instant,
    ) -> impl Future<Output = Result<Reply, Error>> + Send + use<'_> {
        let invocation = Invocation::command(command);
        async move { self.call(key, &invocation, until).await }
    }

    /// A wait for pushes that tell of either name, on the connection of `key`. The server
    /// pushes a change once [`track`](Self::track) has read the keys of these names. The loss of
    /// the connection ends the wait as well. `None`: too many calls wait already.
    pub(crate) fn register(&self, key: StripeKey, value: &str, lease: &str) -> Option<Watch> {
        let stripes = self.runtimes.here(&self.shared).ok()?;
        stripes.of(key).watches.register(value, lease)
    }

    /// As [`command`](Self::command); also asks the server to push the next change of every key
    /// that the command reads. Fails if the server does not push.
    pub(crate) fn track(
        &self,
        key: StripeKey,
        command: Command,
        until: Instant,
    ) -> impl Future<Output = Result<Reply, Error>> + Send + use<'_> {
        let invocation = Invocation::tracked(command);
        async move { self.call(key, &invocation, until).await }
    }

    /// As [`command`](Self::command), for a read of which a copy is to be kept: on a connection
    /// that carries nothing else, and on which the server tells of each change of what was read.
    /// Also returns what vouches for the copy; `None`: nothing does, and the read took another
    /// connection.
    pub(crate) async fn read_to_copy(
        &self,
        key: StripeKey,
        command: Command,
        until: Instant,
    ) -> Result<(Reply, Option<Arc<Voucher>>), Error> {
        let stripes = self.runtimes.here(&self.shared)?;
        let (copies, started) = (&stripes.copies, clock::now());
        // Without a task for it there is no connection for copies, and the call does without.
        let _ = copies.start_if_idle();
        let vouched = copies.standing(started).and_then(|standing| Some((standing.voucher()?, standing)));
        let Some((voucher, standing)) = vouched.filter(|(voucher, _)| voucher.vouches_now()) else {
            return Ok((self.command(key, command, until).await?, None));
        };
        let permit = self.admit(started)?;
        let outcome = copies.call_once(&Invocation::command(command), standing, until).await;
        self.settle(permit, &outcome, started, until);
        Ok((outcome?, Some(voucher)))
    }

    /// Has the connections for copies ask anew, at once: until then their copies may be older than
    /// something that this process has done.
    pub(crate) fn confirm_copies(&self) {
        self.runtimes.any(|stripe| {
            stripe.doubts.notify_one();
            false
        });
    }

    /// Whether copies were asked for, and nothing vouches for those of some runtime.
    pub(crate) fn lacks_vouchers(&self) -> bool {
        self.runtimes.any(|stripe| stripe.keeps_copies && stripe.was_started() && !stripe.vouches())
    }

    /// Waits until a connection of this runtime stands, each other one stands or has failed, and
    /// the server answers within the operation deadline.
    ///
    /// # Cost
    /// One round trip for each try. There may be several tries: a connection that stands may lead
    /// to a server that no longer answers, or is no longer a primary.
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

    /// Tries until the server answers. The reason of the last failure is left in `failed`.
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
            // Asks without a permit of the breaker: the answer is to tell whether an open breaker
            // may be closed.
            let now = clock::now();
            match stripe.call(&question, None, now, now + self.shared.operation_deadline).await {
                Ok(reply) if Hello::parse(&reply)?.is_replica => *failed = Some(Fault::replica()),
                Err(fault) if fault.is_failure_of_the_store() => *failed = Some(fault),
                _ => {
                    self.shared.breaker.answered();
                    return Ok(());
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Whether a connection of this runtime stands; outside a runtime, whether one of any runtime
    /// stands. Within a runtime, begins to make the connections that nobody has asked for yet.
    pub(crate) fn is_connected(&self) -> bool {
        let Ok(stripes) = self.runtimes.here(&self.shared) else { return self.runtimes.any(Stripe::is_live) };
        for stripe in &stripes.each {
            let _ = stripe.start_if_idle();
        }
        stripes.each.iter().any(|stripe| stripe.is_live())
    }

    /// How many connections stand, of every runtime, and how many were made anew.
    pub(crate) fn links(&self) -> (u64, u64) {
        let mut standing = 0;
        self.runtimes.any(|stripe| {
            standing += u64::from(stripe.is_live());
            false
        });
        (standing, self.shared.connections_remade())
    }

    /// Whether the server may evict keys that have no TTL (`allkeys-*`), the protocol's clock and
    /// indexes among them. `false` until a connection has stood.
    pub(crate) fn evicts_any_key(&self) -> bool {
        self.shared.evicts_any_key()
    }

    /// When the answer is due to a question that no caller waits for.
    pub(crate) fn answer_due(&self) -> Instant {
        clock::now() + self.shared.operation_deadline
    }

    /// Whether the breaker would refuse a call now.
    pub(crate) fn refuses(&self) -> bool {
        self.shared.breaker.is_open() && self.shared.breaker.refuses(clock::now())
    }

    pub(crate) fn breaker_is_open(&self) -> bool {
        self.shared.breaker.is_open()
    }

    async fn call(&self, key: StripeKey, invocation: &Invocation<'_>, until: Instant) -> Result<Reply, Error> {
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
        Ok(outcome?)
    }

    fn admit(&self, started: Instant) -> Result<Permit<'_>, Error> {
        let refused = |_| Error::new(ErrorKind::Unavailable, "Redis failed repeatedly and is not asked for now");
        self.shared.breaker.admit(started).map_err(refused)
    }

    /// Reports the outcome of a call to the breaker.
    fn settle(&self, permit: Permit<'_>, outcome: &Result<Reply, Fault>, started: Instant, until: Instant) {
        match outcome {
            // The call had little time left, so the server had little time to answer. That says
            // nothing about the server.
            Err(fault) if fault.is_timeout() && until < started + self.shared.operation_deadline / 2 => drop(permit),
            Err(fault) if fault.is_failure_of_the_store() => permit.failed(clock::now()),
            _ => permit.succeeded(),
        }
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

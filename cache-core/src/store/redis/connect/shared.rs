//! What all connections of a pool share: the server's address, the scripts, the known primary.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::{Connection, Invocation};
use super::credentials::Logins;
use super::fault::Fault;
use super::primary::Primary;
use super::route::Dial;
use super::url::ServerUrl;
use super::{Hooks, Inheritance};
use crate::config::Config;
use crate::store::breaker::Breaker;
use crate::store::redis::resp::Command;
use crate::store::redis::scripts::Script;

/// What a node of a cluster is there for.
pub(super) struct NodeDuty {
    /// For each partition a key that never exists.
    pub(super) probes: Arc<[String]>,
    /// Tells which partitions the node serves, or at least one that it was to serve.
    pub(super) serves: Box<dyn Fn() -> Vec<u16> + Send + Sync>,
    /// Is told when a connection to the node is lost, or cannot be made: another node may have
    /// taken its place.
    pub(super) on_trouble: Box<dyn Fn() + Send + Sync>,
}

/// What all connections of a pool share.
pub(super) struct Shared {
    pub(super) target: ServerUrl,
    pub(super) dial: Dial,
    pub(super) logins: Logins,
    pub(super) scripts: &'static [&'static Script],
    pub(super) operation_deadline: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) breaker: Breaker,
    pub(super) hooks: Arc<Hooks>,
    /// Of a node of a cluster.
    pub(super) duty: Option<NodeDuty>,
    /// The primary that this process talked to last. Earlier primaries are not remembered: a
    /// primary that comes back after another one took over may have missed what the other one was
    /// told.
    pub(super) primary: watch::Sender<Option<Arc<Primary>>>,
    met_unidentified: AtomicBool,
    evicts_any_key: AtomicBool,
    connections_remade: AtomicU64,
    /// The commands that the server refused and that can be done without, as last logged.
    missing: Mutex<Vec<&'static str>>,
    /// Why connections are down, as last logged.
    said: Mutex<Option<Cow<'static, str>>>,
}

impl Shared {
    pub(super) fn new(
        target: ServerUrl,
        dial: Dial,
        logins: Logins,
        config: &Config,
        scripts: &'static [&'static Script],
        hooks: Arc<Hooks>,
    ) -> Self {
        Self {
            target,
            dial,
            logins,
            scripts,
            operation_deadline: config.operation_deadline,
            connect_timeout: config.connect_timeout,
            breaker: Breaker::new(config.breaker_failures),
            hooks,
            duty: None,
            primary: watch::Sender::new(None),
            met_unidentified: AtomicBool::new(false),
            missing: Mutex::default(),
            said: Mutex::default(),
            evicts_any_key: AtomicBool::new(false),
            connections_remade: AtomicU64::new(0),
        }
    }

    pub(super) fn of_node(self, duty: NodeDuty) -> Self {
        Self { duty: Some(duty), ..self }
    }

    /// Makes the server the known primary. If another one was, the hook meets it first. At
    /// `asked_at` the server was asked whether it is a primary. No lock is held, which a runtime
    /// that stands still would keep: so several connections may meet the same primary.
    ///
    /// A server that does not tell its run id may be another server on each connection.
    pub(super) async fn adopt_primary(
        &self,
        connection: &Connection,
        reign: Option<&str>,
        asked_at: Instant,
    ) -> Result<Arc<Primary>, Fault> {
        let Some(reign) = reign else {
            let is_first = !self.met_unidentified.swap(true, Ordering::SeqCst) && self.primary.borrow().is_none();
            if !is_first && self.meet(connection).await? == Inheritance::Lost {
                (self.hooks.on_loss)(None);
            }
            return Ok(Primary::new(None, asked_at));
        };
        loop {
            let known = self.primary.borrow().clone();
            if let Some(known) = known.as_ref().filter(|known| known.is_of(reign)) {
                known.confirm(asked_at);
                return Ok(known.clone());
            }
            let is_first = known.is_none() && !self.met_unidentified.load(Ordering::SeqCst);
            // A node of a cluster may have taken over from another one.
            let inheritance =
                if is_first && self.duty.is_none() { Inheritance::Whole } else { self.meet(connection).await? };
            // If another connection has adopted it meanwhile, its calls have seen what is new
            // there, and only the verdict of that connection counts.
            if inheritance == Inheritance::Lost && is_same(&self.primary.borrow(), &known) {
                (self.hooks.on_loss)(Some(reign));
            }
            let met = Primary::new(Some(reign), asked_at);
            // If yet another primary became known meanwhile, this one is met once more: it may have
            // missed something.
            let adopted = self.primary.send_if_modified(|primary| {
                let unchanged = is_same(primary, &known);
                if unchanged {
                    *primary = Some(met.clone());
                }
                unchanged
            });
            if adopted {
                // What was read from another primary is of no worth, wherever it was read.
                (self.hooks.on_change)(None);
                return Ok(met);
            }
        }
    }

    async fn meet(&self, connection: &Connection) -> Result<Inheritance, Fault> {
        if self.duty.is_none() {
            tracing::info!(address = %self.target.address, "another Redis primary took over");
        }
        (self.hooks.on_new_primary)(connection.clone()).await.map_err(|error| {
            match Fault::of_hook(&error, self.duty.is_some()) {
                fault if self.duty.is_some() => fault,
                fault => Fault::new(fault.kind, format!("the new primary was not prepared: {}", fault.message)),
            }
        })
    }

    /// Questions that a node of a cluster answers only if it serves the slots that it is to serve.
    pub(super) fn probes(&self) -> Vec<Invocation<'static>> {
        let Some(NodeDuty { probes, serves, .. }) = &self.duty else { return Vec::new() };
        let probe = |at: u16| Some(Invocation::command(Command::new("EXISTS").arg(probes.get(usize::from(at))?)));
        serves().into_iter().filter_map(probe).collect()
    }

    /// A partition that the server has.
    pub(super) fn serves(&self) -> u16 {
        self.duty.as_ref().and_then(|duty| (duty.serves)().first().copied()).unwrap_or_default()
    }

    /// Notes that a connection was lost, or could not be made.
    pub(super) fn note_trouble(&self) {
        if let Some(duty) = &self.duty {
            (duty.on_trouble)();
        }
    }

    pub(super) fn note_eviction(&self, evicts_any_key: bool) {
        let before = self.evicts_any_key.swap(evicts_any_key, Ordering::Relaxed);
        if evicts_any_key && !before {
            tracing::warn!(
                address = %self.target.address,
                "Redis may evict any key (maxmemory-policy allkeys-*): the cache's clock and indexes among them, \
                 and then invalidations miss entries; use volatile-* or noeviction"
            );
        }
    }

    /// Logs which commands the server refuses and the cache does without: once for all
    /// connections.
    pub(super) fn note_missing(&self, missing: Vec<&'static str>) {
        let mut said = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if !missing.is_empty() && *said != missing {
            tracing::warn!(
                address = %self.target.address,
                missing = missing.join(", "),
                "Redis refuses commands that the cache can do without: INFO tells of an eviction policy that \
                 breaks invalidations, and one primary from another; SCRIPT LOAD spares the text of scripts; \
                 CLIENT TRACKING spares calls that wait their polling; CLIENT SETNAME names the connection"
            );
        }
        *said = missing;
    }

    /// Logs why a connection is down: once, if the reason is the same for all connections.
    pub(super) fn note_down(&self, fault: &Fault, stripe: usize) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&fault.message) {
            tracing::warn!(address = %self.target.address, stripe, reason = %fault.message, "Redis connection down");
            *said = Some(fault.message.clone());
        }
    }

    /// Notes that a connection that was down is open again.
    pub(super) fn note_up(&self) {
        self.connections_remade.fetch_add(1, Ordering::Relaxed);
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn connections_remade(&self) -> u64 {
        self.connections_remade.load(Ordering::Relaxed)
    }

    pub(super) fn evicts_any_key(&self) -> bool {
        self.evicts_any_key.load(Ordering::Relaxed)
    }
}

fn is_same(one: &Option<Arc<Primary>>, other: &Option<Arc<Primary>>) -> bool {
    one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
}

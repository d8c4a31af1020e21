//! A server that said it is a primary, and how long its word counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::connection::{Connection, Invocation};
use super::fault::Fault;
use crate::clock;
use crate::config::{PRIMARY_ASK_INTERVAL, PRIMARY_TRUST};
use crate::store::redis::resp::{Command, Reply};

/// The reply of a server to `HELLO`, about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) is_replica: bool,
    /// Whether the server is a node of a Redis Cluster, be it a cluster of one node.
    pub(super) is_in_cluster: bool,
}

/// The first version of Redis whose scripts, replies and permissions the library knows.
const REDIS_VERSION_MIN: u32 = 7;

/// Whether a version of Redis is known, and known to be too old.
fn is_too_old(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < REDIS_VERSION_MIN)
}

impl Hello {
    pub(super) fn question() -> Invocation<'static> {
        Invocation::command(Command::new("HELLO").arg("3"))
    }

    /// Reads the reply.
    ///
    /// # Errors
    /// The server is too old, or is none; or it does not tell its role, so nobody would notice that
    /// it was made a replica.
    pub(super) fn parse(reply: &Reply) -> Result<Self, Fault> {
        let fields: &[(Reply, Reply)] = if let Reply::Map(fields) = reply { fields } else { &[] };
        let value =
            |name| fields.iter().find(|(field, _)| field.text() == Some(name)).and_then(|(_, value)| value.text());
        if value("mode") == Some("sentinel") {
            return Err(Fault::config(
                "the server is a sentinel: redis-sentinel://host:port/primary asks it where the primary is",
            ));
        }
        if let (Some("redis"), Some(version)) = (value("server"), value("version"))
            && is_too_old(version)
        {
            return Err(Fault::config(format!(
                "the server is Redis {}, and Redis {REDIS_VERSION_MIN}.0 or later is needed, or Valkey",
                version.chars().filter(|c| c.is_ascii_digit() || *c == '.').take(16).collect::<String>()
            )));
        }
        let role = value("role").ok_or_else(|| Fault::config("the server does not tell its role in reply to HELLO"))?;
        Ok(Self { is_replica: matches!(role, "replica" | "slave"), is_in_cluster: value("mode") == Some("cluster") })
    }
}

/// A server that said it is a primary. Its word on one connection counts for all connections that
/// lead to it.
///
/// A primary that was made a replica goes on answering reads, from the data that it had. So its
/// word counts for [`PRIMARY_TRUST`] from the moment of the question, by this process's monotonic
/// clock, and a call that begins later asks again. No event has to be noticed for that, so it also
/// holds for a process that was stopped for a while.
pub(super) struct Primary {
    /// `None`: the server does not tell its run id, so no other connection is known to lead to the
    /// same server.
    reign: Option<Box<str>>,
    met: Instant,
    /// When the last question was sent that the server answered with yes, in µs since `met`.
    confirmed: AtomicU64,
    /// When it was last asked at the regular interval.
    asked: AtomicU64,
}

impl Primary {
    pub(super) fn new(reign: Option<&str>, asked_at: Instant) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self { reign: reign.map(Into::into), met: asked_at, confirmed: zero(), asked: zero() })
    }

    pub(super) fn is_of(&self, reign: &str) -> bool {
        self.reign.as_deref() == Some(reign)
    }

    pub(super) fn is_identified(&self) -> bool {
        self.reign.is_some()
    }

    /// Notes the server's yes to a question that was sent at `asked_at`.
    pub(super) fn confirm(&self, asked_at: Instant) {
        let at = self.since_met(asked_at);
        self.confirmed.fetch_max(at, Ordering::AcqRel);
        self.asked.fetch_max(at, Ordering::AcqRel);
    }

    /// Whether a call that began at `started` may take replies of this server.
    pub(super) fn is_trusted(&self, started: Instant) -> bool {
        let age = self.since_met(started).saturating_sub(self.confirmed.load(Ordering::Acquire));
        u128::from(age) <= PRIMARY_TRUST.as_micros()
    }

    /// Whether it is time to ask again. If so, this caller is the one to ask.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let (now, asked) = (self.since_met(now), self.asked.load(Ordering::Acquire));
        u128::from(now.saturating_sub(asked)) >= PRIMARY_ASK_INTERVAL.as_micros()
            && self.asked.compare_exchange(asked, now, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Asks the server, on a connection that leads to it.
    ///
    /// # Errors
    /// The server is no longer a primary, or does not answer the question.
    pub(super) async fn ask(&self, connection: &Connection, deadline: Option<Instant>) -> Result<(), Fault> {
        let asked_at = clock::now();
        let reply = connection.send(&Hello::question(), deadline).await?;
        if Hello::parse(&reply)?.is_replica {
            return Err(Fault::replica());
        }
        self.confirm(asked_at);
        Ok(())
    }

    fn since_met(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.met).as_micros() as u64
    }
}

//! What errors of the server and of its connection mean to this library. The messages are written
//! here, because a server's own words may repeat keys and values.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::host_port::HostPort;
use crate::error::{Error, ErrorKind};
use crate::observe::said;
use crate::store::redis::resp::Command;

/// Why a call or a connection failed. Cheap to clone: while a connection is down every call gets a
/// copy.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) message: Cow<'static, str>,
    /// The first word of a server's error reply.
    code: Option<Box<str>>,
    /// The connection is gone, and the outcome of the commands sent on it is unknown.
    pub(super) connection_lost: bool,
    /// The server is not the primary that the connection was made for.
    pub(super) wants_another_server: bool,
    /// A node of a cluster does not serve the call's slot, or not now.
    pub(super) misrouting: Option<Misrouting>,
}

/// What a node of a cluster says of a slot that it does not serve.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misrouting {
    /// Another node does. An empty host is the host that was asked.
    Moved(Arc<HostPort>),
    /// It is on its way to another node: some keys are here, and some are there.
    Moving,
    /// Nobody does.
    Unserved,
}

impl Fault {
    /// What was put into a message may be a text of others: a name in a certificate, or what a
    /// provider of credentials says.
    pub(super) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = match message.into() {
            Cow::Owned(text) => said(&text).into_owned().into(),
            fixed => fixed,
        };
        let (connection_lost, wants_another_server) = (false, false);
        Self { kind, message, code: None, connection_lost, wants_another_server, misrouting: None }
    }

    pub(super) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(super) fn connection_lost() -> Self {
        Self { connection_lost: true, ..Self::unavailable("the connection to Redis was lost") }
    }

    /// The fault of a stream that failed. With TLS 1.3 a server judges the client's certificate
    /// after the connection is open.
    pub(super) fn of_stream(error: &io::Error) -> Self {
        match tls_reason(error) {
            Some(reason) => Self { connection_lost: true, ..Self::config(format!("the server {reason}")) },
            None => Self::connection_lost(),
        }
    }

    pub(super) fn unanswered() -> Self {
        Self::new(ErrorKind::Timeout, "Redis did not answer within the operation deadline")
    }

    pub(super) fn replica() -> Self {
        Self { wants_another_server: true, ..Self::unavailable("the server is a replica") }
    }

    pub(super) fn not_ready(after: Duration, last: Option<Self>) -> Self {
        let reason = last.map_or("no answer".into(), |fault| fault.message);
        Self::unavailable(format!("not ready after {after:?}: {reason}"))
    }

    pub(super) fn no_runtime() -> Self {
        Self::unavailable("not called from within a tokio runtime")
    }

    pub(super) fn no_pushes() -> Self {
        Self::config("the server does not push changes to this connection")
    }

    /// Whether the store did not answer. A server that answers with an error is there, so the
    /// breaker would not help.
    pub(super) fn is_failure_of_the_store(&self) -> bool {
        self.connection_lost || matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// Whether it says that the server is not well. That a slot is elsewhere, or on its way, says
    /// nothing of the node.
    pub(super) fn counts_against_the_server(&self) -> bool {
        self.is_failure_of_the_store() && self.misrouting.is_none()
    }

    /// Whether the call's slot is on its way to another node: what is left, the node serves.
    pub(super) fn is_of_a_move(&self) -> bool {
        self.misrouting == Some(Misrouting::Moving)
    }

    /// The same fault, as what a call met that found no node for its slot. It may find one later.
    pub(super) fn in_cluster(self) -> Self {
        let message = match &self.misrouting {
            None => return self,
            Some(Misrouting::Moved(_)) => "the nodes of the cluster send the call from one to another",
            Some(Misrouting::Moving) => "the slot is being moved to another node of the cluster",
            Some(Misrouting::Unserved) => "the cluster is down: no node serves the slot (CLUSTERDOWN)",
        };
        Self { kind: ErrorKind::Unavailable, message: message.into(), ..self }
    }

    /// The fault of a hook, which has lost all but its kind, its message and its code.
    pub(super) fn of_hook(error: &Error, in_cluster: bool) -> Self {
        match in_cluster && is_misrouted(error) {
            true => Self::unavailable("the node does not serve the slot, or not now"),
            false => Self::new(error.kind(), error.to_string()),
        }
    }

    pub(super) fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// Adds the name of the command to the message, if the server refuses the command for its
    /// configuration. The reply itself need not name it.
    pub(super) fn to(self, command: &str) -> Self {
        match &self.code {
            Some(_) if self.kind == ErrorKind::Config => {
                Self { message: format!("Redis refused {command}: {}", self.message).into(), ..self }
            }
            _ => self,
        }
    }

    /// Adds to a lost connection the command that was to be answered. A proxy ends a connection at
    /// a command that it does not know, and an operator has to be told of which.
    pub(super) fn at(self, command: &Command) -> Self {
        match (self.kind, self.connection_lost) {
            (ErrorKind::Unavailable, true) => {
                let message = format!(
                    "the connection to Redis was lost at {}: a proxy that does not know the command ends it so",
                    command.name()
                );
                Self { message: message.into(), ..self }
            }
            _ => self,
        }
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(super) fn not_a_reply() -> Self {
        // Nobody knows where the next reply begins.
        Self { connection_lost: true, ..Self::new(ErrorKind::Protocol, "what was received is not a reply of Redis") }
    }

    /// The fault of an error reply.
    pub(super) fn of_reply(reply: &[u8]) -> Self {
        let reply = String::from_utf8_lossy(reply);
        let (code, detail) = match reply.split_once(' ').unwrap_or((&reply, "")) {
            (code, detail) if is_plain_code(code) => (code, detail),
            _ => ("ERR", &*reply),
        };
        let (kind, message): (ErrorKind, Cow<'static, str>) = match code {
            "OOM" => (ErrorKind::Limit, "Redis is out of memory (OOM)".into()),
            "NOAUTH" => (ErrorKind::Config, "it asks for a password (NOAUTH)".into()),
            "WRONGPASS" => (ErrorKind::Config, "the user or password is wrong (WRONGPASS)".into()),
            "NOPERM" if detail.contains("key") => (
                ErrorKind::Config,
                "the user has no permission for the keys of the namespace: allow `~<namespace>:*`, and on a cluster \
                 `~{<namespace>/*` (NOPERM)"
                    .into(),
            ),
            "NOPERM" => (
                ErrorKind::Config,
                "the user has no permission to run it: allow what the README lists under \"Access\" (NOPERM)".into(),
            ),
            "ERR" if detail.contains("nknown command") || detail.contains("nsupported command") => (
                ErrorKind::Config,
                "it does not know the command, which was renamed away or is kept back by a proxy".into(),
            ),
            // A permission is missing inside a script: Redis 7.0's words, then those of later
            // servers.
            "ERR" if detail.contains("The user executing the script") || detail.contains("ACL failure in script") => {
                (ErrorKind::Config, "the Redis user lacks a permission that the cache needs".into())
            }
            "ERR" if detail.contains("non local key") => {
                (ErrorKind::Unavailable, "the slot is being moved to another node of the cluster".into())
            }
            "DENIED" => (ErrorKind::Config, "it is in protected mode (DENIED)".into()),
            "NOPROTO" => (ErrorKind::Config, NO_RESP3.into()),
            "MOVED" | "ASK" | "CROSSSLOT" => {
                (ErrorKind::Config, format!("the server is a node of a Redis Cluster ({code})").into())
            }
            "READONLY" => (ErrorKind::Unavailable, "the server is a read-only replica (READONLY)".into()),
            "ERR" if detail.contains("max number of clients") => {
                (ErrorKind::Unavailable, "Redis has no connection left (maxclients)".into())
            }
            "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "NOREPLICAS" => {
                (ErrorKind::Unavailable, format!("Redis cannot serve the call now ({code})").into())
            }
            _ => (ErrorKind::Protocol, format!("Redis answered with an error ({code})").into()),
        };
        let (misrouting, wants_another_server) = (Misrouting::of(code, detail), code == "READONLY");
        Self { code: Some(code.into()), wants_another_server, misrouting, ..Self::new(kind, message) }
    }

    /// The fault of an error while the connection was opened: refused, not found, not trusted.
    pub(super) fn of_dial(address: &impl fmt::Display, error: &io::Error) -> Self {
        if let Some(reason) = tls_reason(error) {
            return Self::config(format!("the server at {address} {reason}"));
        }
        match error.kind() {
            kind if error.raw_os_error().is_some() => Self::unavailable(format!("cannot connect to {address}: {kind}")),
            // An error of the resolver has no error number.
            _ => Self::unavailable(format!("cannot connect to {address}: the name may be wrong, or the network down")),
        }
    }

    /// The same fault, as what a node answered that was asked where the slots are.
    pub(super) fn of_slots(self, address: &impl fmt::Display) -> Self {
        match (self.kind, self.code()) {
            (ErrorKind::Protocol, Some("ERR")) => Self::config(format!(
                "{address} is no node of a cluster: redis://{address} is the URL of a server by itself"
            )),
            _ => self,
        }
    }

    /// The same fault, as what a sentinel answered.
    pub(super) fn of_sentinel(self, address: &impl fmt::Display) -> Self {
        let message = match (self.kind, self.code()) {
            (_, Some("NOAUTH" | "WRONGPASS")) => format!(
                "the sentinel at {address} asks for a user or password of its own: `?sentinel_user=…&sentinel_pass=…`"
            ),
            (_, Some("ERR")) | (ErrorKind::Protocol, _) => {
                format!("what answers at {address} is no sentinel: redis:// is for a server itself")
            }
            _ => format!("the sentinel at {address}: {}", self.message),
        };
        let kind = if self.kind == ErrorKind::Protocol { ErrorKind::Config } else { self.kind };
        Self::new(kind, message)
    }

    /// The same fault, as what happened to the first command of a connection, which tells what kind
    /// of server is there.
    pub(super) fn in_greeting(self, address: &impl fmt::Display) -> Self {
        let fault = self;
        match (fault.kind, fault.code()) {
            (ErrorKind::Protocol, _) if fault.connection_lost => {
                Self::config(format!("what answers at {address} is not a Redis server"))
            }
            // `HELLO` is unknown or refused, in whatever words: Redis 5, Redis 7 and the proxies
            // each have their own.
            (ErrorKind::Protocol | ErrorKind::Config, Some("ERR")) => {
                Self { kind: ErrorKind::Config, message: NO_RESP3.into(), ..fault }.to("HELLO")
            }
            (ErrorKind::Protocol, _) => Self { kind: ErrorKind::Config, ..fault }.to("HELLO"),
            (ErrorKind::Config, None) if fault.connection_lost => fault,
            _ if fault.connection_lost => Self::unavailable(format!(
                "{address} closed the connection during the handshake: a port for TLS does so, and wants rediss://"
            )),
            _ => fault.to("HELLO"),
        }
    }
}

impl Misrouting {
    fn of(code: &str, detail: &str) -> Option<Self> {
        match code {
            // The slot, and the address. Its host may be an address of IPv6, without brackets.
            "MOVED" => {
                let (host, port) = detail.split_once(' ')?.1.rsplit_once(':')?;
                let place = HostPort { host: host.to_owned(), port: port.parse().ok()? };
                Some(Self::Moved(Arc::new(place)))
            }
            "ASK" | "TRYAGAIN" => Some(Self::Moving),
            "ERR" if detail.contains("non local key") => Some(Self::Moving),
            "CLUSTERDOWN" => Some(Self::Unserved),
            _ => None,
        }
    }
}

#[cfg(feature = "tls")]
fn tls_reason(error: &io::Error) -> Option<String> {
    super::distrust::reason(error)
}

#[cfg(not(feature = "tls"))]
fn tls_reason(_: &io::Error) -> Option<String> {
    None
}

const NO_RESP3: &str = "RESP3 is needed: of Redis 7.0 or later, or of Valkey; a proxy in between has to pass HELLO on";

/// Whether a server's word can be nothing but a code. Only such a word is shown.
fn is_plain_code(code: &str) -> bool {
    (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let error = Error::new(fault.kind, fault.message);
        let is_misrouted = fault.misrouting.is_some();
        match fault.code {
            Some(code) => error.with_source(ServerReply { code, is_misrouted }),
            None => error,
        }
    }
}

/// The code of a server's error reply, kept as the source of an [`Error`].
#[derive(Debug)]
struct ServerReply {
    code: Box<str>,
    is_misrouted: bool,
}

impl fmt::Display for ServerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error reply {}", self.code)
    }
}

impl std::error::Error for ServerReply {}

/// The code of the error reply that an error comes from, which is the reply's first word:
/// `WRONGTYPE`, or a code of our own scripts (upper case and `_` only). `None` if the server did
/// not answer.
pub(crate) fn reply_code(error: &Error) -> Option<&str> {
    let reply = std::error::Error::source(error)?.downcast_ref::<ServerReply>()?;
    Some(&reply.code)
}

/// Whether an error is the answer of a node that does not serve the slot, or not all of it.
pub(crate) fn is_misrouted(error: &Error) -> bool {
    let reply = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ServerReply>());
    reply.is_some_and(|reply| reply.is_misrouted)
}

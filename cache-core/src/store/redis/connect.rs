//! Connections to one Redis primary, or to the nodes of a cluster. They are opened, watched and
//! replaced in the background, and used through a [`Pool`].
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

use tokio::time::Instant;

use super::resp::{Command, Reply};
use super::scripts::Script;
use crate::clock;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::store::{Voucher, Watch};

mod access;
mod cluster;
mod connection;
mod credentials;
mod dial;
mod dialogue;
#[cfg(feature = "tls")]
mod distrust;
mod fault;
mod handshake;
mod host_port;
mod inquiry;
mod node;
mod pipeline;
mod primary;
mod renewal;
mod route;
mod sentinel;
mod shared;
mod slots;
mod stripe;
mod stripes;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod understood;
mod url;

#[cfg(test)]
pub(in crate::store::redis) mod tests;

pub(crate) use access::Access;
pub(crate) use connection::Connection;
pub use credentials::Credentials;
pub(crate) use credentials::CredentialsProvider;
pub(crate) use fault::{is_misrouted, reply_code};
pub(crate) use stripes::StripeKey;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub(in crate::store::redis) use understood::understood;

use cluster::ClusterPool;
use connection::Invocation;
use credentials::Logins;
use host_port::HostPort;
use node::NodePool;
use route::{Dial, DialNode, Dials};
use shared::{NodeDuty, Shared};
use slots::NodeAddresses;
use topology::Topology;
use url::{Address, ServerUrl};

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

/// Connections to where entries live. Dropping it closes all of them.
pub(crate) struct Pool {
    target: ServerUrl,
    operation_deadline: Duration,
    reach: Reach,
}

enum Reach {
    Server(NodePool),
    Cluster(ClusterPool),
}

/// What every connection is made with.
#[derive(Clone)]
struct Making {
    logins: Logins,
    config: Config,
    scripts: &'static [&'static Script],
    hooks: Arc<Hooks>,
}

impl Making {
    fn shared(&self, target: ServerUrl, dial: Dial) -> Shared {
        Shared::new(target, dial, self.logins.clone(), &self.config, self.scripts, self.hooks.clone())
    }
}

impl Pool {
    /// Makes a pool. Does no I/O and needs no runtime: the server may be absent. `probes`: for a
    /// cluster, a key in each partition, which never exists.
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
        probes: &[String],
    ) -> Result<Self, Error> {
        let target = ServerUrl::parse(url)?;
        let logins = Logins::of(&target, access.credentials.as_ref())?;
        let addresses = NodeAddresses::new(&access.node_addresses)?;
        let making = Making { logins, config: config.clone(), scripts, hooks: Arc::new(hooks) };
        match route::to(&target, access, config.connect_timeout)? {
            Dials::Server(_) if !access.node_addresses.is_empty() => {
                let unused = "the builder maps addresses of nodes, and the URL is not one of a cluster";
                Err(Error::new(ErrorKind::Config, unused))
            }
            Dials::Server(dial) => Ok(Self::of_server(target, dial, &making)),
            Dials::Nodes { seeds, dial } => Ok(Self::of_cluster(target, (seeds, addresses), dial, making, probes)),
        }
    }

    fn of_server(target: ServerUrl, dial: Dial, making: &Making) -> Self {
        let node = NodePool::new(making.shared(target.clone(), dial), making.config.connections);
        Self { target, operation_deadline: making.config.operation_deadline, reach: Reach::Server(node) }
    }

    fn of_cluster(
        target: ServerUrl,
        (seeds, addresses): (Vec<HostPort>, NodeAddresses),
        dial: DialNode,
        making: Making,
        probes: &[String],
    ) -> Self {
        let (operation_deadline, logins, hooks) =
            (making.config.operation_deadline, making.logins.clone(), making.hooks.clone());
        let make_pool = {
            let (target, dial) = (target.clone(), dial.clone());
            move |place: &HostPort, duty: NodeDuty| {
                let address = Address::Tcp { place: place.clone(), tls: target.address.is_tls() };
                let (dial, place) = (dial.clone(), place.clone());
                let shared =
                    making.shared(ServerUrl { address, ..target.clone() }, Box::new(move || dial(place.clone())));
                NodePool::new(shared.of_node(duty), making.config.connections)
            }
        };
        let on_move = Box::new(move || (hooks.on_change)(None));
        let topology = Topology::new(probes, seeds, addresses, (dial, logins), Box::new(make_pool), on_move);
        Self { target, operation_deadline, reach: Reach::Cluster(ClusterPool::new(topology)) }
    }

    /// Server and database, as the URL says them.
    pub(crate) fn place(&self) -> String {
        let ServerUrl { address, database, .. } = &self.target;
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
    /// the connection ends the wait as well. `None`: too many calls wait already, or nobody is
    /// known to have the keys.
    pub(crate) async fn register(&self, key: StripeKey, value: &str, lease: &str, until: Instant) -> Option<Watch> {
        match &self.reach {
            Reach::Server(node) => node.register(key, value, lease),
            Reach::Cluster(cluster) => cluster.register(key, value, lease, until).await,
        }
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

    async fn call(&self, key: StripeKey, invocation: &Invocation<'_>, until: Instant) -> Result<Reply, Error> {
        Ok(match &self.reach {
            Reach::Server(node) => node.call(key, invocation, until).await?,
            // Boxed, so that calls to a server by itself are not the larger for it.
            Reach::Cluster(cluster) => Box::pin(cluster.call(key, invocation, until)).await?,
        })
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
        Ok(match &self.reach {
            Reach::Server(node) => node.read_to_copy(key, command, until).await?,
            Reach::Cluster(cluster) => Box::pin(cluster.read_to_copy(key, command, until)).await?,
        })
    }

    /// Has the connections for copies ask anew, at once: until then their copies may be older than
    /// something that this process has done.
    pub(crate) fn confirm_copies(&self) {
        self.any(|node| {
            node.confirm_copies();
            false
        });
    }

    /// Whether copies were asked for, and nothing vouches for those of some runtime.
    pub(crate) fn lacks_vouchers(&self) -> bool {
        self.any(NodePool::lacks_vouchers)
    }

    /// Waits until a connection of this runtime is open, each other one is open or has failed, and
    /// the server answers within the operation deadline; of a cluster each node that serves a
    /// partition.
    ///
    /// # Cost
    /// One round trip for each try. There may be several tries: an open connection may lead to a
    /// server that no longer answers, or is no longer a primary.
    ///
    /// # Errors
    /// At once if the server refuses us for good (`Config`: credentials, permissions, database, not
    /// Redis); after `timeout` with the reason of the last failure (`Unavailable`).
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        let ready = match &self.reach {
            Reach::Server(node) => node.ready(timeout).await,
            Reach::Cluster(cluster) => cluster.ready(timeout).await,
        };
        Ok(ready?)
    }

    /// Whether a connection of this runtime is open; outside a runtime, whether one of any runtime
    /// is. Within a runtime, begins to make the connections that nobody has asked for yet.
    pub(crate) fn is_connected(&self) -> bool {
        match &self.reach {
            Reach::Server(node) => node.is_connected(),
            Reach::Cluster(cluster) => cluster.is_connected(),
        }
    }

    /// How many connections are open, of every runtime, and how many were made anew.
    pub(crate) fn links(&self) -> (u64, u64) {
        match &self.reach {
            Reach::Server(node) => (node.standing(), node.shared.connections_remade()),
            Reach::Cluster(cluster) => cluster.links(),
        }
    }

    /// Whether the server may evict keys that have no TTL (`allkeys-*`), the protocol's clock and
    /// indexes among them. `false` until a connection was open.
    pub(crate) fn evicts_any_key(&self) -> bool {
        self.any(|node| node.shared.evicts_any_key())
    }

    /// When the answer is due to a question that no caller waits for.
    pub(crate) fn answer_due(&self) -> Instant {
        clock::now() + self.operation_deadline
    }

    /// Whether the breaker would refuse a call now; of a cluster that of each node.
    pub(crate) fn refuses(&self) -> bool {
        match &self.reach {
            Reach::Server(node) => node.refuses(),
            Reach::Cluster(cluster) => cluster.refuses(),
        }
    }

    pub(crate) fn breaker_is_open(&self) -> bool {
        self.any(|node| node.shared.breaker.is_open())
    }

    /// Whether the server, or any node, is such that `is` says yes.
    fn any(&self, is: impl Fn(&NodePool) -> bool) -> bool {
        match &self.reach {
            Reach::Server(node) => is(node),
            Reach::Cluster(cluster) => cluster.any(is),
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("target", &self.target).finish_non_exhaustive()
    }
}

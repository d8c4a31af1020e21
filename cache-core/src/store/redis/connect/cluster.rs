//! Calls on a cluster: each goes to the node of its partition, and follows the partition when that
//! has moved. Knows nothing of how nodes are found.
//!
//! No call follows `ASK`. It is the answer of a node that moves a slot key by key, for a key that
//! it has no more or never had. On the other node a script would find half of what it needs, and
//! report success on that half.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Invocation;
use super::fault::{Fault, Misrouting};
use super::node::NodePool;
use super::stripes::StripeKey;
use super::topology::{Node, Topology, check_timers};
use crate::config::REDIRECTS_MAX;
use crate::error::ErrorKind;
use crate::store::redis::resp::{Command, Reply};
use crate::store::{Voucher, Watch};

/// Connections to each node of a cluster that serves a partition.
///
/// # Cost
/// A call is one round trip, and one more whenever its partition has moved.
pub(super) struct ClusterPool {
    topology: Arc<Topology>,
}

impl ClusterPool {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        Self { topology }
    }

    /// Sends one command to the node of its partition.
    pub(super) async fn call(
        &self,
        key: StripeKey,
        invocation: &Invocation<'_>,
        until: Instant,
    ) -> Result<Reply, Fault> {
        let mut redirects = 0;
        loop {
            let node = self.topology.owner(key.partition(), until).await?;
            match node.pool.call(key, invocation, until).await {
                Ok(reply) => return Ok(reply),
                Err(fault) if redirects < REDIRECTS_MAX && self.follow(key, &node, &fault) => redirects += 1,
                Err(fault) => return Err(self.met(fault)),
            }
        }
    }

    /// Whether the fault says that another node is to be asked.
    fn follow(&self, key: StripeKey, node: &Arc<Node>, fault: &Fault) -> bool {
        let Some(Misrouting::Moved(place)) = &fault.misrouting else { return false };
        self.topology.redirect(key.partition(), node, place);
        true
    }

    /// What the caller is told of a fault, which may be a reason to ask where the slots are.
    fn met(&self, fault: Fault) -> Fault {
        if fault.is_failure_of_the_store() || fault.misrouting.is_some() {
            self.topology.inquire();
        }
        fault.in_cluster()
    }

    pub(super) async fn register(&self, key: StripeKey, value: &str, lease: &str, until: Instant) -> Option<Watch> {
        let node = self.topology.owner(key.partition(), until).await.ok()?;
        node.pool.register(key, value, lease)
    }

    pub(super) async fn read_to_copy(
        &self,
        key: StripeKey,
        command: Command,
        until: Instant,
    ) -> Result<(Reply, Option<Arc<Voucher>>), Fault> {
        let node = self.topology.owner(key.partition(), until).await?;
        match node.pool.read_to_copy(key, command.clone(), until).await {
            // Another node has to be met before anything vouches for its copies.
            Err(fault) if self.follow(key, &node, &fault) => {
                Ok((self.call(key, &Invocation::command(command), until).await?, None))
            }
            outcome => outcome.map_err(|fault| self.met(fault)),
        }
    }

    /// Waits until each partition has a node that answers.
    pub(super) async fn ready(&self, timeout: Duration) -> Result<(), Fault> {
        check_timers()?;
        let mut failed = None;
        match tokio::time::timeout(timeout, self.answered(&mut failed)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::not_ready(timeout, failed)),
        }
    }

    async fn answered(&self, failed: &mut Option<Fault>) -> Result<(), Fault> {
        let mut routes = self.topology.subscribe();
        loop {
            let (nodes, inquiries) = {
                let seen = routes.borrow_and_update();
                (seen.is_whole().then(|| seen.nodes()), seen.inquiries)
            };
            let Some(nodes) = nodes else {
                self.topology.inquire();
                let seen = routes.wait_for(|routes| routes.inquiries > inquiries).await;
                // The sender cannot be gone: it is our own.
                let gap = seen.ok().and_then(|seen| seen.gap().cloned());
                match gap {
                    Some(fault) if fault.kind == ErrorKind::Config => return Err(fault),
                    gap => *failed = gap.or(failed.take()),
                }
                continue;
            };
            let answers = async {
                for node in &nodes {
                    node.pool.answered(failed).await?;
                }
                Ok(())
            };
            tokio::select! {
                biased;
                answered = answers => return answered,
                _ = routes.changed() => {}
            }
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        let nodes = self.topology.nodes();
        if nodes.is_empty() {
            self.topology.inquire();
        }
        nodes.iter().filter(|node| node.pool.is_connected()).count() > 0
    }

    /// Whether every call would be refused now.
    pub(super) fn refuses(&self) -> bool {
        let nodes = self.topology.nodes();
        !nodes.is_empty() && nodes.iter().all(|node| node.pool.refuses())
    }

    /// Whether a node is such that `is` says yes.
    pub(super) fn any(&self, is: impl Fn(&NodePool) -> bool) -> bool {
        self.topology.nodes().iter().any(|node| is(&node.pool))
    }

    /// As [`Pool::links`](super::Pool::links).
    pub(super) fn links(&self) -> (u64, u64) {
        (self.topology.nodes().iter().map(|node| node.pool.standing()).sum(), self.topology.remade())
    }
}

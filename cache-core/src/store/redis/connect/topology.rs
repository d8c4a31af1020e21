//! Where the partitions of a cluster are: a pool of connections for each node that serves one.
//!
//! A node that is asked for what another one serves says so (`MOVED`), and that counts at once for
//! that partition. Everything else is asked of the nodes in the background, by one task at a time:
//! no call waits for it, but for the first of all.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::credentials::{Logins, hello};
use super::dialogue::Dialogue;
use super::fault::Fault;
use super::host_port::HostPort;
use super::inquiry::Inquiry;
use super::node::NodePool;
use super::primary::Hello;
use super::route::{DialNode, Route};
use super::shared::NodeDuty;
use super::slots::{NodeAddresses, SlotMap, slot_of};
use crate::clock::{self, timers};
use crate::config::{TOPOLOGY_ANSWER_TIMEOUT, TOPOLOGY_DEADLINE, TOPOLOGY_INTERVAL};
use crate::error::ErrorKind;
use crate::store::redis::resp::Command;

/// Makes the pool of a node.
pub(super) type MakePool = Box<dyn Fn(&HostPort, NodeDuty) -> NodePool + Send + Sync>;
pub(super) type OnTrouble = Box<dyn Fn() + Send + Sync>;

/// A node that serves partitions.
pub(super) struct Node {
    pub(super) place: HostPort,
    pub(super) pool: NodePool,
}

/// The nodes of a cluster, as far as they serve partitions.
pub(super) struct Topology {
    /// A key in each partition.
    probes: Arc<[String]>,
    seeds: Box<[HostPort]>,
    addresses: NodeAddresses,
    dial: DialNode,
    logins: Logins,
    make_pool: MakePool,
    /// Is told when a partition has another node.
    on_move: OnTrouble,
    routes: watch::Sender<Routes>,
    inquiry: Mutex<Inquiry>,
    /// Connections that were made anew to nodes that serve nothing any more.
    remade_before: AtomicU64,
}

/// What is known of the nodes.
#[derive(Default)]
pub(super) struct Routes {
    /// The node of each partition.
    owners: Vec<Option<Arc<Node>>>,
    /// For each partition the number of the redirection that named its node; 0: none did.
    redirected: Vec<u64>,
    redirections: u64,
    /// Every node that was told of, with those that serve nothing.
    known: Vec<HostPort>,
    /// How often the nodes were asked.
    pub(super) inquiries: u64,
    /// Why a partition has no node, as of the last inquiry.
    failure: Option<Fault>,
}

impl Routes {
    fn owner(&self, partition: u16) -> Option<&Arc<Node>> {
        self.owners[usize::from(partition)].as_ref()
    }

    fn served_by(&self, place: &HostPort) -> Vec<u16> {
        let owners = (0..).zip(&self.owners);
        let is_there = |owner: &Option<Arc<Node>>| owner.as_ref().is_some_and(|owner| owner.place == *place);
        owners.filter(|(_, owner)| is_there(owner)).map(|(partition, _)| partition).collect()
    }

    /// Each node that serves a partition.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for owner in self.owners.iter().flatten() {
            if !nodes.iter().any(|node| Arc::ptr_eq(node, owner)) {
                nodes.push(owner.clone());
            }
        }
        nodes
    }

    /// Why a partition has no node. `None`: each has one, or nobody was asked yet.
    pub(super) fn gap(&self) -> Option<&Fault> {
        self.failure.as_ref().filter(|_| !self.is_whole())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.owners.iter().all(Option::is_some)
    }
}

impl Topology {
    pub(super) fn new(
        probes: &[String],
        seeds: Vec<HostPort>,
        addresses: NodeAddresses,
        (dial, logins): (DialNode, Logins),
        make_pool: MakePool,
        on_move: OnTrouble,
    ) -> Arc<Self> {
        let partitions = probes.len();
        let nobody = Routes { owners: vec![None; partitions], redirected: vec![0; partitions], ..Routes::default() };
        Arc::new(Self {
            probes: probes.into(),
            seeds: seeds.into(),
            addresses,
            dial,
            logins,
            make_pool,
            on_move,
            routes: watch::Sender::new(nobody),
            inquiry: Mutex::default(),
            remade_before: AtomicU64::new(0),
        })
    }

    /// The node of a partition. While none is known, the first answer is waited for; after that an
    /// error comes at once.
    pub(super) async fn owner(self: &Arc<Self>, partition: u16, until: Instant) -> Result<Arc<Node>, Fault> {
        if let Some(owner) = self.routes.borrow().owner(partition) {
            return Ok(owner.clone());
        }
        check_timers()?;
        self.inquire();
        let mut routes = self.routes.subscribe();
        loop {
            {
                let seen = routes.borrow_and_update();
                if let Some(owner) = seen.owner(partition) {
                    return Ok(owner.clone());
                }
                if let Some(fault) = seen.gap() {
                    return Err(fault.clone());
                }
            }
            // The sender cannot be gone: it is our own.
            if timeout_at(until, routes.changed()).await.is_err() {
                return Err(Fault::unavailable("no node of the cluster answered within the operation deadline"));
            }
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Routes> {
        self.routes.subscribe()
    }

    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.routes.borrow().nodes()
    }

    /// Connections that were made anew.
    pub(super) fn remade(&self) -> u64 {
        let remade: u64 = self.nodes().iter().map(|node| node.pool.shared.connections_remade()).sum();
        remade + self.remade_before.load(Ordering::Relaxed)
    }

    /// Notes that `from` says that another node serves the partition.
    pub(super) fn redirect(self: &Arc<Self>, partition: u16, from: &Arc<Node>, to: &HostPort) {
        let host = if to.host.is_empty() { &from.place.host } else { &to.host };
        let to = self.addresses.reached(HostPort { host: host.clone(), port: to.port });
        let at = usize::from(partition);
        self.change(|routes| {
            // Another call has followed the same partition already.
            if !routes.owners[at].as_ref().is_some_and(|owner| Arc::ptr_eq(owner, from)) || to == from.place {
                return Vec::new();
            }
            routes.redirections += 1;
            routes.redirected[at] = routes.redirections;
            self.assign(routes, partition, &to).into_iter().collect()
        });
        self.inquire();
    }

    /// Takes over what a node has told, but for partitions that were redirected since it was asked:
    /// the node may not have heard of that yet.
    fn adopt(self: &Arc<Self>, told: SlotMap, redirections: u64) {
        let SlotMap { nodes, .. } = &told;
        let known = nodes.iter().map(|node| self.addresses.reached(node.clone())).collect();
        self.change(|routes| {
            let mut left = Vec::new();
            routes.known = known;
            routes.failure = None;
            routes.inquiries += 1;
            for partition in 0..self.probes.len() as u16 {
                let at = usize::from(partition);
                let slot = slot_of(&self.probes[at]);
                match told.owner(slot) {
                    _ if routes.redirected[at] > redirections => {}
                    Some(owner) => left.extend(self.assign(routes, partition, &self.addresses.reached(owner.clone()))),
                    None if routes.owners[at].is_some() => {}
                    None => {
                        let nobody = format!("no node of the cluster serves slot {slot}, in which entries would be");
                        routes.failure = Some(Fault::unavailable(nobody));
                    }
                }
            }
            left
        });
    }

    /// Gives a partition to the node at a place, which has a pool already if it serves another one.
    /// Returns the node that it had.
    fn assign(self: &Arc<Self>, routes: &mut Routes, partition: u16, place: &HostPort) -> Option<Arc<Node>> {
        let at = usize::from(partition);
        if routes.owners[at].as_ref().is_some_and(|owner| owner.place == *place) {
            return None;
        }
        let known = routes.owners.iter().flatten().find(|node| node.place == *place).cloned();
        let owner = known.unwrap_or_else(|| {
            let pool = (self.make_pool)(place, self.duty(place.clone(), partition));
            Arc::new(Node { place: place.clone(), pool })
        });
        tracing::info!(partition, node = %place, "a node of the Redis Cluster serves a partition");
        routes.owners[at].replace(owner)
    }

    /// Of the node at a place, which is given its first partition.
    fn duty(self: &Arc<Self>, place: HostPort, first: u16) -> NodeDuty {
        let (troubled, topology) = (Arc::downgrade(self), Arc::downgrade(self));
        let serves = move || {
            let partitions = topology.upgrade().map(|topology| topology.routes.borrow().served_by(&place));
            partitions.filter(|partitions| !partitions.is_empty()).unwrap_or_else(|| vec![first])
        };
        NodeDuty {
            probes: self.probes.clone(),
            serves: Box::new(serves),
            on_trouble: Box::new(move || troubled.upgrade().iter().for_each(Self::inquire)),
        }
    }

    /// Changes what is known. Nodes that serve nothing any more lose their connections: what they
    /// knew of their primary would be out of date when they serve again.
    fn change(&self, change: impl FnOnce(&mut Routes) -> Vec<Arc<Node>>) {
        let mut left = Vec::new();
        self.routes.send_if_modified(|routes| {
            let was_whole = routes.is_whole();
            left = change(routes);
            !was_whole || !left.is_empty()
        });
        if left.is_empty() {
            return;
        }
        let serving = self.nodes();
        for node in left.iter().filter(|node| !serving.iter().any(|other| Arc::ptr_eq(other, node))) {
            self.remade_before.fetch_add(node.pool.shared.connections_remade(), Ordering::Relaxed);
        }
        // What was read from another node is of no worth.
        (self.on_move)();
    }

    /// Has the nodes asked where the slots are: soon, and once for all who want to know.
    pub(super) fn inquire(self: &Arc<Self>) {
        let Ok(runtime) = timers() else { return };
        let Some(run) = self.lock().wanted(clock::now()) else { return };
        let shift = Inquirer { topology: Arc::downgrade(self), run };
        runtime.spawn(shift.work());
    }

    async fn ask_nodes(self: &Arc<Self>) {
        let redirections = self.routes.borrow().redirections;
        let mut failure: Option<Fault> = None;
        for place in self.places() {
            let told = timeout(TOPOLOGY_ANSWER_TIMEOUT, self.ask(&place)).await;
            match told.unwrap_or_else(|_| Err(Fault::unavailable(format!("the node at {place} does not answer")))) {
                Ok(told) => return self.adopt(told, redirections),
                Err(fault) => {
                    let keep = failure.as_ref().is_some_and(|failure| failure.kind != ErrorKind::Config);
                    failure = if keep { failure } else { Some(fault) };
                }
            }
        }
        self.fail(failure);
    }

    fn fail(&self, failure: Option<Fault>) {
        self.change(|routes| {
            let failure = failure.unwrap_or_else(|| Fault::unavailable("no node of the cluster answers in time"));
            if routes.failure.as_ref().is_none_or(|known| known.message != failure.message) {
                tracing::warn!(reason = %failure.message, "no node of the Redis Cluster says where the slots are");
            }
            routes.failure = Some(failure);
            routes.inquiries += 1;
            Vec::new()
        });
    }

    /// Whom to ask, in this order: a node that partitions were redirected to knows of that, and a
    /// node that does not answer its calls may not answer this one either.
    fn places(&self) -> Vec<HostPort> {
        let routes = self.routes.borrow();
        let owners = |redirected: bool| {
            let each = routes.owners.iter().zip(&routes.redirected);
            let each = each.filter(move |(_, number)| (**number > 0) == redirected);
            each.filter_map(|(owner, _)| Some(owner.as_ref()?.place.clone()))
        };
        let mut others: Vec<HostPort> = routes.known.clone();
        others.retain(|place| !routes.owners.iter().flatten().any(|owner| owner.place == *place));
        fastrand::shuffle(&mut others);
        let mut places: Vec<HostPort> = owners(true).collect();
        places.extend(others);
        places.extend(owners(false));
        places.extend(self.seeds.iter().cloned());
        let mut met = HashSet::new();
        places.retain(|place| met.insert(place.clone()));
        places
    }

    async fn ask(&self, place: &HostPort) -> Result<SlotMap, Fault> {
        let Route { stream, .. } = (self.dial)(place.clone()).await?;
        let mut dialogue = Dialogue::new(stream.await?);
        let login = self.logins.next().await?;
        let greeted = dialogue.ask(&hello(login.as_ref().map(|login| &login.credentials))).await;
        Hello::parse(&greeted.map_err(|fault| fault.in_greeting(place))?)?;
        let told = dialogue.ask(&Command::new("CLUSTER").arg("SLOTS")).await;
        SlotMap::parse(&told.map_err(|fault| fault.of_slots(place))?, place)
    }

    fn lock(&self) -> MutexGuard<'_, Inquiry> {
        self.inquiry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that asks, from its start to its end, whichever way it ends.
struct Inquirer {
    topology: Weak<Topology>,
    run: u64,
}

impl Inquirer {
    async fn work(self) {
        while let Some(due) = self.next_question() {
            sleep_until(due).await;
            let Some(topology) = self.topology.upgrade() else { return };
            topology.lock().asked_at = Some(clock::now());
            if timeout(TOPOLOGY_DEADLINE, topology.ask_nodes()).await.is_err() {
                topology.fail(None);
            }
            if !topology.lock().goes_on(self.run, clock::now()) {
                return;
            }
        }
    }

    /// When the nodes may be asked again. Processes that ask for the same reason do not do it in
    /// step.
    fn next_question(&self) -> Option<Instant> {
        let topology = self.topology.upgrade()?;
        let now = clock::now();
        let asked_at = topology.lock().asked_at;
        Some(asked_at.map_or(now, |at| (at + TOPOLOGY_INTERVAL + jitter()).max(now)))
    }
}

/// Without timers nothing can be waited for.
pub(super) fn check_timers() -> Result<(), Fault> {
    timers().map(drop).map_err(|error| Fault::new(error.kind(), error.to_string()))
}

fn jitter() -> Duration {
    TOPOLOGY_INTERVAL.mul_f64(fastrand::f64() / 2.0)
}

impl Drop for Inquirer {
    fn drop(&mut self) {
        let Some(topology) = self.topology.upgrade() else { return };
        topology.lock().ended(self.run);
    }
}

//! A cluster of one's own: three primaries, and a replica for each.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Raw, Server, ServerKind, ServerOptions, port, until};

/// How many primaries a cluster has.
pub const PRIMARIES: usize = 3;
/// How long a node is silent before the others replace it.
pub const NODE_TIMEOUT: Duration = Duration::from_millis(2_000);

const SLOTS: usize = 16_384;
/// How often a start is tried on other ports.
const ATTEMPTS: usize = 5;

/// The partition in which a key or a tag is at home, of so many: by CRC-16/XMODEM.
pub fn home_of(text: &str, partitions: u16) -> u16 {
    let next = |crc: u16, byte: u8| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    };
    text.bytes().fold(0, next) % partitions
}

/// The slot of a partition, in every namespace: see `cache-core/docs/cluster.md`.
pub fn slot_of(partition: u16) -> u16 {
    16 * (partition.reverse_bits() >> 6) + 8
}

/// The nodes of a cluster. Dropping it kills all of them.
#[derive(Debug)]
pub struct ClusterSet {
    /// What all of them are.
    pub kind: ServerKind,
    primaries: usize,
    /// First the primaries, then their replicas in the same order.
    pub nodes: Vec<Server>,
}

/// A slot that is being moved key by key, as an operator would do it.
#[derive(Debug)]
pub struct SlotMove {
    slot: u16,
    from: usize,
    to: usize,
}

/// Where a node listens.
#[derive(Clone, Copy)]
struct Place {
    clients: SocketAddr,
    nodes: SocketAddr,
}

impl ClusterSet {
    /// Starts all six; returns once each of them finds every slot served.
    pub async fn start(kind: ServerKind) -> Self {
        Self::with(kind, |_| ServerOptions::new()).await
    }

    /// Starts all six, each with particulars of its own; returns once each of them finds every slot
    /// served, and each replica has its primary's data.
    ///
    /// # Panics
    /// If they cannot be started.
    pub async fn with(kind: ServerKind, options: impl Fn(usize) -> ServerOptions) -> Self {
        Self::launch(kind, (PRIMARIES, 2 * PRIMARIES), Ipv4Addr::LOCALHOST.into(), &options).await
    }

    /// Starts all six at another address of this machine.
    ///
    /// # Panics
    /// If they cannot be started.
    pub async fn at(kind: ServerKind, host: impl Into<IpAddr>) -> Self {
        Self::launch(kind, (PRIMARIES, 2 * PRIMARIES), host.into(), &|_| ServerOptions::new()).await
    }

    /// Starts so many primaries, without replicas.
    ///
    /// # Panics
    /// If they cannot be started.
    pub async fn without_replicas(kind: ServerKind, primaries: usize) -> Self {
        Self::launch(kind, (primaries, primaries), Ipv4Addr::LOCALHOST.into(), &|_| ServerOptions::new()).await
    }

    /// `size`: how many primaries, and how many nodes.
    async fn launch(
        kind: ServerKind,
        size: (usize, usize),
        host: IpAddr,
        options: &impl Fn(usize) -> ServerOptions,
    ) -> Self {
        let started = (0..ATTEMPTS).find_map(|_| Self::launch_once(kind, size, host, options).ok());
        let set = started.expect("a cluster that starts");
        set.settled().await;
        set
    }

    fn launch_once(
        kind: ServerKind,
        (primaries, nodes): (usize, usize),
        host: IpAddr,
        options: &impl Fn(usize) -> ServerOptions,
    ) -> Result<Self, String> {
        let place = || Place { clients: port::free_at(host), nodes: port::free_at(host) };
        let places: Vec<Place> = (0..nodes).map(|_| place()).collect();
        let nodes = (0..places.len()).map(|own| {
            let options = options(own)
                .file("nodes.conf", known_nodes(&places, primaries, own))
                .line("cluster-enabled yes")
                .line(format!("cluster-node-timeout {}", NODE_TIMEOUT.as_millis()))
                .line(format!("cluster-port {}", places[own].nodes.port()));
            Server::at(kind, options, places[own].clients)
        });
        Ok(Self { kind, primaries, nodes: nodes.collect::<Result<_, _>>()? })
    }

    /// Waits until every node that runs finds all slots served, and each replica has its primary's
    /// data.
    pub async fn settled(&self) {
        until(async || {
            for node in self.nodes.iter().filter(|node| node.answers()) {
                let mut raw = node.raw().await;
                let state: String = raw.command("CLUSTER", &["INFO"]).await;
                let replication: String = raw.command("INFO", &["replication"]).await;
                if !state.contains("cluster_state:ok") || replication.contains("master_link_status:down") {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Whether every node that runs finds that not all slots are served.
    pub async fn is_down(&self) -> bool {
        for node in self.nodes.iter().filter(|node| node.answers()) {
            let state: String = node.raw().await.command("CLUSTER", &["INFO"]).await;
            if !state.contains("cluster_state:fail") {
                return false;
            }
        }
        true
    }

    /// Waits until each node knows that all of them announce this host name.
    pub async fn named(&self, host: &str) {
        until(async || {
            for node in &self.nodes {
                let told: String = node.raw().await.command("CLUSTER", &["NODES"]).await;
                if !told.lines().all(|line| line.contains(&format!(",{host}"))) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Has no node take another one for dead.
    pub async fn be_patient(&self) {
        for node in &self.nodes {
            node.raw().await.command::<()>("CONFIG", &["SET", "cluster-node-timeout", "600000"]).await;
        }
    }

    /// The URL that names the first primaries.
    pub fn url(&self) -> String {
        self.url_of(&self.nodes[..self.primaries])
    }

    /// A URL that names these nodes.
    pub fn url_of<'a>(&self, nodes: impl IntoIterator<Item = &'a Server>) -> String {
        let urls: Vec<String> = nodes.into_iter().map(Server::url).collect();
        let (scheme, first) = urls[0].split_once("://").expect("a URL");
        let login = first.rsplit_once('@').map(|(login, _)| format!("{login}@")).unwrap_or_default();
        let places: Vec<_> = urls.iter().map(|url| url.rsplit(['/', '@']).next().expect("an address")).collect();
        format!("{scheme}-cluster://{login}{}", places.join(","))
    }

    /// The number of the node that serves a slot, by the word of the nodes that answer. While none
    /// does, it is waited for.
    pub async fn owner(&self, slot: u16) -> usize {
        let mut owner = None;
        until(async || {
            for node in self.nodes.iter().filter(|node| node.answers()) {
                let told: String = node.raw().await.command("CLUSTER", &["NODES"]).await;
                owner = owner.or(told.lines().find_map(|line| serves(line, slot)));
            }
            owner.is_some()
        })
        .await;
        owner.expect("it was waited for")
    }

    /// The slots that a node serves, by its own word.
    pub async fn slots_of(&self, node: usize) -> Vec<u16> {
        let told: String = self.nodes[node].raw().await.command("CLUSTER", &["NODES"]).await;
        let served = told.lines().filter_map(served).find(|(of, _)| *of == node);
        served.into_iter().flat_map(|(_, ranges)| ranges).flatten().collect()
    }

    /// A driver connection to the node that serves a slot.
    pub async fn raw(&self, slot: u16) -> Raw {
        self.nodes[self.owner(slot).await].raw().await
    }

    /// Moves a slot with all its keys.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let step = self.begin_move(slot, to).await;
        while self.move_keys(&step, 10).await {}
        self.end_move(step).await;
    }

    /// From here on both nodes know that the slot is on its way.
    pub async fn begin_move(&self, slot: u16, to: usize) -> SlotMove {
        let from = self.owner(slot).await;
        let text = slot.to_string();
        self.nodes[to].raw().await.command::<()>("CLUSTER", &["SETSLOT", &text, "IMPORTING", &node_id(from)]).await;
        self.nodes[from].raw().await.command::<()>("CLUSTER", &["SETSLOT", &text, "MIGRATING", &node_id(to)]).await;
        SlotMove { slot, from, to }
    }

    /// Moves so many keys; `false`: none was left.
    pub async fn move_keys(&self, step: &SlotMove, count: usize) -> bool {
        let keys = self.keys_left(step, count).await;
        self.move_these(step, &keys).await;
        !keys.is_empty()
    }

    /// At most so many of the keys that have not been moved.
    pub async fn keys_left(&self, step: &SlotMove, count: usize) -> Vec<String> {
        let (slot, count) = (step.slot.to_string(), count.to_string());
        self.nodes[step.from].raw().await.command("CLUSTER", &["GETKEYSINSLOT", &slot, &count]).await
    }

    /// Moves these keys of the slot. One that is gone meanwhile is not missed.
    pub async fn move_these(&self, step: &SlotMove, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let mut source = self.nodes[step.from].raw().await;
        let target = self.nodes[step.to].address();
        let (host, port) = (target.ip().to_string(), target.port().to_string());
        let mut words = vec![&*host, &*port, "", "0", "10000", "KEYS"];
        words.extend(keys.iter().map(String::as_str));
        source.command::<()>("MIGRATE", &words).await;
    }

    /// The slot is the new owner's, which is told first. The other nodes hear of it from these two.
    pub async fn end_move(&self, step: SlotMove) {
        for node in [step.to, step.from] {
            let mut raw = self.nodes[node].raw().await;
            raw.command::<()>("CLUSTER", &["SETSLOT", &step.slot.to_string(), "NODE", &node_id(step.to)]).await;
        }
    }

    /// Has the node of a slot tell its replica nothing more: the replica has what was written
    /// before, and stands still. What is written from here on is lost with the node. Returns the
    /// node and its replica.
    pub async fn cut_off(&self, slot: u16) -> (usize, usize) {
        let primary = self.owner(slot).await;
        let replica = (primary + self.primaries) % self.nodes.len();
        let mut raw = self.nodes[primary].raw().await;
        let (written, mut follower) =
            (raw.info("replication", "master_repl_offset").await, self.nodes[replica].raw().await);
        until(async || follower.info("replication", "slave_repl_offset").await >= written).await;
        self.nodes[replica].pause();
        raw.command::<()>("CLIENT", &["KILL", "TYPE", "replica"]).await;
        (primary, replica)
    }

    /// Kills a node that was [cut off](Self::cut_off), and waits until its replica serves the slot.
    pub async fn lose(&mut self, (primary, replica): (usize, usize), slot: u16) {
        self.nodes[primary].stop();
        self.nodes[replica].resume();
        until(async || self.owner(slot).await == replica).await;
    }

    /// Has a replica take its primary's place, and waits until it has.
    pub async fn fail_over(&self, slot: u16) -> usize {
        let primary = self.owner(slot).await;
        let replica = (primary + self.primaries) % self.nodes.len();
        self.nodes[replica].raw().await.command::<()>("CLUSTER", &["FAILOVER"]).await;
        until(async || self.owner(slot).await == replica).await;
        replica
    }
}

/// The node of a line of `CLUSTER NODES`, if it serves the slot.
fn serves(line: &str, slot: u16) -> Option<usize> {
    let (node, ranges) = served(line)?;
    ranges.iter().any(|range| range.contains(&slot)).then_some(node)
}

/// The node of a line of `CLUSTER NODES`, and what it serves. `None`: the others take it for dead.
fn served(line: &str) -> Option<(usize, Vec<RangeInclusive<u16>>)> {
    let mut words = line.split(' ');
    let node = usize::from_str_radix(words.next()?, 16).ok()?;
    let flags = words.nth(1)?;
    let ranges = words.skip(5).filter(|word| !word.starts_with('['));
    let ranges = ranges.filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    (!flags.split(',').any(|flag| flag == "fail")).then(|| (node, ranges.collect()))
}

/// By which the nodes of a [`ClusterSet`] know the one with this number.
pub fn node_id(node: usize) -> String {
    format!("{node:040x}")
}

/// What the nodes would find out by meeting, in the words of their own file.
fn known_nodes(places: &[Place], primaries: usize, own: usize) -> String {
    let mut text = String::new();
    for (node, Place { clients, nodes }) in places.iter().enumerate() {
        let myself = if node == own { "myself," } else { "" };
        let primary = node % primaries;
        let (role, slots) = match node < primaries {
            true => {
                let first = |primary: usize| primary * SLOTS / primaries;
                ("master -".to_owned(), format!(" {}-{}", first(primary), first(primary + 1) - 1))
            }
            false => (format!("slave {}", node_id(primary)), String::new()),
        };
        // Without brackets, also if it is of IPv6.
        let (host, port, bus) = (clients.ip(), clients.port(), nodes.port());
        let _ =
            writeln!(text, "{} {host}:{port}@{bus} {myself}{role} 0 0 {} connected{slots}", node_id(node), primary + 1);
    }
    text + &format!("vars currentEpoch {primaries} lastVoteEpoch 0\n")
}

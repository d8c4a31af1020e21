//! The clusters that all tests share.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::server::{ClusterPorts, Server};

const PRIMARIES: usize = 3;
/// A replica for each.
const NODES: usize = 2 * PRIMARIES;
const SLOTS: usize = 16_384;

/// Most attempts to start: see [`Server`].
const ATTEMPTS: usize = 5;
/// How long the nodes may take to agree. They wait for two seconds after they have started.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Three primaries and three replicas of one kind; dropping it ends them.
pub(crate) struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts the nodes. They know each other from files that are written here: that takes no
    /// messages between them, and is all that they would find out by meeting.
    pub(crate) fn start(program: &Path) -> Result<Self, String> {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(program) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn start_once(program: &Path) -> Result<Self, String> {
        let ports = (0..NODES).map(|_| ClusterPorts::free()).collect::<Result<Vec<_>, _>>()?;
        let start = |own| Server::cluster_node(program, ports[own], &known_nodes(&ports, own));
        Ok(Self { nodes: (0..NODES).map(start).collect::<Result<_, _>>()? })
    }

    /// Waits until every node finds all slots served.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while !is_settled(node.port).unwrap_or(false) {
                if Instant::now() > until {
                    return Err(format!("the cluster at {} does not settle within {PATIENCE:?}", self.url()));
                }
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Names the primaries.
    pub(crate) fn url(&self) -> String {
        self.url_of("")
    }

    /// The same for who may do everything.
    pub(crate) fn admin_url(&self) -> String {
        self.url_of("admin:admin@")
    }

    fn url_of(&self, login: &str) -> String {
        let places: Vec<String> =
            self.nodes[..PRIMARIES].iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{login}{}", places.join(","))
    }
}

/// The file `nodes.conf` of one node.
fn known_nodes(ports: &[ClusterPorts], own: usize) -> String {
    let id = |node: usize| format!("{node:040x}");
    let mut text = String::new();
    for (node, ClusterPorts { port, bus }) in ports.iter().enumerate() {
        let myself = if node == own { "myself," } else { "" };
        let primary = node % PRIMARIES;
        let (role, slots) = match node < PRIMARIES {
            true => ("master -".to_owned(), {
                let first = |primary: usize| primary * SLOTS / PRIMARIES;
                format!(" {}-{}", first(primary), first(primary + 1) - 1)
            }),
            false => (format!("slave {}", id(primary)), String::new()),
        };
        let epoch = primary + 1;
        let _ = writeln!(text, "{} 127.0.0.1:{port}@{bus} {myself}{role} 0 0 {epoch} connected{slots}", id(node));
    }
    text + &format!("vars currentEpoch {PRIMARIES} lastVoteEpoch 0\n")
}

/// Whether the node finds all slots served, and, a replica, has its primary's data.
fn is_settled(port: u16) -> Option<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"AUTH admin admin\r\nCLUSTER INFO\r\nINFO replication\r\nQUIT\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.contains("cluster_state:ok") && !text.contains("master_link_status:down"))
}

//! What is wrong with a cluster: with each of its nodes, and with the namespace that lies on them.

use std::ops::RangeInclusive;

use cache_core::{Cache, StoreKey};
use redis::{Value, from_redis_value};

use super::finding::{Finding, Severity};
use super::report::{ClusterNodeReport, ClusterReport, NodeReport, Report};
use super::sample::Sample;
use super::server::{Answer, Refusal, Server};
use super::{Examined, examine};
use crate::ending::Failure;
use crate::target::Target;
use crate::terminal::Terminal;

const SLOTS: u16 = 16_384;
/// Scratch keys that are looked at until one is in a slot of a node: several for each partition
/// that a namespace can have.
const SCRATCH_MAX: u32 = 16_384;

/// A node that serves slots.
struct Node {
    address: String,
    slots: Vec<RangeInclusive<u16>>,
    /// Slots that are being moved to or from it, by its own word.
    moving: Vec<u16>,
    server: Result<Server, String>,
}

/// The first part of a URL, up to the nodes, the nodes, and what stands behind.
struct ClusterUrl<'a> {
    before: String,
    seeds: Vec<&'a str>,
    query: String,
}

pub(crate) async fn look(
    cache: &Cache,
    target: &Target,
    terminal: &Terminal,
    user: Option<&str>,
) -> Result<Report, Failure> {
    let nodes = nodes(target).await?;
    let mut report = partitions(cache, &nodes).await;
    let (mut findings, mut now_ms) = (findings(&report, &nodes), 0);
    for node in &nodes {
        let own = (0..report.partitions.unwrap_or_default()).filter(|number| serves(cache, node, *number)).collect();
        let examined = node.examine(cache, user, target).await;
        if let Some(examined) = &examined {
            now_ms = examined.facts.now_ms;
            findings.extend(examined.findings().into_iter().filter_map(|finding| of_node(&node.address, finding)));
        }
        let (address, server) = (node.address.clone(), examined.map(NodeReport::new));
        report.nodes.push(ClusterNodeReport { address, partitions: own, server });
    }
    let servers: Vec<Server> = nodes.into_iter().filter_map(|node| node.server.ok()).collect();
    // A look makes no partitions where there are none yet.
    let sample = match report.partitions {
        Some(_) => super::sample(cache, &servers, target, terminal, now_ms, &mut findings).await?,
        None => Sample::default(),
    };
    Ok(Report::of_cluster(report, sample, findings))
}

/// That it is a node of a cluster is as it should be.
fn of_node(address: &str, finding: Finding) -> Option<Finding> {
    let title = format!("{address}: {}", finding.title);
    (finding.id != "cluster").then_some(Finding { title, ..finding })
}

/// The nodes that serve slots, as the first seed that answers tells it.
async fn nodes(target: &Target) -> Result<Vec<Node>, Failure> {
    let url = ClusterUrl::read(target.url());
    let mut failure = Failure::wrong("the URL of the cluster names no node");
    for seed in &url.seeds {
        let asked = match Server::connect_to(target, &url.of(seed)).await {
            Ok(server) => server.ask::<Value>(&["CLUSTER", "SLOTS"]).await.map_err(|refusal| no_slots(seed, &refusal)),
            Err(error) => Err(error),
        };
        match asked {
            Ok(told) => {
                let mut nodes = owners(told, seed);
                for node in &mut nodes {
                    node.server = Server::connect_to(target, &url.of(&node.address))
                        .await
                        .map_err(|error| error.message().to_owned());
                    node.moving = node.moving().await;
                }
                return Ok(nodes);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn no_slots(seed: &str, refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::NotPermitted(why) => Failure::wrong(format!("{seed}: {why}: allow +cluster|slots")),
        _ => Failure::wrong(format!("{seed} is no node of a cluster: redis://{seed} is the URL of a server by itself")),
    }
}

/// The answer to `CLUSTER SLOTS`: for each range its first slot, its last, and its nodes, of which
/// the primary comes first. A node without a host is at that of the node that was asked.
fn owners(told: Value, asked: &str) -> Vec<Node> {
    let rows: Vec<Vec<Value>> = from_redis_value(told).unwrap_or_default();
    let mut nodes = Vec::<Node>::new();
    for row in rows {
        let mut row = row.into_iter();
        let mut slot = || from_redis_value::<u16>(row.next()?).ok();
        let (Some(first), Some(last)) = (slot(), slot()) else { continue };
        let primary: Vec<Value> = row.next().and_then(|node| from_redis_value(node).ok()).unwrap_or_default();
        let mut primary = primary.into_iter();
        let host = primary.next().and_then(|host| from_redis_value::<Option<String>>(host).ok()).flatten();
        let Some(port) = primary.next().and_then(|port| from_redis_value::<u16>(port).ok()) else { continue };
        let host = host.filter(|host| !host.is_empty() && host != "?");
        let host = host.unwrap_or_else(|| asked.rsplit_once(':').map_or(asked, |(host, _)| host).to_owned());
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        let address = format!("{host}:{port}");
        match nodes.iter_mut().find(|node| node.address == address) {
            Some(node) => node.slots.push(first..=last),
            None => {
                let (slots, server) = (vec![first..=last], Err(String::new()));
                nodes.push(Node { address, slots, moving: Vec::new(), server });
            }
        }
    }
    nodes
}

impl Node {
    fn serves(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }

    /// Empty as well if it may not be asked.
    async fn moving(&self) -> Vec<u16> {
        let Ok(server) = &self.server else { return Vec::new() };
        let told: String = server.ask(&["CLUSTER", "NODES"]).await.unwrap_or_default();
        let own = told.lines().find(|line| line.contains("myself")).unwrap_or_default();
        let moves = own.split_whitespace().filter_map(|word| word.strip_prefix('['));
        moves.filter_map(|slot| slot.split('-').next()?.parse().ok()).collect()
    }

    async fn examine(&self, cache: &Cache, user: Option<&str>, target: &Target) -> Option<Examined> {
        let server = self.server.as_ref().ok()?;
        let random = fastrand::u64(..);
        let scratch = (0..SCRATCH_MAX)
            .filter_map(|number| cache.physical_key(StoreKey::Value(&format!("doctor-{random:016x}-{number}"))));
        let scratch = scratch.into_iter().find(|key| self.serves(slot_of(key)))?;
        let clocks = (0..).map_while(|number| cache.physical_key(StoreKey::ClockOf(number)));
        let clock = clocks.into_iter().find(|clock| self.serves(slot_of(clock)))?;
        Some(examine(server, &clock, &scratch, user, target.timeout()).await)
    }
}

fn serves(cache: &Cache, node: &Node, partition: u16) -> bool {
    cache.physical_key(StoreKey::ClockOf(partition)).is_some_and(|clock| node.serves(slot_of(&clock)))
}

/// How many partitions the namespace has, and what is wrong with each.
async fn partitions(cache: &Cache, nodes: &[Node]) -> ClusterReport {
    let mut report = ClusterReport::default();
    let Some(recorded) = cache.physical_key(StoreKey::Partitions) else { return report };
    if let Some(server) = server_of(&recorded, nodes) {
        report.partitions = server.ask::<Option<u16>>(&["GET", &recorded]).await.ok().flatten();
    }
    for number in 0..report.partitions.unwrap_or_default() {
        // The URL may name a smaller number: `ready` tells that.
        let Some(clock) = cache.physical_key(StoreKey::ClockOf(number)) else { break };
        if !nodes.iter().any(|node| node.serves(slot_of(&clock))) {
            report.unserved.push(number);
        }
        if nodes.iter().any(|node| node.moving.contains(&slot_of(&clock))) {
            report.moving.push(number);
        }
        let Some(server) = server_of(&clock, nodes) else { continue };
        let complete: Answer<Option<f64>> = server.ask(&["ZSCORE", &clock, "!complete"]).await;
        if report.partitions != Some(1) && complete == Ok(None) {
            report.incomplete.push(number);
        }
    }
    report
}

fn server_of<'a>(key: &str, nodes: &'a [Node]) -> Option<&'a Server> {
    nodes.iter().find(|node| node.serves(slot_of(key)))?.server.as_ref().ok()
}

fn findings(report: &ClusterReport, nodes: &[Node]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in nodes {
        if let Err(why) = &node.server {
            findings.push(Finding::new(
                "node",
                Severity::Critical,
                format!("the node {} does not answer: {why}", node.address),
                "what lies there is loaded, and invalidations that need it are owed",
                "start it, or let its replica take its place",
            ));
        }
    }
    let mut of_partitions = |id, severity, numbers: &[u16], what: &str, means: &str, to_do: &str| {
        if !numbers.is_empty() {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            findings.push(Finding::new(
                id,
                severity,
                format!("{what}: partitions {}", numbers.join(", ")),
                means,
                to_do,
            ));
        }
    };
    of_partitions(
        "unserved",
        Severity::Critical,
        &report.unserved,
        "slots that no node serves",
        "what lies there is loaded, and invalidations that need it are owed",
        "redis-cli --cluster check, then --cluster fix",
    );
    of_partitions(
        "moving",
        Severity::Warning,
        &report.moving,
        "slots that are being moved",
        "until the move is over, only hits are served there: other calls load, and invalidations are owed",
        "let the move end; redis-cli --cluster check tells of one that was broken off",
    );
    of_partitions(
        "incomplete",
        Severity::Warning,
        &report.incomplete,
        "lists of what lies elsewhere that are not complete",
        "what has a name at home there is loaded and not stored, and each invalidation of one asks every partition",
        "the processes of this namespace make them anew within seconds: see whether one runs, and whether all nodes answer",
    );
    if report.partitions.is_none() {
        findings.push(Finding::new(
            "no_partitions",
            Severity::Note,
            "no number of partitions is written down",
            "no process has used the namespace yet, or this user may not read there",
            "see whether the namespace is spelled as the processes do",
        ));
    }
    findings
}

impl<'a> ClusterUrl<'a> {
    fn read(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("-cluster://").unwrap_or(("redis", url));
        let (places, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, places) = places.rsplit_once('@').map_or(("", places), |(login, places)| (login, places));
        let at = if login.is_empty() { "" } else { "@" };
        let query = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("partitions="));
        Self {
            before: format!("{scheme}://{login}{at}"),
            seeds: places.trim_end_matches('/').split(',').filter(|seed| !seed.is_empty()).collect(),
            query: query.collect::<Vec<_>>().join("&"),
        }
    }

    /// The URL of one node.
    fn of(&self, address: &str) -> String {
        let question_mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{address}{question_mark}{}", self.before, self.query)
    }
}

/// The slot of a key: the checksum CRC-16/XMODEM of what stands in its first braces.
fn slot_of(key: &str) -> u16 {
    let in_braces = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = in_braces.filter(|tag| !tag.is_empty()).unwrap_or(key);
    let crc = hashed.bytes().fold(0u16, |crc, byte| {
        let mixed = crc ^ u16::from(byte) << 8;
        (0..8).fold(mixed, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        assert_eq!(["123456789", "{123456789}x", "{}key"].map(slot_of)[..2], [0x31c3; 2]);
        assert_eq!(slot_of("key"), 12_539);
    }

    #[test]
    fn each_node_has_the_login_and_the_parameters_of_the_url() {
        let url = ClusterUrl::read("rediss-cluster://ann:p@a,[::1]:7001/?partitions=4&ca=f.pem");
        assert_eq!(url.seeds, ["a", "[::1]:7001"]);
        assert_eq!(url.of("b:1"), "rediss://ann:p@b:1?ca=f.pem");
        let bare = ClusterUrl::read("redis-cluster://a:1");
        assert_eq!((bare.of(bare.seeds[0]), bare.seeds.len()), ("redis://a:1".to_owned(), 1));
    }

    #[test]
    fn a_node_serves_what_the_answer_gives_it() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = |first, last, host: Value, port| {
            Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(vec![host, Value::Int(port)])])
        };
        let told = Value::Array(vec![row(0, 5, text("a"), 1), row(6, 7, Value::Nil, 2), row(8, 9, text("a"), 1)]);
        let nodes = owners(told, "seed:9");
        let addresses: Vec<_> = nodes.iter().map(|node| &*node.address).collect();
        assert_eq!(addresses, ["a:1", "seed:2"]);
        assert_eq!([0, 7, 9].map(|slot| nodes[0].serves(slot)), [true, false, true]);
        assert_eq!(owners(Value::Nil, "seed:9").len(), 0);
    }
}

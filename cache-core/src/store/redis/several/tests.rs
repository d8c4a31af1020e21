//! Partitions on a node that says what it is told to say, in paused time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::connect::tests::cluster::Nodes;
use super::super::connect::tests::fake::Answer;
use super::super::connect::{Connection, Hooks, Inheritance, Pool};
use super::super::layout::Layout;
use super::super::namespaces::Namespaces;
use super::super::scripts::{self, Script};
use super::losses::PartitionLosses;
use super::*;
use crate::config::{CONNECT_TIMEOUT, OPERATION_DEADLINE, RECONCILE_PAUSE};
use crate::store::conformance::rig::{parse, stored};
use crate::store::{HomeReading, far};

mod filling;
mod losing;
mod readying;
mod removing;

const COUNT: u16 = 4;
const LONG: Duration = Duration::from_secs(60);
const REIGN: &str = "a/";

/// The node `a`, which has all partitions of a namespace, and a store that talks to it alone.
struct ScriptedNode {
    nodes: Nodes,
    store: RedisPartitions,
}

impl ScriptedNode {
    /// Nothing is amiss.
    fn new() -> Self {
        let (nodes, namespaces) = (Nodes::new(), Namespaces::default());
        let config = of_namespace("shop");
        let hooks = namespaces.hooks(&layouts());
        let pool = nodes.hooked(("a:7000", &[]), &probes(), &config, hooks);
        let store = RedisPartitions(PartitionSet::over(Arc::new(pool), namespaces, layouts(), &config));
        let node = Self { nodes, store };
        // Each partition has their number.
        node.nodes.at("a").on("GET", Answer::text(&COUNT.to_string()));
        node.on(&scripts::TRIAL, "*0\r\n");
        node.on(&scripts::MEET, &text("whole"));
        node.on(&scripts::RELEASE_LEASE, ":1\r\n");
        (0..COUNT).for_each(|number| node.tell_state(number, "1"));
        node
    }

    /// In each partition.
    fn on(&self, script: &Script, answer: &str) {
        self.nodes.at("a").on(&sent(script), Answer::raw(answer));
    }

    /// In one partition, of a script that has one key.
    fn on_in(&self, partition: u16, script: &Script, answer: Answer) {
        let declared = layouts()[usize::from(partition)].declared();
        self.nodes.at("a").on(&format!("{} 1 {declared}", sent(script)), answer);
    }

    fn tell_state(&self, partition: u16, is_complete: &str) {
        let known = (0..COUNT).map(|home| format!("{home}:i{home}"));
        let words = [format!("i{partition}"), "1".to_owned(), is_complete.to_owned()].into_iter().chain(known);
        self.on_in(partition, &scripts::STATE, Answer::raw(&list(words.map(|word| text(&word)))));
    }

    /// The commands that were sent to run a script.
    fn runs(&self, script: &Script) -> Vec<String> {
        self.nodes.at("a").seen(&sent(script)).into_iter().map(|(_, command)| command).collect()
    }

    async fn connect(&self) -> Result<(), Error> {
        self.store.0.each[0].ready(LONG).await
    }

    /// Counts what the store tells of losses.
    fn listen(&self) -> Arc<AtomicUsize> {
        let told = Arc::new(AtomicUsize::new(0));
        let heard = told.clone();
        self.store.on_loss(Box::new(move || {
            heard.fetch_add(1, Ordering::SeqCst);
            true
        }));
        told
    }
}

fn of_namespace(name: &str) -> Config {
    Config { namespace: name.to_owned(), connections: 1, ..Config::default() }
}

fn layouts() -> Vec<Layout> {
    (0..COUNT).map(|number| Layout::of_partition("shop", number)).collect()
}

fn probes() -> Vec<String> {
    layouts().iter().map(Layout::declared).collect()
}

fn sent(script: &Script) -> String {
    format!("EVALSHA {}", script.sha1())
}

fn text(word: &str) -> String {
    format!("${}\r\n{word}\r\n", word.len())
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!("*{}\r\n{}", items.len(), items.concat())
}

/// What a script tells that has removed one entry, whose partition has this incarnation and has
/// lost members.
fn visited(incarnation: &str, seq: u64, lost: u64) -> Vec<String> {
    let nothing = || list([]);
    let removed = list([":1\r\n".to_owned(), text("x"), ":1\r\n".to_owned()]);
    let of_clock = [format!(":{seq}\r\n"), format!(":{lost}\r\n"), text(""), text(incarnation), ":1\r\n".to_owned()];
    let met = [nothing(), nothing(), nothing(), nothing()];
    [removed, nothing()].into_iter().chain(of_clock).chain(met).collect()
}

/// A text that is at home in a partition.
fn at_home_in(partition: u16) -> String {
    let partitions = Partitions::new(COUNT);
    (0..).map(|at| format!("x:{at}")).find(|text| partitions.home_of_key(text) == partition).unwrap()
}

//! The cluster that faults are done to: three primaries, and a replica for each.

use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cache_core::Cache;
use cache_tests::redis::FromRedisValue;
use cache_tests::{ClusterSet, NODE_TIMEOUT, PRIMARIES, Server, ServerKind, node_id, slot_of, until};
use tokio::process::{Child, Command};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use super::left::Left;
use super::stage::{self, LEAVES_WITHIN};
use super::{Act, Episode, Fault};
use crate::worker::{NAMESPACE, RETENTION};

/// How many partitions the namespace has.
pub(crate) const PARTITIONS: u16 = 16;
/// How many slots are moved at a time, of the cluster's 16,384.
const MOVED_SLOTS: usize = 1_000;
const RESHARDS_WITHIN: Duration = Duration::from_secs(600);
/// How many keys are moved at once, as `redis-cli` does it.
const KEYS_AT_ONCE: usize = 10;
/// How long a slot rests on its way, each time that something else of it has been moved.
const RESTS: Duration = Duration::from_millis(40);
/// When it is counted what is left of what was cleared.
const LOOKS_AFTER: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct ClusterStage {
    pub(super) set: ClusterSet,
    /// What the episode strikes; none: everything.
    pub(super) struck: BTreeSet<u16>,
    /// The primary that something is done to.
    node: usize,
    /// The partition whose slot is moved.
    partition: u16,
    resharding: Option<Child>,
    /// How often something was done in this episode.
    acts: u32,
    random: fastrand::Rng,
}

/// When the clock of a slot is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockGoes {
    First,
    Amid,
    Last,
}

impl ClusterStage {
    pub(super) async fn start(kind: ServerKind, seed: u64) -> Self {
        let (set, random) = (ClusterSet::start(kind).await, fastrand::Rng::with_seed(seed));
        Self { set, struck: BTreeSet::new(), node: 0, partition: 0, resharding: None, acts: 0, random }
    }

    pub(super) fn url(&self) -> String {
        format!("{}/?partitions={PARTITIONS}", self.set.url())
    }

    pub(super) async fn prepare(&mut self, episode: &Episode) -> io::Result<()> {
        (self.partition, self.acts) = (self.random.u16(0..PARTITIONS), 0);
        self.node = self.set.owner(slot_of(self.partition)).await;
        let moved = if episode.has(&[Fault::Reshard, Fault::AtomicReshard]) { MOVED_SLOTS } else { usize::MAX };
        let slots = self.set.slots_of(self.node).await.into_iter().take(moved).collect::<BTreeSet<_>>();
        self.struck = if episode.has(&[Fault::ClockFirst, Fault::ClockAmid, Fault::ClockLast]) {
            BTreeSet::from([self.partition])
        } else if episode.has(&Fault::OF_A_NODE) {
            (0..PARTITIONS).filter(|partition| slots.contains(&slot_of(*partition))).collect()
        } else {
            BTreeSet::new()
        };
        if episode.has(&[Fault::NodeStopped, Fault::NodeStoppedMoved]) {
            self.set.be_patient().await;
        }
        Ok(())
    }

    /// As [`Stage::act`](stage::Stage::act).
    pub(super) async fn act(&mut self, fault: Fault, act: Act) -> io::Result<()> {
        match act {
            Act::End => self.end(fault).await,
            Act::Begin | Act::Again => {
                self.acts += 1;
                self.strike(fault, act).await
            }
        }
    }

    async fn strike(&mut self, fault: Fault, act: Act) -> io::Result<()> {
        match fault {
            Fault::Reshard => self.resharding = Some(self.reshard().await?),
            Fault::AtomicReshard => self.migrate().await?,
            Fault::ClockFirst => self.move_slot(ClockGoes::First).await,
            Fault::ClockAmid => self.move_slot(ClockGoes::Amid).await,
            Fault::ClockLast => self.move_slot(ClockGoes::Last).await,
            Fault::NodeStoppedMoved if act == Act::Again => self.move_elsewhere().await,
            Fault::NodeStopped | Fault::NodeStoppedMoved | Fault::NodeReplaced => {
                block_in_place(|| self.set.nodes[self.node].pause());
            }
            Fault::NodeKilled => block_in_place(|| self.set.nodes[self.node].stop()),
            Fault::NodeHandsOver => _ = self.set.fail_over(slot_of(self.partition)).await,
            Fault::NodeFlushed => self.command::<()>(self.node, &["FLUSHALL"]).await?,
            Fault::ClientsKilled if self.acts.is_multiple_of(3) => {
                let node = self.another_primary(usize::MAX).await;
                self.command::<()>(node, &["FLUSHALL"]).await?;
            }
            Fault::ClientsKilled => {}
            _ => return Err(io::Error::other(format!("{act:?} is nothing that is done to a cluster"))),
        }
        Ok(())
    }

    async fn end(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Reshard => self.resharded().await?,
            Fault::NodeKilled | Fault::NodeReplaced => {
                until(async || self.set.owner(slot_of(self.partition)).await != self.node).await;
            }
            _ => {}
        }
        if fault.is_standstill() {
            self.set.nodes[self.node].resume();
        }
        Ok(())
    }

    /// There are three primaries from now on that serve all slots, and each has a replica that has
    /// what it has.
    pub(super) async fn heal(&mut self) -> io::Result<()> {
        self.resharding = None;
        for node in &mut self.set.nodes {
            if !node.is_running() {
                block_in_place(|| node.start_again());
            } else if !node.answers() {
                node.resume();
            }
        }
        until(async || self.primaries().await.len() == PRIMARIES).await;
        self.set.settled().await;
        Ok(())
    }

    /// The nodes that say that they are.
    async fn primaries(&self) -> Vec<usize> {
        let mut primaries = Vec::new();
        for (number, node) in self.set.nodes.iter().enumerate().filter(|(_, node)| node.answers()) {
            let told: String = node.raw().await.command("CLUSTER", &["NODES"]).await;
            if told.lines().any(|line| line.contains("myself,master")) {
                primaries.push(number);
            }
        }
        primaries
    }

    pub(super) async fn any_primary(&mut self) -> &Server {
        let primaries = self.primaries().await;
        &self.set.nodes[primaries[self.random.usize(..primaries.len())]]
    }

    async fn another_primary(&mut self, than: usize) -> usize {
        let mut primaries = self.primaries().await;
        primaries.retain(|node| *node != than);
        primaries[self.random.usize(..primaries.len())]
    }

    /// As an operator does it.
    async fn reshard(&mut self) -> io::Result<Child> {
        let to = self.another_primary(self.node).await;
        let (at, count) = (self.set.nodes[self.node].address().to_string(), MOVED_SLOTS.to_string());
        let (from, to) = (node_id(self.node), node_id(to));
        let command = ["--cluster", "reshard", &at, "--cluster-from", &from, "--cluster-to", &to];
        let command = command.into_iter().chain(["--cluster-slots", &count, "--cluster-yes"]);
        let quiet = || Stdio::null();
        Command::new("redis-cli").args(command).stdin(quiet()).stdout(quiet()).kill_on_drop(true).spawn()
    }

    async fn resharded(&mut self) -> io::Result<()> {
        let Some(mut resharding) = self.resharding.take() else { return Ok(()) };
        let status = timeout(RESHARDS_WITHIN, resharding.wait()).await??;
        if status.success() { Ok(()) } else { Err(io::Error::other("`redis-cli --cluster reshard` has failed")) }
    }

    /// Returns when the slots are there.
    async fn migrate(&mut self) -> io::Result<()> {
        let to = self.another_primary(self.node).await;
        let slots: Vec<u16> = self.set.slots_of(self.node).await.into_iter().take(MOVED_SLOTS).collect();
        let ranges = slots.chunk_by(|slot, next| slot + 1 == *next).map(|range| [range[0], range[range.len() - 1]]);
        let ranges: Vec<String> = ranges.flatten().map(|slot| slot.to_string()).collect();
        let mut command = vec!["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"];
        command.extend(ranges.iter().map(String::as_str));
        let to_id = node_id(to);
        command.extend(["NODE", &to_id]);
        self.command::<()>(self.node, &command).await?;
        until(async || {
            let left = self.set.slots_of(self.node).await;
            !slots.iter().any(|slot| left.contains(slot))
        })
        .await;
        Ok(())
    }

    /// Moves the slot of the partition to another primary.
    async fn move_slot(&mut self, clock: ClockGoes) {
        let slot = slot_of(self.partition);
        let to = self.set.owner(slot).await;
        let to = self.another_primary(to).await;
        let step = self.set.begin_move(slot, to).await;
        loop {
            let keys = self.set.keys_left(&step, usize::from(u16::MAX)).await;
            if keys.is_empty() {
                break;
            }
            let (clocks, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.ends_with("~clock"));
            let before = match clock {
                ClockGoes::First => 0,
                ClockGoes::Amid => others.len() / 2,
                ClockGoes::Last => others.len(),
            };
            for part in [&others[..before], &clocks[..], &others[before..]] {
                sleep(RESTS).await;
                for keys in part.chunks(KEYS_AT_ONCE) {
                    self.set.move_these(&step, keys).await;
                }
            }
        }
        sleep(RESTS).await;
        self.set.end_move(step).await;
    }

    /// Moves a slot of ours from one of the nodes that answer to another one.
    async fn move_elsewhere(&mut self) {
        let elsewhere: Vec<u16> = (0..PARTITIONS).filter(|partition| !self.struck.contains(partition)).collect();
        self.partition = elsewhere[self.random.usize(..elsewhere.len())];
        self.move_slot(ClockGoes::Amid).await;
    }

    pub(super) async fn tidy(&mut self) -> io::Result<()> {
        let ms = NODE_TIMEOUT.as_millis().to_string();
        for node in 0..self.set.nodes.len() {
            self.command::<()>(node, &["CONFIG", "SET", "cluster-node-timeout", &ms]).await?;
        }
        Ok(())
    }

    async fn command<T: FromRedisValue>(&self, node: usize, words: &[&str]) -> io::Result<T> {
        stage::command(&self.set.nodes[node], words).await
    }

    /// What is still there after a while. Marks go with the TTL of what they were made for, and
    /// circles of dependencies over several partitions keep theirs.
    pub(super) async fn left(&mut self) -> io::Result<Left> {
        let cache = Cache::builder().url(self.url()).namespace(NAMESPACE).fence_retention(RETENTION);
        let cache = cache.operation_deadline(LEAVES_WITHIN).build().map_err(io::Error::other)?;
        cache.ready(LEAVES_WITHIN).await.map_err(io::Error::other)?;
        let cleared = Instant::now();
        cache.clear().await.map_err(io::Error::other)?;
        sleep(LOOKS_AFTER).await;
        let mut left = Left { partitions: PARTITIONS, ..Left::default() };
        for node in self.primaries().await {
            let mut raw = self.set.nodes[node].raw().await;
            left.add(&stage::measure(&mut raw, &format!("{{{NAMESPACE}/*"), cleared).await);
        }
        Ok(left)
    }
}

//! Two nodes with a partition each, which answer, hang and refuse as they are told.

use std::sync::Arc;

use tokio::sync::Notify;

use super::*;
use crate::clock;
use crate::config::{Config, OPERATION_DEADLINE};
use crate::store::redis::connect::tests::cluster::Nodes;
use crate::store::redis::connect::tests::fake::Answer;
use crate::store::redis::layout::Layout;
use crate::store::redis::namespaces::Namespaces;

const NOTHING: &str = "_\r\n";

/// Partition 0 lies on `a`, and partition 1 on `b`. Neither has a number.
fn two_partitions() -> (Nodes, Arc<PartitionSet>) {
    let nodes = Nodes::new();
    nodes.tell(&[("a", 0, 8_191), ("b", 8_192, 16_383)]);
    ["a", "b"].iter().for_each(|node| has(&nodes, node, NOTHING));
    let layouts: Vec<Layout> = (0..2).map(|number| Layout::of_partition("shop", number)).collect();
    let probes: Vec<String> = layouts.iter().map(Layout::declared).collect();
    let pool = Arc::new(nodes.probing("a:7000", &probes, &[]));
    let config = Config { namespace: "shop".into(), ..Config::default() };
    let set = PartitionSet::over(pool, Namespaces::default(), layouts, &config);
    (nodes, set)
}

fn has(nodes: &Nodes, node: &str, reply: &str) {
    nodes.at(node).on("GET", Answer::raw(reply));
}

/// What was written down at a node.
fn written(nodes: &Nodes, node: &str) -> Vec<String> {
    let mut written: Vec<String> = nodes.at(node).seen("SET").into_iter().map(|(_, command)| command).collect();
    written.dedup();
    written
}

fn in_time() -> Instant {
    clock::now() + OPERATION_DEADLINE
}

async fn until_all_is_done() {
    tokio::time::sleep(4 * OPERATION_DEADLINE).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_new_namespace_the_first_partition_decides_and_then_has_its_copies() {
    let (nodes, set) = two_partitions();
    set.confirm(in_time()).await.unwrap();
    until_all_is_done().await;
    assert_eq!(written(&nodes, "a"), [format!("SET {} 2 NX", set.at(0).layout.partitions())]);
    assert_eq!(written(&nodes, "b"), [format!("SET {} 2", set.at(1).layout.partitions())]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_counts_at_once_while_the_first_partition_hangs() {
    for (copy, is_own) in [("$1\r\n2\r\n", true), ("$1\r\n8\r\n", false)] {
        let (nodes, set) = two_partitions();
        has(&nodes, "b", copy);
        nodes.at("a").on("GET", Answer::Stall);
        nodes.at("a").on("SET", Answer::Stall);
        let began = clock::now();
        let confirmed = set.confirm(in_time()).await;
        assert_eq!(began, clock::now());
        assert_eq!(confirmed.map_err(|error| error.kind()), if is_own { Ok(()) } else { Err(ErrorKind::Config) });
        has(&nodes, "b", NOTHING);
        until_all_is_done().await;
        assert!(written(&nodes, "b").is_empty(), "the first partition has not confirmed it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_has_lost_the_number_is_given_that_of_a_copy() {
    let (nodes, set) = two_partitions();
    has(&nodes, "b", "$1\r\n8\r\n");
    assert_eq!(set.record(in_time()).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(written(&nodes, "a"), [format!("SET {} 8 NX", set.at(0).layout.partitions())]);
    assert!(written(&nodes, "b").is_empty());
}

/// ★ Else a namespace could not be begun while any node is away.
#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_leaves_time_to_begin_a_namespace() {
    let (nodes, set) = two_partitions();
    nodes.at("b").on("GET", Answer::Stall);
    let began = clock::now();
    set.confirm(in_time()).await.unwrap();
    assert_eq!(clock::now() - began, OPERATION_DEADLINE / 2);
}

/// Nothing is known then, and the next call asks anew.
#[tokio::test(start_paused = true)]
async fn without_any_number_the_error_is_that_of_the_first_partition() {
    let (nodes, set) = two_partitions();
    for (reply, kind) in [("-OOM private\r\n", ErrorKind::Limit), ("-LOADING private\r\n", ErrorKind::Unavailable)] {
        nodes.at("a").on("SET", Answer::raw(reply));
        assert_eq!(set.confirm(in_time()).await.unwrap_err().kind(), kind);
        assert_eq!(set.recorded(), UNKNOWN);
    }
    nodes.at("a").on("SET", Answer::raw("+OK\r\n"));
    set.confirm(in_time()).await.unwrap();
}

/// ★ It may be there, although there is no room for another one.
#[tokio::test(start_paused = true)]
async fn a_number_is_found_on_a_node_that_is_full() {
    let (nodes, set) = two_partitions();
    nodes.at("a").on("SET", Answer::raw("-OOM private\r\n"));
    has(&nodes, "a", "$1\r\n2\r\n");
    set.record(in_time()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_leaves_nothing_behind() {
    let (nodes, set) = two_partitions();
    let answer = Arc::new(Notify::new());
    for node in ["a", "b"] {
        nodes.at(node).on("GET", Answer::ReplyAfter(answer.clone(), NOTHING.into()));
    }
    assert!(tokio::time::timeout(OPERATION_DEADLINE / 4, set.confirm(in_time())).await.is_err());
    assert_eq!(set.recorded(), UNKNOWN);
    ["a", "b"].iter().for_each(|node| has(&nodes, node, NOTHING));
    answer.notify_one();
    answer.notify_one();
    until_all_is_done().await;
    assert!(written(&nodes, "a").is_empty());
    set.confirm(in_time()).await.unwrap();
    assert_eq!(written(&nodes, "a").len(), 1);
}

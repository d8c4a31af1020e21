//! Who is told that the store is ready can store what has names of other partitions.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A node where the lists of a partition are incomplete, and what is lost again whenever they are
/// made anew.
fn forgetful() -> ScriptedNode {
    let node = ScriptedNode::new();
    node.tell_state(1, "0");
    node.on(&scripts::ADOPT, ":1\r\n");
    node.on(&scripts::LIST, &list([text("0")]));
    node.on(&scripts::NOTE_LISTED, ":0\r\n");
    node
}

/// A node where a partition does not tell for the moment.
fn refusing() -> ScriptedNode {
    let node = ScriptedNode::new();
    node.on_in(1, &scripts::STATE, Answer::raw("-CLUSTERDOWN The cluster is down\r\n"));
    node
}

/// A node whose list is none.
fn babbling() -> ScriptedNode {
    let node = forgetful();
    node.on(&scripts::LIST, &list([]));
    node
}

#[tokio::test(start_paused = true)]
async fn ready_waits_until_the_lists_are_complete() {
    for node in [forgetful(), refusing(), babbling()] {
        let mut ready = node.store.ready(LONG);
        assert!(timeout(10 * SECOND, &mut ready).await.is_err(), "they are not complete yet");
        node.tell_state(1, "1");
        timeout(SECOND, ready).await.expect("they are now").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_not_complete_in_time_are_completed_in_the_background() {
    for node in [forgetful(), refusing(), babbling()] {
        node.connect().await.unwrap();
        let begun = clock::now();
        let error = node.store.ready(SECOND).await.unwrap_err();
        assert_eq!((error.kind(), clock::since(begun)), (ErrorKind::Unavailable, SECOND), "{error}");
        let asked = node.runs(&scripts::STATE).len();
        tokio::time::sleep(RECONCILE_PAUSE).await;
        assert!(node.runs(&scripts::STATE).len() > asked);
    }
}

#[tokio::test(start_paused = true)]
async fn another_number_of_partitions_is_told_at_once() {
    let node = ScriptedNode::new();
    node.nodes.at("a").on("SET", Answer::raw("_\r\n"));
    node.nodes.at("a").on("GET", Answer::text("8"));
    let begun = clock::now();
    let error = node.store.ready(LONG).await.unwrap_err();
    assert_eq!((error.kind(), clock::since(begun)), (ErrorKind::Config, Duration::ZERO), "{error}");
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_a_time_of_any_length() {
    ScriptedNode::new().store.ready(Duration::MAX).await.unwrap();
}

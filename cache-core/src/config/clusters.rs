//! The limits of clusters.

use std::time::Duration;

/// Nodes that a URL of a cluster may name. Two or three are enough to find the others.
pub(crate) const CLUSTER_SEEDS_MAX: usize = 32;
/// Nodes of a cluster that are remembered, and their addresses that may be mapped to others. A
/// cluster is not to have more of them.
pub(crate) const CLUSTER_NODES_MAX: usize = 1_000;
/// How often a call follows its slot to another node. A second time means that the nodes do not
/// agree yet.
pub(crate) const REDIRECTS_MAX: usize = 5;
/// The least time between two questions of one process about where the slots are, however many
/// calls want to know.
pub(crate) const TOPOLOGY_INTERVAL: Duration = Duration::from_millis(100);
/// How long one node may take to say where the slots are, its connection included; then the next
/// one is asked.
pub(crate) const TOPOLOGY_ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long all nodes together may take.
pub(crate) const TOPOLOGY_DEADLINE: Duration = Duration::from_secs(5);

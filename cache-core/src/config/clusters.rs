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
/// The partitions of a namespace on a cluster whose URL names no number. So many nodes can share
/// the entries; what belongs to one tag costs an invalidation a script for each partition that has
/// some of it. With 64 a tag of 100 members costs three times the scripts, and `clear` four times
/// (`cargo xtask bench cluster`), and on clusters of up to four nodes nothing is gained.
pub(crate) const PARTITIONS: u16 = 16;
/// The least time between two readings of the clocks of all partitions by one process.
pub(crate) const CLOCKS_PAUSE: Duration = Duration::from_millis(100);
/// How long one process may take to make the lists of the partitions complete, after a clock was
/// lost. What is left then is begun again by who meets it.
pub(crate) const RECONCILE_DEADLINE: Duration = Duration::from_secs(10);
/// The least time between two attempts.
pub(crate) const RECONCILE_PAUSE: Duration = Duration::from_millis(500);
/// Attempts of processes that found the same loss begin so far apart at most: those that come later
/// find that nothing is left to do.
pub(crate) const RECONCILE_JITTER: Duration = Duration::from_millis(100);
/// Scripts of one process under way at once that take away what invalidations have followed. What
/// more invalidations leave is met again, or reaped.
pub(crate) const SETTLEMENTS_MAX: usize = 64;
/// Marks that one script takes away: 0.8 ms of a server's time (measured, Redis 7.0, 13 µs each).
pub(crate) const SETTLE_MARKS_PER_SCRIPT: usize = 64;

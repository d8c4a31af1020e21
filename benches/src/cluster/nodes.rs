//! What the nodes of a cluster say that they have done.

use std::time::Duration;

use cache_tests::ClusterSet;

use crate::server_time::{cpu_us, figures_of};

/// How long the nodes get nothing to do before they are asked: what is done in the background
/// belongs to the call.
const QUIET: Duration = Duration::from_millis(20);
/// As often at most: what is done from time to time is not waited for.
const QUESTIONS_MAX: usize = 20;
/// What the naive way sends.
const COMMANDS: [&str; 6] = ["get", "setex", "sadd", "smembers", "del", "scan"];

/// Since the nodes began.
pub struct Spent {
    pub scripts: f64,
    pub commands: f64,
    /// Of each node.
    pub cpu_us: Vec<f64>,
}

impl Spent {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            scripts: self.scripts - before.scripts,
            commands: self.commands - before.commands,
            cpu_us: self.cpu_us.iter().zip(&before.cpu_us).map(|(after, before)| after - before).collect(),
        }
    }
}

/// Asks once the nodes have nothing to do.
pub async fn spent(set: &ClusterSet) -> Spent {
    let mut last = ask(set).await;
    for _ in 0..QUESTIONS_MAX {
        tokio::time::sleep(QUIET).await;
        let now = ask(set).await;
        let is_quiet = now.scripts == last.scripts;
        last = now;
        if is_quiet {
            break;
        }
    }
    last
}

async fn ask(set: &ClusterSet) -> Spent {
    let mut spent = Spent { scripts: 0.0, commands: 0.0, cpu_us: Vec::new() };
    for node in &set.nodes {
        let mut raw = node.raw().await;
        let commands: String = raw.command("INFO", &["commandstats"]).await;
        for (name, [calls, ..]) in commands.lines().filter_map(figures_of) {
            if name.starts_with("eval") {
                spent.scripts += calls;
            } else if COMMANDS.contains(&name) {
                spent.commands += calls;
            }
        }
        spent.cpu_us.push(cpu_us(&mut raw).await);
    }
    spent
}

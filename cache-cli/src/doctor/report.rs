//! Everything that the doctor has seen, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::Examined;
use super::finding::{Finding, Severity};
use super::rights::Rights;
use super::sample::Sample;

/// Prefixes that people are told of: those that take most.
const PREFIXES_SHOWN: usize = 20;

#[derive(Serialize)]
pub(crate) struct Report {
    /// By severity, the worst first.
    findings: Vec<Finding>,
    #[serde(flatten)]
    servers: Servers,
    sample: Sample,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Servers {
    Alone(Box<NodeReport>),
    Cluster { cluster: ClusterReport },
}

/// The namespace on a cluster, and the nodes.
#[derive(Default, Serialize)]
pub(crate) struct ClusterReport {
    /// As it is written down there. `None`: no process has used the namespace, or nobody says.
    pub(crate) partitions: Option<u16>,
    /// Partitions that no node serves.
    pub(crate) unserved: Vec<u16>,
    /// Those whose slot is being moved to another node.
    pub(crate) moving: Vec<u16>,
    /// Those whose lists of what is elsewhere are not complete.
    pub(crate) incomplete: Vec<u16>,
    pub(crate) nodes: Vec<ClusterNodeReport>,
}

#[derive(Serialize)]
pub(crate) struct ClusterNodeReport {
    pub(crate) address: String,
    /// Those that it serves.
    pub(crate) partitions: Vec<u16>,
    /// `None`: it does not answer.
    #[serde(flatten)]
    pub(crate) server: Option<NodeReport>,
}

/// One server.
#[derive(Serialize)]
pub(crate) struct NodeReport {
    server: ServerReport,
    memory: MemoryReport,
    scripts: ScriptReport,
    clock: ClockReport,
    tracking: TrackingReport,
    /// `None`: not known.
    rights: Option<Rights>,
}

#[derive(Serialize)]
struct ServerReport {
    product: &'static str,
    version: Option<String>,
    mode: Option<String>,
    role: Option<String>,
    uptime_s: Option<u64>,
}

#[derive(Serialize)]
struct MemoryReport {
    used_bytes: Option<u64>,
    max_bytes: Option<u64>,
    policy: Option<String>,
    evicted_keys: Option<u64>,
}

/// Of all scripts of the server, since its statistics began.
#[derive(Serialize)]
struct ScriptReport {
    calls: Option<u64>,
    us_per_call: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p999_us: Option<f64>,
}

#[derive(Serialize)]
struct ClockReport {
    /// How far the server's clock is ahead of this machine's.
    skew_ms: Option<i64>,
    round_trip_us: u64,
}

#[derive(Serialize)]
struct TrackingReport {
    /// `None`: not known.
    pushes: Option<bool>,
    keys: Option<u64>,
    keys_max: Option<u64>,
}

impl Report {
    pub(crate) fn alone(server: NodeReport, sample: Sample, findings: Vec<Finding>) -> Self {
        Self::new(Servers::Alone(Box::new(server)), sample, findings)
    }

    pub(crate) fn of_cluster(cluster: ClusterReport, sample: Sample, findings: Vec<Finding>) -> Self {
        Self::new(Servers::Cluster { cluster }, sample, findings)
    }

    fn new(servers: Servers, sample: Sample, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self { findings, servers, sample }
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl NodeReport {
    pub(crate) fn new(examined: Examined) -> Self {
        let Examined { facts, rights, pushes, .. } = examined;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let valkey = facts.server.text("valkey_version");
        let latency = |part| facts.latencies.part("latency_percentiles_usec_evalsha", part);
        Self {
            server: ServerReport {
                product: if valkey.is_some() { "Valkey" } else { "Redis" },
                version: owned(valkey.or(facts.server.text("redis_version"))),
                mode: owned(facts.server.text("redis_mode").or(facts.server.text("server_mode"))),
                role: owned(facts.replication.text("role")),
                uptime_s: facts.server.number("uptime_in_seconds"),
            },
            memory: MemoryReport {
                used_bytes: facts.memory.number("used_memory"),
                max_bytes: facts.memory.number("maxmemory"),
                policy: owned(facts.memory.text("maxmemory_policy")),
                evicted_keys: facts.stats.number("evicted_keys"),
            },
            scripts: ScriptReport {
                calls: facts.commands.part("cmdstat_evalsha", "calls").map(|calls| calls as u64),
                us_per_call: facts.commands.part("cmdstat_evalsha", "usec_per_call"),
                p50_us: latency("p50"),
                p99_us: latency("p99"),
                p999_us: latency("p99.9"),
            },
            clock: ClockReport { skew_ms: facts.skew_ms, round_trip_us: facts.round_trip.as_micros() as u64 },
            tracking: TrackingReport {
                // `None`: not known.
                pushes: pushes.map_or(Some(false), |told| told.then_some(true)),
                keys: facts.stats.number("tracking_total_keys"),
                keys_max: facts.tracked_keys_max,
            },
            rights: rights.ok(),
        }
    }
}

fn known<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "?".to_owned(), T::to_string)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Servers::Alone(server) => server.fmt(f)?,
            Servers::Cluster { cluster } => cluster.fmt(f)?,
        }
        self.sample.fmt(f)?;
        if self.findings.is_empty() {
            return f.write_str("\nnothing is wrong");
        }
        for Finding { severity, title, what_it_means, what_to_do, .. } in &self.findings {
            let severity = match severity {
                Severity::Critical => "CRITICAL",
                Severity::Warning => "WARNING",
                Severity::Note => "note",
            };
            write!(f, "\n{severity}: {title}\n  what it means: {what_it_means}\n  what to do:    {what_to_do}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ClusterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster   {} partitions on {} nodes", known(self.partitions.as_ref()), self.nodes.len())?;
        for ClusterNodeReport { address, partitions, server } in &self.nodes {
            writeln!(f, "\n{address}, with {} partitions", partitions.len())?;
            match server {
                Some(server) => server.fmt(f)?,
                None => writeln!(f, "does not answer")?,
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, memory, scripts, clock, tracking, .. } = self;
        let (version, mode, role) =
            (known(server.version.as_ref()), known(server.mode.as_ref()), known(server.role.as_ref()));
        writeln!(f, "server    {} {version}, {mode}, {role}", server.product)?;
        let max = memory.max_bytes.filter(|max| *max > 0).map_or("no limit".to_owned(), |max| bytes(Some(max)));
        writeln!(f, "memory    {} of {max}, {}", bytes(memory.used_bytes), known(memory.policy.as_ref()))?;
        let (mean, p99) = (known(scripts.us_per_call.as_ref()), known(scripts.p99_us.as_ref()));
        writeln!(
            f,
            "scripts   {} calls, {mean} µs on average, {p99} µs for one in a hundred",
            known(scripts.calls.as_ref())
        )?;
        writeln!(f, "clock     {} ms ahead of this machine's", known(clock.skew_ms.as_ref()))?;
        let pushes = match tracking.pushes {
            Some(true) => "changes are pushed",
            Some(false) => "changes are not pushed",
            None => "whether changes are pushed is not known",
        };
        writeln!(
            f,
            "tracking  {pushes}, {} keys of {}",
            known(tracking.keys.as_ref()),
            known(tracking.keys_max.as_ref())
        )?;
        match &self.rights {
            Some(rights) if rights.missing.is_empty() => writeln!(f, "rights    the user {} has all", rights.user)?,
            Some(rights) => writeln!(f, "rights    the user {} lacks {}", rights.user, rights.missing.join(" "))?,
            None => writeln!(f, "rights    not known")?,
        }
        Ok(())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_least = if self.complete { "" } else { "at least " };
        writeln!(f, "entries   {at_least}{}", self.keys)?;
        let mut prefixes: Vec<_> = self.prefixes.iter().collect();
        prefixes.sort_by_key(|(_, prefix)| std::cmp::Reverse((prefix.estimated_bytes, prefix.keys)));
        for (name, prefix) in prefixes.iter().take(PREFIXES_SHOWN) {
            writeln!(f, "  {:>10} keys  {:>10}  {name}", prefix.keys, bytes(prefix.estimated_bytes))?;
        }
        let indexes = &self.indexes;
        let (members, left_behind) = (indexes.members, indexes.left_behind);
        writeln!(
            f,
            "indexes   {} sampled: {members} members, {left_behind} dead for long, {}",
            indexes.measured,
            bytes(Some(indexes.bytes))
        )
    }
}

fn bytes(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "?".to_owned() };
    let mut amount = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1_024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1_024.0;
    }
    format!("{amount:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        let told = [None, Some(0), Some(1_023), Some(1_024), Some(1_536 * 1_024), Some(5 << 40)].map(bytes);
        assert_eq!(told, ["?", "0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB"]);
    }
}

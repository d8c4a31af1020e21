//! What is wrong with a server or a cluster, and what to do about it.

mod cluster;
mod finding;
mod judge;
mod pushes;
mod report;
mod rights;
mod sample;
mod server;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache_core::{Cache, StoreKey};

use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::Terminal;
use finding::{Finding, Severity};
use report::{NodeReport, Report};
use rights::Rights;
use sample::Sample;
use server::{Answer, Info, Refusal, Server};

/// What the server says of itself; empty where it says nothing.
#[derive(Clone, Debug, Default)]
struct Facts {
    server: Info,
    memory: Info,
    clients: Info,
    stats: Info,
    replication: Info,
    commands: Info,
    latencies: Info,
    /// How far the server's clock is ahead of this machine's.
    skew_ms: Option<i64>,
    round_trip: Duration,
    /// The server's time.
    now_ms: u64,
    /// Of what lies where the cache's clock should.
    clock_type: Option<String>,
    tracked_keys_max: Option<u64>,
}

pub(crate) async fn run(target: &Target, terminal: &Terminal, user: Option<&str>) -> Result<Ending, Failure> {
    let cache = target.open()?;
    let report = match target.url().split_once("-cluster://") {
        Some(_) => cluster::look(&cache, target, terminal, user).await?,
        None => alone(&cache, target, terminal, user).await?,
    };
    terminal.answer(&report, || report.to_string())?;
    Ok(finding::ending(report.findings()))
}

/// A server by itself.
async fn alone(cache: &Cache, target: &Target, terminal: &Terminal, user: Option<&str>) -> Result<Report, Failure> {
    let server = Server::connect(target).await?;
    // As the library's own trial: gone in the end, and under no name of an entry.
    let scratch = format!("doctor-{:016x}", fastrand::u64(..));
    let scratch = cache.physical_key(StoreKey::Value(&scratch)).unwrap_or(scratch);
    let clock = cache.physical_key(StoreKey::Clock).unwrap_or_default();
    let examined = examine(&server, &clock, &scratch, user, target.timeout()).await;
    let mut findings = examined.findings();
    let sample = sample(cache, &[server], target, terminal, examined.facts.now_ms, &mut findings).await?;
    Ok(Report::alone(NodeReport::new(examined), sample, findings))
}

/// What was seen of one server.
struct Examined {
    facts: Facts,
    /// The user that was asked for.
    user: String,
    rights: Answer<Rights>,
    pushes: Answer<bool>,
}

impl Examined {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = judge::findings(&self.facts);
        match &self.rights {
            Ok(rights) => findings.extend(rights.findings()),
            Err(refusal) => findings.push(unknown_rights(&self.user, refusal)),
        }
        findings.extend(pushes::findings(&self.pushes, Some(&self.facts.stats), self.facts.tracked_keys_max));
        findings
    }
}

/// Tries what a user needs on a scratch key that the server serves.
async fn examine(server: &Server, clock: &str, scratch: &str, user: Option<&str>, timeout: Duration) -> Examined {
    let facts = facts(server, clock).await;
    let rights = rights::look(server, user, scratch).await;
    let pushes = pushes::look(server, scratch, timeout).await;
    Examined { facts, user: user.unwrap_or_default().to_owned(), rights, pushes }
}

async fn sample(
    cache: &Cache,
    servers: &[Server],
    target: &Target,
    terminal: &Terminal,
    now_ms: u64,
    findings: &mut Vec<Finding>,
) -> Result<Sample, Failure> {
    if let Err(error) = cache.ready(target.timeout()).await {
        let (means, to_do) = ("every call loads, and invalidations fail", "see the other findings");
        findings.push(Finding::new("not_ready", Severity::Critical, error.to_string(), means, to_do));
        return Ok(Sample::default());
    }
    let sample = sample::look(cache, servers, terminal, now_ms).await?;
    findings.extend(sample::findings(&sample));
    Ok(sample)
}

async fn facts(server: &Server, clock: &str) -> Facts {
    let info = async |section: &str| server.info(section).await.unwrap_or_default();
    let (began, before) = (Instant::now(), wall_ms());
    let time: Answer<(u64, u64)> = server.ask(&["TIME"]).await;
    let round_trip = began.elapsed();
    let now_ms = time.as_ref().ok().map(|(seconds, micros)| seconds * 1_000 + micros / 1_000);
    let half_way_ms = before + round_trip.as_millis() as u64 / 2;
    let tracked: Answer<(String, u64)> = server.ask(&["CONFIG", "GET", "tracking-table-max-keys"]).await;
    Facts {
        server: info("server").await,
        memory: info("memory").await,
        clients: info("clients").await,
        stats: info("stats").await,
        replication: info("replication").await,
        commands: info("commandstats").await,
        latencies: info("latencystats").await,
        skew_ms: now_ms.map(|now_ms| now_ms.cast_signed() - half_way_ms.cast_signed()),
        round_trip,
        now_ms: now_ms.unwrap_or(half_way_ms),
        clock_type: server.ask(&["TYPE", clock]).await.ok(),
        tracked_keys_max: tracked.ok().map(|(_, max)| max),
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn unknown_rights(user: &str, refusal: &Refusal) -> Finding {
    let why = match refusal {
        Refusal::NotPermitted(_) => "this user may not run ACL DRYRUN",
        Refusal::Unknown => "the server has no ACL DRYRUN, which Redis has since 7.0",
        Refusal::Other(_) => "the server does not know this user",
    };
    Finding::new(
        "unknown_rights",
        Severity::Warning,
        format!("what the user {user} may do is not known: {why}"),
        "if it lacks a right, every call loads",
        format!("log in as {user}, or as an administrator"),
    )
}

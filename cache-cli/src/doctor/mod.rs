//! What is wrong with a server, and what to do about it.

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
use report::Report;
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
    let server = Server::connect(target).await?;
    // As the library's own trial: gone in the end, and under no name of an entry.
    let scratch = format!("doctor-{:016x}", fastrand::u64(..));
    let scratch = cache.physical_key(StoreKey::Value(&scratch)).unwrap_or(scratch);
    let facts = facts(&cache, &server).await;
    let mut findings = judge::findings(&facts);
    let rights = rights::look(&server, user, &scratch).await;
    match &rights {
        Ok(rights) => findings.extend(rights.findings()),
        Err(refusal) => findings.push(unknown_rights(user.unwrap_or_default(), refusal)),
    }
    let outcome = pushes::look(&server, &scratch, target.timeout()).await;
    findings.extend(pushes::findings(&outcome, Some(&facts.stats), facts.tracked_keys_max));
    let sample = sample(&cache, &server, target, terminal, facts.now_ms, &mut findings).await?;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let ending = finding::ending(&findings);
    // `None`: not known.
    let pushes = outcome.map_or(Some(false), |told| told.then_some(true));
    let report = Report::new(&facts, rights.ok(), pushes, sample, findings);
    terminal.answer(&report, || report.to_string())?;
    Ok(ending)
}

async fn sample(
    cache: &Cache,
    server: &Server,
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
    let sample = sample::look(cache, server, terminal, now_ms).await?;
    findings.extend(sample::findings(&sample));
    Ok(sample)
}

async fn facts(cache: &Cache, server: &Server) -> Facts {
    let info = async |section: &str| server.info(section).await.unwrap_or_default();
    let (began, before) = (Instant::now(), wall_ms());
    let time: Answer<(u64, u64)> = server.ask(&["TIME"]).await;
    let round_trip = began.elapsed();
    let now_ms = time.as_ref().ok().map(|(seconds, micros)| seconds * 1_000 + micros / 1_000);
    let half_way_ms = before + round_trip.as_millis() as u64 / 2;
    let clock = cache.physical_key(StoreKey::Clock).unwrap_or_default();
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
        clock_type: server.ask(&["TYPE", &clock]).await.ok(),
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

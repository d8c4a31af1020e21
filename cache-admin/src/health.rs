//! A verdict on one cache, and what to do about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cache_core::{ErrorKind, Health, MetricValue, PrefixStats, Stats};
use serde::Serialize;
use serde_json::json;

use crate::answer::{Answer, Parameters};
use crate::desk::{Desk, Watched};
use crate::limits::READY_WAIT;

/// A prefix whose calls are hits less often than this is worth a look, once it has had so many.
const RARE_HITS: f64 = 0.1;
const CALLS_MIN: u64 = 1_000;

/// Something that a person should know, the worst first.
#[derive(Serialize)]
struct Finding {
    id: String,
    severity: &'static str,
    title: String,
    detail: String,
    what_to_do: String,
}

const CRITICAL: &str = "critical";
const WARNING: &str = "warning";
const NOTE: &str = "note";

pub(crate) async fn health(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let (health, stats) = (watched.cache.health(), watched.cache.stats());
    let owed = owed_names(&stats);
    let mut findings = Vec::new();
    if health.disconnected || health.breaker_open {
        findings.push(unreachable(watched, health).await);
    }
    findings.extend(of_state(health, owed));
    findings.extend(of_memory(watched));
    let mut of_prefixes: Vec<_> = stats.prefixes().flat_map(|(prefix, counted)| of_prefix(prefix, counted)).collect();
    of_prefixes.sort_by_key(|finding| [CRITICAL, WARNING, NOTE].iter().position(|rank| *rank == finding.severity));
    findings.append(&mut of_prefixes);
    Ok(Json(json!({
        "cache": watched.name,
        "good": health.is_good(),
        "health": {
            "disconnected": health.disconnected,
            "breaker_open": health.breaker_open,
            "owes_invalidations": health.owes_invalidations,
            "evicts_bookkeeping": health.evicts_bookkeeping,
            "overwritten_bookkeeping": health.overwritten_bookkeeping,
            "bypasses_copies": health.bypasses_copies,
        },
        "owed_names": owed,
        "findings": findings,
    })))
}

fn finding(id: &str, severity: &'static str, title: &str, detail: String, what_to_do: &str) -> Finding {
    Finding { id: id.to_owned(), severity, title: title.to_owned(), detail, what_to_do: what_to_do.to_owned() }
}

fn owed_names(stats: &Stats) -> u64 {
    let metrics = stats.metrics();
    let owed = metrics.iter().find(|metric| metric.name == "cache_owed_names");
    match owed.and_then(|metric| metric.samples.first()).map(|sample| &sample.value) {
        Some(MetricValue::Gauge(owed)) => *owed as u64,
        _ => 0,
    }
}

/// Asks the store what is the matter.
async fn unreachable(watched: &Watched, health: Health) -> Finding {
    let (id, title) = match health.disconnected {
        true => ("disconnected", "No connection to the server stands"),
        false => ("breaker_open", "The store has failed repeatedly, and calls go past it"),
    };
    match watched.cache.ready(READY_WAIT).await {
        Ok(()) => finding(
            id,
            NOTE,
            "The store answers again",
            "It did not a moment ago.".to_owned(),
            "Nothing: calls use it from now on.",
        ),
        Err(error) if error.kind() == ErrorKind::Config => finding(
            id,
            CRITICAL,
            "The server refuses this cache",
            format!("It says: {error}."),
            "Nothing is cached until this is mended. Compare the URL, the user and its password; the README has the \
             `ACL SETUSER` line with every right that is needed.",
        ),
        Err(error) => finding(
            id,
            CRITICAL,
            title,
            format!("The last failure: {error}."),
            "Every call loads meanwhile. See whether the server runs and this process reaches it. The cache connects \
             again by itself; nothing has to be restarted.",
        ),
    }
}

fn of_state(health: Health, owed: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |is_so: bool, id, severity, title, detail: &str, what_to_do| {
        if is_so {
            findings.push(finding(id, severity, title, detail.to_owned(), what_to_do));
        }
    };
    add(
        health.owes_invalidations,
        "owes_invalidations",
        CRITICAL,
        "Invalidations have failed and are owed",
        &format!(
            "This process bypasses the names in them ({owed}) and tries again; other processes may serve old values \
             until it succeeds."
        ),
        "Bring the store back. Do not kill this process before it has sent them: let it end with `Cache::shutdown`, \
         and keep what that returns.",
    );
    add(
        health.evicts_bookkeeping,
        "evicts_bookkeeping",
        CRITICAL,
        "The server may evict indexes",
        "Its `maxmemory-policy` is an `allkeys-*` one. If an index is evicted, an invalidation misses entries that \
         only the index leads to.",
        "CONFIG SET maxmemory-policy volatile-lru (or noeviction), and write it into the server's configuration.",
    );
    add(
        health.overwritten_bookkeeping,
        "overwritten_bookkeeping",
        WARNING,
        "Another program has written over the cache's bookkeeping",
        "It was replaced, and the log says at ERROR which kind of key it was.",
        "Give that program keys outside of the cache's namespace.",
    );
    add(
        health.bypasses_copies,
        "bypasses_copies",
        WARNING,
        "Copies in this process are not served",
        "The connection that tells of changes does not stand or does not answer, or an invalidation is owed, so calls \
         with `near` ask the store.",
        "See the other findings. If there are none, see whether a proxy before the server holds back pushes, and \
         whether the user may use `client|tracking`.",
    );
    findings
}

fn of_memory(watched: &Watched) -> Option<Finding> {
    let memory = watched.cache.memory().filter(|memory| memory.evictions > 0)?;
    let detail = format!("{} entries had to give way since the process began.", memory.evictions);
    Some(finding(
        "evictions",
        NOTE,
        "The embedded store is full",
        detail,
        "Raise `memory_bytes_max`, if misses matter.",
    ))
}

/// Only what a person can do something about.
fn of_prefix(prefix: &str, counted: &PrefixStats) -> Vec<Finding> {
    let unstored = counted.unstored_by_reason().filter_map(|reason| {
        let detail =
            format!("Since the process began it was {} of `{prefix}`. The reason: {}.", reason.count, reason.words);
        let title = format!("Values of `{prefix}` are not stored");
        let id = format!("unstored:{}:{prefix}", reason.reason);
        Some(finding(&id, WARNING, &title, detail, reason.way_out?))
    });
    let calls = counted.hits + counted.near_hits + counted.misses;
    let is_rare = calls >= CALLS_MIN && counted.hit_rate() < RARE_HITS;
    let rare = is_rare.then(|| {
        let detail = format!("{:.1} % of its {calls} calls since the process began.", counted.hit_rate() * 100.0);
        let way_out = "See whether its TTL is too short, or its key has a part that hardly repeats.";
        finding(&format!("rarely_hit:{prefix}"), NOTE, &format!("`{prefix}` is rarely a hit"), detail, way_out)
    });
    unstored.chain(rare).collect()
}

//! A verdict on one cache, and what to do about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cache_core::{ErrorKind, Health, Metric, MetricValue, PrefixStats, Stats};
use serde::Serialize;
use serde_json::json;

use crate::answer::{Answer, Parameters};
use crate::desk::{Desk, Watched};
use crate::limits::READY_WAIT;
use crate::stats::unstored;

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
    let metrics = stats.metrics();
    let owed = owed_names(&metrics);
    let mut findings = Vec::new();
    if health.disconnected || health.breaker_open {
        findings.push(unreachable(watched, health).await);
    }
    findings.extend(of_state(health, owed));
    findings.extend(of_memory(watched));
    findings.extend(not_stored(&stats, &metrics));
    findings.extend(stats.prefixes().filter(|(prefix, _)| may_be_said(prefix, &metrics)).flat_map(of_prefix));
    findings.sort_by_key(|finding| [CRITICAL, WARNING, NOTE].iter().position(|rank| *rank == finding.severity));
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

fn owed_names(metrics: &[Metric]) -> u64 {
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
fn not_stored(stats: &Stats, metrics: &[Metric]) -> Vec<Finding> {
    let reasons: Vec<_> = stats.total().unstored_by_reason().collect();
    let mut findings = Vec::new();
    for (prefix, counts) in unstored(metrics) {
        for (name, count) in counts {
            let Some(reason) = reasons.iter().find(|reason| reason.reason == name) else { continue };
            let Some(way_out) = reason.way_out else { continue };
            let (id, title) = (format!("unstored:{name}:{prefix}"), format!("Values of `{prefix}` are not stored"));
            let detail = format!("Since the process began it was {count} of them. The reason: {}.", reason.words);
            findings.push(finding(&id, WARNING, &title, detail, way_out));
        }
    }
    findings
}

/// What is the whole of a key given as text is in no metric.
fn may_be_said(prefix: &str, metrics: &[Metric]) -> bool {
    let calls = metrics.iter().find(|metric| metric.name == "cache_calls_total");
    let mut labels = calls.into_iter().flat_map(|metric| &metric.samples).flat_map(|sample| &sample.labels);
    labels.any(|(name, value)| *name == "prefix" && value == prefix)
}

fn of_prefix((prefix, counted): (&str, &PrefixStats)) -> Vec<Finding> {
    let mut findings = Vec::new();
    if counted.inconsistencies > 0 {
        findings.push(finding(
            &format!("inconsistent:{prefix}"),
            CRITICAL,
            &format!("Old values of `{prefix}` are served"),
            format!(
                "`verify` has found {} entries that differ from what their loads return, and that nothing has \
                 invalidated for a minute.",
                counted.inconsistencies
            ),
            "Something changes what they are made from and does not invalidate it: see the log for what is known of \
             the last one, explain its key, and give the change an invalidation.",
        ));
    }
    let calls = counted.hits + counted.near_hits + counted.misses;
    if calls >= CALLS_MIN && counted.hit_rate() < RARE_HITS {
        let detail = format!("{:.1} % of its {calls} calls since the process began.", counted.hit_rate() * 100.0);
        let way_out = "See whether its TTL is too short, or its key has a part that hardly repeats.";
        let title = format!("`{prefix}` is rarely a hit");
        findings.push(finding(&format!("rarely_hit:{prefix}"), NOTE, &title, detail, way_out));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(counted: &PrefixStats) -> Vec<(String, &'static str)> {
        of_prefix(("flight", counted)).into_iter().map(|finding| (finding.id, finding.severity)).collect()
    }

    #[test]
    fn old_values_are_told_and_so_is_a_prefix_that_is_hardly_ever_a_hit() {
        let mut counted = PrefixStats::default();
        (counted.hits, counted.misses) = (99, 901);
        assert_eq!(ids(&counted), [("rarely_hit:flight".to_owned(), NOTE)]);
        (counted.hits, counted.misses) = (100, 900);
        assert_eq!(ids(&counted), []);
        (counted.hits, counted.misses, counted.inconsistencies) = (0, 999, 1);
        assert_eq!(ids(&counted), [("inconsistent:flight".to_owned(), CRITICAL)]);
    }
}

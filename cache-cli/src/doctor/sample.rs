//! What the namespace takes, by samples: memory by prefix, and members that outlive their entries.

use std::collections::BTreeMap;

use cache_core::{Cache, StoreKey};
use serde::Serialize;

use super::finding::{Finding, Severity};
use super::server::{Answer, Server};
use crate::ending::Failure;
use crate::terminal::Terminal;

/// Keys that are counted, and tags that are gone through.
const KEYS_MAX: u64 = 100_000;
/// Keys of each prefix, and indexes, that are measured.
const MEASURED_MAX: usize = 100;
/// Prefixes that are told by name. The others are one row.
const PREFIXES_MAX: usize = 100;
const OTHERS: &str = "(others)";
/// Commands of one round trip.
const PIPELINE_MAX: usize = 100;
/// Members go when an entry has been dead for the retention (a minute), and then as fills come.
/// Those that have been dead for so long are left behind.
const LEFT_BEHIND_MS: u64 = 10 * 60 * 1_000;
/// Fewer than so many are nobody's concern.
const LEFT_BEHIND_MIN: u64 = 100;
const LEFT_BEHIND_PERCENT: u64 = 10;

/// What was found in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sample {
    /// Keys that were counted.
    pub(crate) keys: u64,
    /// Whether there are no others.
    pub(crate) complete: bool,
    pub(crate) prefixes: BTreeMap<String, PrefixSample>,
    pub(crate) indexes: IndexSample,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PrefixSample {
    pub(crate) keys: u64,
    /// Keys that were measured.
    pub(crate) measured: u64,
    measured_bytes: u64,
    /// What all counted keys take, if they are as those that were measured; `None`: none was.
    pub(crate) estimated_bytes: Option<u64>,
    #[serde(skip)]
    to_measure: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct IndexSample {
    pub(crate) measured: u64,
    pub(crate) members: u64,
    /// Members whose entries have been dead for ten minutes.
    pub(crate) left_behind: u64,
    pub(crate) bytes: u64,
}

pub(crate) async fn look(
    cache: &Cache,
    servers: &[Server],
    terminal: &Terminal,
    now_ms: u64,
) -> Result<Sample, Failure> {
    let mut sample = count(cache, terminal).await?;
    let mut progress = terminal.progress("measured");
    let (prefixes, mut done) = (sample.prefixes.len() as u64, 0);
    for prefix in sample.prefixes.values_mut() {
        measure(prefix, cache, servers).await;
        done += 1;
        progress.at(done, Some(prefixes));
    }
    let keys = sample.prefixes.values().flat_map(|prefix| prefix.to_measure.iter().take(2));
    let dependents = keys.filter_map(|key| cache.physical_key(StoreKey::Dependents(key)));
    let mut indexes: Vec<String> = dependents.take(MEASURED_MAX).collect();
    let mut tags = cache.tags("*");
    let mut looked_at = 0;
    while looked_at < KEYS_MAX
        && indexes.len() < 2 * MEASURED_MAX
        && let Some(page) = tags.next_page().await?
    {
        looked_at += page.len() as u64;
        let room = 2 * MEASURED_MAX - indexes.len();
        indexes.extend(page.iter().filter_map(|tag| cache.physical_key(StoreKey::Tagged(tag))).take(room));
    }
    sample.indexes = measure_indexes(&indexes, servers, now_ms).await.unwrap_or_default();
    Ok(sample)
}

async fn count(cache: &Cache, terminal: &Terminal) -> Result<Sample, Failure> {
    let (mut sample, mut keys) = (Sample::default(), cache.keys("*"));
    let mut progress = terminal.progress("keys");
    while sample.keys < KEYS_MAX {
        let Some(page) = keys.next_page().await? else {
            sample.complete = true;
            break;
        };
        for key in page {
            sample.note(key);
        }
        progress.at(sample.keys, None);
    }
    Ok(sample)
}

impl Sample {
    fn note(&mut self, key: String) {
        self.keys += 1;
        let prefix = key.split(':').next().unwrap_or_default();
        let has_row = self.prefixes.len() < PREFIXES_MAX || self.prefixes.contains_key(prefix);
        let row = self.prefixes.entry(if has_row { prefix } else { OTHERS }.to_owned()).or_default();
        row.keys += 1;
        // Each key that was met is among the measured ones with the same chance.
        if row.to_measure.len() < MEASURED_MAX {
            row.to_measure.push(key);
        } else if let Some(place) = row.to_measure.get_mut(fastrand::u64(..row.keys) as usize) {
            *place = key;
        }
    }
}

/// The server may refuse `MEMORY USAGE`: then nothing is measured.
async fn measure(prefix: &mut PrefixSample, cache: &Cache, servers: &[Server]) {
    let physical = prefix.to_measure.iter().filter_map(|key| cache.physical_key(StoreKey::Value(key)));
    let commands: Vec<_> = physical.map(|key| vec!["MEMORY".to_owned(), "USAGE".to_owned(), key]).collect();
    for chunk in commands.chunks(PIPELINE_MAX) {
        for bytes in Server::numbers(servers, chunk).await.unwrap_or_default().into_iter().flatten() {
            prefix.measured += 1;
            prefix.measured_bytes += bytes;
        }
    }
    prefix.estimated_bytes = (prefix.measured_bytes * prefix.keys).checked_div(prefix.measured);
}

async fn measure_indexes(indexes: &[String], servers: &[Server], now_ms: u64) -> Answer<IndexSample> {
    let before = now_ms.saturating_sub(LEFT_BEHIND_MS).to_string();
    let mut sample = IndexSample::default();
    for chunk in indexes.chunks(PIPELINE_MAX / 3) {
        let commands: Vec<Vec<String>> = chunk
            .iter()
            .flat_map(|key| {
                [vec!["ZCARD", key], vec!["ZCOUNT", key, "-inf", &before], vec!["MEMORY", "USAGE", key]]
                    .map(|words| words.into_iter().map(str::to_owned).collect())
            })
            .collect();
        for answers in Server::numbers(servers, &commands).await?.as_chunks::<3>().0 {
            let [members, left_behind, bytes] = answers.map(Option::unwrap_or_default);
            sample.measured += u64::from(members > 0);
            sample.members += members;
            sample.left_behind += left_behind;
            sample.bytes += bytes;
        }
    }
    Ok(sample)
}

pub(crate) fn findings(sample: &Sample) -> Vec<Finding> {
    let IndexSample { members, left_behind, .. } = sample.indexes;
    if left_behind < LEFT_BEHIND_MIN || left_behind * 100 < members * LEFT_BEHIND_PERCENT {
        return Vec::new();
    }
    vec![Finding::new(
        "dead_members",
        Severity::Warning,
        format!("{left_behind} of {members} members of the sampled indexes have been dead for over ten minutes"),
        "they take memory, and make invalidations longer; nothing old is served for it",
        "they go as values are stored: see whether the processes of this namespace still run, and whether their \
         users may write",
    )]
}

//! What is known of one key: by the store, in one look that changes nothing, and by this process.

mod explanation;
mod words;

pub use explanation::{
    AdaptiveExplanation, DependentExplanation, EntryExplanation, Explanation, LeaseExplanation, NameExplanation,
    NameKind, UnreadableExplanation, UnstoredExplanation,
};

use crate::clock::{self, millis};
use crate::codec::{Compression, Format};
use crate::entry::outline;
use crate::error::Error;
use crate::freshness::Learned;
use crate::name::prefix_of;
use crate::observe::StoreOperation;
use crate::runtime::Runtime;
use crate::runtime::budget::ask_aside;
use crate::store::{KeyFacts, LeaseFacts, NameFacts};

pub(crate) async fn explain(runtime: &Runtime, key: &str) -> Result<Explanation, Error> {
    let facts = match &runtime.store {
        Some(store) => ask_aside(runtime, StoreOperation::Explain, |until| store.facts(key, until)).await?,
        None => KeyFacts::default(),
    };
    let KeyFacts { physical_key, now_ms, head, kept_ms, floor, names, .. } = facts;
    let entry = head.as_ref().and_then(|head| entry(head, now_ms, kept_ms));
    Ok(Explanation {
        key: key.to_owned(),
        prefix: prefix_of(key).to_owned(),
        parts: key.split(':').skip(1).map(str::to_owned).collect(),
        physical_key,
        is_foreign: head.is_some() && entry.is_none(),
        entry,
        names: names.into_iter().map(|facts| name(facts, now_ms)).collect(),
        entry_names: facts.entry_names,
        floor,
        floor_ago_ms: ago(now_ms, floor),
        dependents: facts.dependents,
        first_dependents: facts
            .first_dependents
            .into_iter()
            .map(|(key, is_stored)| DependentExplanation { key: key.into(), is_stored })
            .collect(),
        unanswered_partitions: facts.unanswered_partitions,
        lease: facts.lease.map(lease),
        is_loading_here: runtime.flights.has(key),
        adaptive_ttl: facts.learned.and_then(|learned| Learned::decode(&learned)).map(|learned| AdaptiveExplanation {
            ttl_ms: millis(learned.ttl()),
            loaded_ago_ms: now_ms.saturating_sub(learned.loaded_at_ms()),
        }),
        unreadable: runtime.unreadable.of(key).map(|(reason, at)| UnreadableExplanation {
            reason: reason.words().to_owned(),
            ago_ms: millis(clock::since(at)),
        }),
        unstored: runtime.unstored.of(key).map(|(reason, at)| UnstoredExplanation {
            reason: reason.words().to_owned(),
            way_out: reason.way_out().map(str::to_owned),
            ago_ms: millis(clock::since(at)),
        }),
    })
}

/// `None`: what is stored is not an entry of ours.
fn entry(head: &[u8], now_ms: u64, kept_ms: u64) -> Option<EntryExplanation> {
    let outline = outline(head).ok()?;
    let header = outline.header;
    Some(EntryExplanation {
        bytes: outline.bytes,
        payload_bytes: outline.payload_bytes,
        format: outline.format,
        codec: Format::name_of(header.packing.codec),
        compression: Compression::name_of(header.packing.compression),
        is_sealed: header.packing.is_sealed,
        fingerprint: header.fingerprint.0.iter().map(|byte| format!("{byte:02x}")).collect(),
        is_negative: header.negative,
        is_by_text: header.by_text,
        age_ms: now_ms.saturating_sub(header.stored_at_ms),
        fresh_for_ms: header.soft_expires_at_ms.saturating_sub(now_ms),
        kept_for_ms: kept_ms,
        load_us: header.load_cost_us,
    })
}

fn name(facts: NameFacts, now_ms: u64) -> NameExplanation {
    NameExplanation {
        kind: if facts.name.as_key().is_some() { NameKind::Key } else { NameKind::Tag },
        text: facts.name.text().to_owned(),
        fence: facts.fence,
        fence_ago_ms: facts.fence.map(|fence| ago(now_ms, fence)),
        closed_by: facts.marks,
    }
}

fn lease(facts: LeaseFacts) -> LeaseExplanation {
    let LeaseFacts { remaining_ms, held_ms, takeovers, is_overtaken } = facts;
    LeaseExplanation { remaining_ms, held_ms, takeovers, is_overtaken }
}

/// The sequence follows the store's wall time in µs, and is ahead of it where that was set back.
fn ago(now_ms: u64, seq: u64) -> u64 {
    now_ms.saturating_sub(seq / 1_000)
}

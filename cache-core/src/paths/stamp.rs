//! A value made ready for the store: its names counted, its lifetime decided, its header written.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::millis;
use crate::entry::Fingerprint;
use crate::entry::codec::Encoded;
use crate::entry::{self, Header};
use crate::freshness::Ttl;
use crate::freshness::{AdaptiveTtl, Learned, Refill};
use crate::key::Policy;
use crate::name::Name;
use crate::name::Names;
use crate::runtime::Runtime;
use crate::runtime::provenance::Collected;
use crate::store::{ClockReading, Recall};

/// Why a value is not offered to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstorable {
    /// Not meant to be: an `Err`, a `None` without a negative lifetime, a lifetime of zero.
    NotWanted,
    /// It cannot be encoded.
    Unencodable,
    /// Larger than `value_bytes_max`.
    TooLarge,
    /// More than `tags_max` or `names_max`, or a name that cannot be written, or a load that used another cache: an
    /// invalidation could not reach it.
    Unreachable,
}

/// What an entry belongs to, sorted, without its own key.
pub(crate) fn names(
    runtime: &Runtime,
    key: &Name,
    declared: Names,
    inherited: Collected,
) -> Result<Vec<Name>, Unstorable> {
    if declared.is_poisoned() || inherited.untraceable || declared.tag_count() > runtime.config.tags_max {
        return Err(Unstorable::Unreachable);
    }
    let mut names: BTreeSet<Name> = inherited.names;
    names.extend(declared.into_sorted());
    names.remove(key);
    if inherited.overflowed || names.len() > runtime.config.names_max {
        if runtime.warns_of_names_once() {
            tracing::warn!(
                key = key.as_key(),
                names_max = runtime.config.names_max,
                "an entry belongs to too many names to be stored; said once"
            );
        }
        return Err(Unstorable::Unreachable);
    }
    Ok(names.into_iter().collect())
}

/// What is sent.
pub(crate) struct Stamped {
    pub(crate) value: Bytes,
    /// Until the store drops it, stale windows included.
    pub(crate) ttl: Duration,
    /// See [`Fill::learned`](crate::store::Fill::learned).
    pub(crate) learned: Option<(Bytes, Duration)>,
}

/// Adds the header.
pub(crate) fn stamp(
    runtime: &Runtime,
    policy: &Policy,
    fingerprint: Fingerprint,
    names: &[Name],
    encoded: Encoded,
    cost: Duration,
    refill: Refilled<'_>,
) -> Result<Stamped, Unstorable> {
    let mut learned = None;
    let (payload, negative, ttl, freshness) = match encoded {
        Encoded::Value(payload) => {
            let ttl = match &policy.adaptive {
                None => ttl(runtime, &policy.ttl),
                Some(adaptive) => learned.insert(refill.learn(adaptive, &payload)).ttl(),
            };
            (payload, false, ttl, policy.freshness)
        }
        // A stale `None` would hide what has come to exist: when its time is over it is over.
        Encoded::None => {
            (Vec::new(), true, policy.negative_ttl.ok_or(Unstorable::NotWanted)?, policy.freshness.without_windows())
        }
        Encoded::Err => return Err(Unstorable::NotWanted),
    };
    let jitter = policy.jitter.unwrap_or(runtime.config.jitter);
    let lifetime = freshness.lifetime(ttl, jitter, fastrand::f64());
    let (soft_ms, hard_ms) = (millis(lifetime.soft), millis(lifetime.hard));
    if soft_ms == 0 {
        return Err(Unstorable::NotWanted);
    }
    let now_ms = runtime.wall_ms();
    let header = Header {
        negative,
        by_text: policy.by_text,
        fingerprint,
        stored_at_ms: now_ms,
        soft_expires_at_ms: now_ms.saturating_add(soft_ms),
        hard_expires_at_ms: now_ms.saturating_add(hard_ms),
        load_cost_us: u32::try_from(cost.as_micros()).unwrap_or(u32::MAX),
    };
    let value = entry::encode(&header, names, &payload).ok_or(Unstorable::TooLarge)?;
    if value.len() > runtime.config.value_bytes_max {
        return Err(Unstorable::TooLarge);
    }
    let ttl = Duration::from_millis(hard_ms);
    let learned = learned.zip(policy.adaptive.as_ref()).map(|(learned, adaptive)| {
        (Bytes::copy_from_slice(&learned.entry_lives(ttl).encode()), Learned::kept_for(adaptive, ttl))
    });
    Ok(Stamped { value, ttl, learned })
}

/// What a reading for a load or a write of this policy has to bring.
pub(crate) fn recall(policy: &Policy) -> Recall {
    if policy.adaptive.is_some() { Recall::Learned } else { Recall::Nothing }
}

/// What an adaptive TTL learns from, beside the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refilled<'a> {
    /// When the load or the write began, and what was known of the key then.
    pub(crate) clock: &'a ClockReading,
    /// Whether what it replaces was still stored.
    pub(crate) replaces: bool,
}

impl Refilled<'_> {
    fn learn(&self, adaptive: &AdaptiveTtl, payload: &[u8]) -> Learned {
        let mut payload_digest = [0; 16];
        payload_digest.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
        let refill = Refill { loaded_at_ms: self.clock.read_at_ms, payload_digest, replaces: self.replaces };
        let past = self.clock.learned.as_deref().and_then(Learned::decode);
        Learned::after(adaptive, past.as_ref(), &refill)
    }
}

fn ttl(runtime: &Runtime, ttl: &Ttl) -> Duration {
    let class = match ttl {
        Ttl::Fixed(ttl) => return *ttl,
        Ttl::Default => return runtime.config.default_ttl,
        Ttl::Class(class) => class,
    };
    let known = runtime.classes.read().unwrap_or_else(PoisonError::into_inner).get(class);
    known.unwrap_or_else(|| {
        if runtime.warns_of_class_once(class) {
            tracing::warn!(%class, default_ttl = ?runtime.config.default_ttl, "no such TTL class: using the default; said once");
        }
        runtime.config.default_ttl
    })
}

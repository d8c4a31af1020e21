//! Makes a value ready for the store: checks its names, decides its lifetime, writes its header.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;

use super::subject::Subject;
use crate::clock::millis;
use crate::entry::codec::Encoding;
use crate::entry::{self, Header, Packing};
use crate::freshness::{AdaptiveTtl, Freshness, Learned, Refill, Ttl};
use crate::name::{Name, Names};
use crate::observe::{Event, NotStored};
use crate::runtime::Runtime;
use crate::runtime::provenance::{Lineage, Overtaking};
use crate::runtime::quota::Quota;
use crate::store::{ClockReading, Fill, FillReply, Refusal, Token};

/// Where a value comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Read before the load or the write began.
    pub(crate) clock: ClockReading,
    /// Whether the value that it replaces was still stored at that time.
    pub(crate) replaces: bool,
    /// How long the load took.
    pub(crate) cost: Duration,
}

/// A value that is ready to be sent, from a load or from a write.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Header and payload.
    pub(crate) value: Bytes,
    /// The names that the entry belongs to, sorted, without its own key.
    names: Vec<Name>,
    /// How long it is fresh.
    pub(crate) fresh_for: Duration,
    /// How long the store keeps the entry, stale windows included.
    ttl: Duration,
    clock: ClockReading,
    /// See [`Fill::learned`].
    learned: Option<(Bytes, Duration)>,
    /// What the load itself has done to it.
    overtaking: Overtaking,
}

impl Prepared {
    /// Checks the names first, so that a value that cannot be stored is not encoded.
    pub(crate) fn new(
        subject: &Subject,
        declared: Names,
        inherited: Lineage,
        origin: Origin,
        encode: impl FnOnce(&Subject) -> Result<Encoding, NotStored>,
    ) -> Result<Self, NotStored> {
        if subject.is_contested() {
            return Err(NotStored::PrefixContested);
        }
        let (names, overtaking) = names(subject, declared, inherited)?;
        let encoded = encode(subject)?;
        let Subject { runtime, policy, .. } = subject;
        let mut learned = None;
        let (payload, ttl, freshness) = match encoded {
            Encoding::Value(payload) => {
                let ttl = match &policy.adaptive {
                    None => ttl(runtime, &policy.ttl),
                    Some(adaptive) => learned.insert(learn(adaptive, &origin, &payload)).ttl(),
                };
                (Some(payload), ttl, policy.freshness)
            }
            // Without stale windows: a stale `None` would hide a value that exists by now.
            Encoding::None => {
                (None, policy.negative_ttl.ok_or(NotStored::NotWanted)?, policy.freshness.without_windows())
            }
            Encoding::Err => return Err(NotStored::NotWanted),
        };
        let (value, fresh_for, ttl) = stamp(subject, &names, payload, (ttl, freshness), origin.cost)?;
        let learned = learned.zip(policy.adaptive.as_ref()).map(|(learned, adaptive)| {
            (Bytes::copy_from_slice(&learned.entry_lives(ttl).encode()), Learned::kept_for(adaptive, ttl))
        });
        Ok(Self { value, names, fresh_for, ttl, clock: origin.clock, learned, overtaking })
    }

    /// What has become of it.
    pub(crate) fn outcome(&self, subject: &Subject, reply: FillReply) -> Event<'static> {
        let (relapses, key) = (&subject.counters.relapses, subject.key_text().map_or("", |key| key));
        match reply {
            FillReply::Stored => {
                relapses.stored(key);
                Event::Stored
            }
            FillReply::Refused(refusal) => {
                let own = match refusal {
                    Refusal::Fenced => self.overtaking.fenced,
                    Refusal::BelowFloor => self.overtaking.swept,
                    _ => false,
                };
                let again = own && relapses.again(key, self.clock.read_at);
                Event::NotStored(if again { NotStored::InvalidatesItself } else { refusal.into() })
            }
        }
    }

    /// As if the work had begun after this reading: for experiments without a rule.
    pub(crate) fn read_later(&mut self, clock: ClockReading) {
        self.clock = clock;
    }

    /// Has the store refuse it, and do all that a write does beside storing the value.
    pub(crate) fn outdate(&mut self) {
        self.clock.incarnation = "".into();
    }

    /// The command to send. Writes, and loads without a lease, pass a token that holds no lease.
    pub(crate) fn fill<'a>(&'a self, key: &'a str, token: Token) -> Fill<'a> {
        let Self { value, names, ttl, clock, learned, .. } = self;
        Fill { key, value: value.clone(), names, ttl: *ttl, clock, token, learned: learned.clone() }
    }
}

/// What an entry belongs to, sorted, without its own key; and what its load has done to it.
fn names(subject: &Subject, declared: Names, mut inherited: Lineage) -> Result<(Vec<Name>, Overtaking), NotStored> {
    let config = &subject.runtime.config;
    if declared.is_poisoned() {
        return Err(NotStored::NameUnspelled);
    }
    if let Some(reason) = inherited.untraceable {
        return Err(reason);
    }
    let mut names: BTreeSet<Name> = std::mem::take(&mut inherited.names);
    names.extend(declared.into_sorted());
    names.extend(subject.stands_beside());
    let own = subject.name();
    if let Some(own) = &own {
        names.remove(own);
    }
    if inherited.overflowed || names.len() > config.names_max {
        subject.note(Event::NamesExceeded { at_least: names.len().max(config.names_max.saturating_add(1)) });
        return Err(NotStored::TooManyNames);
    }
    let overtaking = inherited.overtakes(names.iter().chain(&own));
    if subject.runtime.quota.is_some() {
        names.extend(Quota::name());
    }
    Ok((names.into_iter().collect(), overtaking))
}

/// Adds the header. A `payload` of `None` makes a negative entry. Also returns how long the entry
/// is fresh, and how long the store is to keep it.
fn stamp(
    subject: &Subject,
    names: &[Name],
    payload: Option<Vec<u8>>,
    (ttl, freshness): (Duration, Freshness),
    cost: Duration,
) -> Result<(Bytes, Duration, Duration), NotStored> {
    let Subject { runtime, policy, fingerprint, .. } = subject;
    let jitter = policy.jitter.unwrap_or(runtime.config.jitter);
    let lifetime = freshness.lifetime(ttl, jitter, fastrand::f64());
    let (soft_ms, hard_ms) = (millis(lifetime.soft), millis(lifetime.hard));
    if soft_ms == 0 {
        return Err(NotStored::NotWanted);
    }
    let now_ms = runtime.wall_ms();
    let (packing, payload) = pack(subject, payload);
    let header = Header {
        packing,
        negative: payload.is_none(),
        by_text: policy.by_text,
        fingerprint: *fingerprint,
        stored_at_ms: now_ms,
        soft_expires_at_ms: now_ms.saturating_add(soft_ms),
        hard_expires_at_ms: now_ms.saturating_add(hard_ms),
        load_cost_us: u32::try_from(cost.as_micros()).unwrap_or(u32::MAX),
    };
    let payload = payload.unwrap_or_default();
    let value = match runtime.config.storage.seal.as_deref() {
        None => entry::encode(&header, names, &payload).ok_or(NotStored::TooLarge)?,
        Some(seal) => entry::encode_sealed(&header, names, &payload, (seal, &subject.seal_place()))
            .ok_or(NotStored::Unsealable)?,
    };
    if value.len() > runtime.config.value_bytes_max {
        return Err(NotStored::TooLarge);
    }
    Ok((value, Duration::from_millis(soft_ms), Duration::from_millis(hard_ms)))
}

/// Compresses a payload that is large enough, and says how it is written.
fn pack(subject: &Subject, payload: Option<Vec<u8>>) -> (Packing, Option<Vec<u8>>) {
    let config = &subject.runtime.config;
    let packing = Packing { codec: subject.format().id(), ..Packing::PLAIN };
    let (compression, is_large) = (subject.compression(), |payload: &Vec<u8>| {
        // What is larger was stored as it is before, and would not be read back.
        (config.compress_bytes_min..=config.inflated_bytes_max).contains(&payload.len())
    });
    match payload.as_ref().filter(|payload| is_large(payload)).and_then(|payload| compression.deflate(payload)) {
        Some(deflated) => (Packing { compression: compression.id(), ..packing }, Some(deflated)),
        None => (packing, payload),
    }
}

fn learn(adaptive: &AdaptiveTtl, origin: &Origin, payload: &[u8]) -> Learned {
    let mut payload_digest = [0; 16];
    payload_digest.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
    let refill = Refill { loaded_at_ms: origin.clock.read_at_ms, payload_digest, replaces: origin.replaces };
    let past = origin.clock.learned.as_deref().and_then(Learned::decode);
    Learned::after(adaptive, past.as_ref(), &refill)
}

fn ttl(runtime: &Runtime, ttl: &Ttl) -> Duration {
    let class = match ttl {
        Ttl::Fixed(ttl) => return *ttl,
        Ttl::Default => return runtime.config.default_ttl,
        Ttl::Class(class) => class,
    };
    let known = runtime.classes.read().unwrap_or_else(PoisonError::into_inner).get(class);
    known.unwrap_or_else(|| {
        let default_ttl = runtime.config.default_ttl;
        if runtime.warns_of_class_once(class) {
            runtime.counted.unprefixed.note(Event::ClassUnknown { class, default_ttl });
        }
        default_ttl
    })
}

impl From<Refusal> for NotStored {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fenced => Self::Invalidated,
            Refusal::Closed => Self::Closed,
            Refusal::BelowFloor => Self::FloorRaised,
            Refusal::ForeignIncarnation => Self::ClockLost,
            Refusal::TooOld => Self::TooOld,
            Refusal::OutOfMemory => Self::MemoryFull,
            #[cfg(feature = "redis")]
            Refusal::Unregistered => Self::Unanswered,
        }
    }
}

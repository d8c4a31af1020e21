//! `adaptive_ttl = "min..max"`: a TTL that follows how often the data changes.
//!
//! # What is aimed at
//! A value that changes at rate λ and lives for T is stale for a share of about λT/2 of the time,
//! and costs 1/T loads. With a load priced at a stale time of P/2, the sum of both is least at
//! `T = √(P / λ)`. So the best TTL grows with the square root of the mean time between changes, and
//! is not a share of that time. The Alex protocol takes a share (Cate 1992; Gwertzman and Seltzer,
//! "World Wide Web Cache Consistency", USENIX 1996). Over keys of different rates a share is no
//! better than one fixed TTL for all (Cho and Garcia-Molina, "Effective page refresh policies for
//! web crawlers", TODS 2003: proportional against uniform).
//!
//! The user is not asked for P: `P = min`. So `T = √(min · mean time between changes)`, cut
//! off at `max`. A value that changes every `min` is loaded every `min`, and a value that changes a
//! hundred times less often lives ten times as long. A price that also grew with `max` was tried.
//! Of a key that changes more often than once in P every refresh is wasted. With prices above `min`
//! there are such keys whose TTL could still be made shorter, so a fixed TTL can be better for
//! mixed data.
//!
//! # How it is learned
//! A refill shows whether the payload changed since the last load, but not how often or when (Cho
//! and Garcia-Molina, "Estimating frequency of change", TOIT 2003: irregular access). If the TTL
//! were right, the rate would be `P / T²`, and a change within the time Δ between the two loads
//! would have the probability `q = 1 − exp(−PΔ / T²)`. So
//!
//! ```text
//! unchanged:  ln T += GAIN · q         changed:  ln T −= GAIN · (1 − q)
//! ```
//!
//! a Robbins–Monro iteration (as in d-TTL: Basu et al., "Adaptive TTL-Based Caching for Content
//! Delivery", ToN 2018, which steers a hit rate where this steers surprise) whose mean step
//! vanishes where `λ = P / T²`, whatever the Δ, so also when reads are rarer than the TTL. The gain
//! is constant, because the data may begin to change at another rate at any time.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::millis;

/// How far one surprise moves the logarithm of the TTL. At one half the TTL of a value that has not
/// changed for a time t tends to `√(P · t)`, as it should, and the variation of the TTL costs up to
/// 16 % more loads than the right TTL held for ever, at equal staleness. At 1 it costs 25 %; at 0.3
/// it costs 14 %, and a new rate is followed later. (Simulated: `examples/simulations`.)
const GAIN: f64 = 0.5;
/// What was learned is kept after a fill for this many times the longest TTL. A key that is read
/// less often is a new key.
const KEPT_LONGEST_TTLS: u32 = 4;

const STATE_VERSION: u8 = 1;

/// The bounds of an adaptive TTL. The lower bound is also the price of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveTtl {
    min: Duration,
    max: Duration,
}

/// What a refill shows about the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The payload is the same.
    Unchanged,
    /// The payload is another, or the entry was invalidated.
    Changed,
}

impl AdaptiveTtl {
    /// `None` unless `0 < min <= max`.
    pub fn new(min: Duration, max: Duration) -> Option<Self> {
        (Duration::ZERO < min && min <= max).then_some(Self { min, max })
    }

    /// The TTL of a key of which nothing is known yet: right for a value that changes every
    /// `√(min · max)`.
    pub fn initial(&self) -> Duration {
        // Not the root of the product: the product may overflow.
        let middle = self.min.as_secs_f64().sqrt() * self.max.as_secs_f64().sqrt();
        self.bounded((self.price() * middle).sqrt())
    }

    /// The TTL after `ttl`, when the data were loaded again `elapsed` after the load before.
    pub fn next(&self, ttl: Duration, elapsed: Duration, observed: Observation) -> Duration {
        let seconds = ttl.clamp(self.min, self.max).as_secs_f64();
        let expected_changes = self.price() * elapsed.as_secs_f64() / (seconds * seconds);
        let step = match observed {
            Observation::Unchanged => GAIN * (1.0 - (-expected_changes).exp()),
            Observation::Changed => -GAIN * (-expected_changes).exp(),
        };
        self.bounded(seconds * step.exp())
    }

    /// P, in seconds.
    fn price(&self) -> f64 {
        self.min.as_secs_f64()
    }

    fn bounded(&self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).map_or(self.max, |ttl| ttl.clamp(self.min, self.max))
    }
}

/// What is known of one key, kept in the store beside the entry so that all processes share it. The
/// store keeps it longer than the entry, because a refill is compared with an entry that has
/// expired. Losing it costs the time to learn it again, and nothing else.
///
/// 41 bytes, little endian:
///
/// | bytes | what |
/// |---|---|
/// | 0 | format version, 1 |
/// | 1..9 | when the last stored load began, ms since the epoch by the store's clock |
/// | 9..17 | its TTL before jitter, µs |
/// | 17..25 | when the store drops its entry, ms since the epoch by the store's clock |
/// | 25..41 | first 128 bits of the payload's blake3 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    loaded_at_ms: u64,
    ttl_us: u64,
    drops_at_ms: u64,
    payload_digest: [u8; 16],
}

/// A load that is about to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// When the clock was read for it, by the store's clock.
    pub loaded_at_ms: u64,
    /// First 128 bits of the payload's blake3.
    pub payload_digest: [u8; 16],
    /// Whether the entry that the load replaces was still stored then.
    pub replaces: bool,
}

impl Learned {
    /// What is known after a refill. `past` is what was known before; `None` for a new key, and for
    /// stored bytes that are not readable.
    pub fn after(bounds: &AdaptiveTtl, past: Option<&Self>, refill: &Refill) -> Self {
        let ttl = match past {
            None => bounds.initial(),
            Some(past) => {
                // If the store's clock was set back, no time has passed.
                let elapsed = Duration::from_millis(refill.loaded_at_ms.saturating_sub(past.loaded_at_ms));
                bounds.next(Duration::from_micros(past.ttl_us), elapsed, past.observed(refill))
            }
        };
        Self {
            loaded_at_ms: refill.loaded_at_ms,
            ttl_us: u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX),
            drops_at_ms: refill.loaded_at_ms,
            payload_digest: refill.payload_digest,
        }
    }

    /// An entry that is gone before its time was invalidated. If it was evicted, its TTL was too
    /// long for the memory, and counts as a change as well.
    fn observed(&self, refill: &Refill) -> Observation {
        let invalidated = !refill.replaces && refill.loaded_at_ms < self.drops_at_ms;
        if invalidated || refill.payload_digest != self.payload_digest {
            Observation::Changed
        } else {
            Observation::Unchanged
        }
    }

    /// How long the value of the refill is fresh, before jitter.
    pub fn ttl(&self) -> Duration {
        Duration::from_micros(self.ttl_us)
    }

    /// When the last stored load began.
    pub fn loaded_at_ms(&self) -> u64 {
        self.loaded_at_ms
    }

    /// Notes how long the store keeps the entry, jitter and stale windows included.
    pub fn entry_lives(mut self, hard: Duration) -> Self {
        self.drops_at_ms = self.loaded_at_ms.saturating_add(millis(hard));
        self
    }

    /// How long the store keeps this state, from the fill on.
    pub fn kept_for(bounds: &AdaptiveTtl, hard: Duration) -> Duration {
        hard.max(bounds.max.saturating_mul(KEPT_LONGEST_TTLS))
    }

    /// The stored bytes.
    pub fn encode(&self) -> [u8; 41] {
        let mut bytes = [0; 41];
        bytes[0] = STATE_VERSION;
        bytes[1..9].copy_from_slice(&self.loaded_at_ms.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.ttl_us.to_le_bytes());
        bytes[17..25].copy_from_slice(&self.drops_at_ms.to_le_bytes());
        bytes[25..41].copy_from_slice(&self.payload_digest);
        bytes
    }

    /// Reads stored bytes; `None` if they have another format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version], rest) = bytes.split_first_chunk()?;
        let (&loaded_at, rest) = rest.split_first_chunk()?;
        let (&ttl, rest) = rest.split_first_chunk()?;
        let (&drops_at, rest) = rest.split_first_chunk()?;
        let payload_digest = rest.try_into().ok()?;
        (version == STATE_VERSION).then_some(Self {
            loaded_at_ms: u64::from_le_bytes(loaded_at),
            ttl_us: u64::from_le_bytes(ttl),
            drops_at_ms: u64::from_le_bytes(drops_at),
            payload_digest,
        })
    }
}

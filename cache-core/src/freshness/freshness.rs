//! Decides whether a stored value is served, served and refreshed, or loaded; and how long it
//! lives.
//!
//! Time and randomness are arguments; nothing is read or written. Invalidations are not considered
//! here: an invalidated value is gone from the store.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::millis;
use crate::config::{CLOCK_SKEW_MAX, DURATION_MAX};

/// The options of a cached function about values that get old. All are off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Freshness {
    /// After the TTL the value is served for this long, while one refresh runs in the background
    /// (RFC 5861, section 3).
    pub stale_while_revalidate: Duration,
    /// After the TTL the value is served for this long if the load fails (RFC 5861, section 4).
    pub stale_if_error: Duration,
    /// β of XFetch: above 1 refreshes earlier, below 1 later. `None`: no early refresh.
    pub early_refresh: Option<f64>,
}

/// What the header of an entry says about its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// End of the TTL, ms since the epoch.
    pub soft_expires_at_ms: u64,
    /// End of the last stale window, ms since the epoch. Then the store drops the entry.
    pub hard_expires_at_ms: u64,
    /// How long the load took.
    pub load_cost_us: u32,
}

/// What a call does with a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The value is fresh: the caller gets it.
    Serve,
    /// The caller gets the value at once, and one refresh runs in the background.
    ServeAndRefresh(Reason),
    /// The caller waits for a load, and gets the stored value if the load fails.
    LoadOrServe,
    /// The value is of no use: a miss.
    Expired,
}

/// Why a value that is served is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its TTL is over, within `stale_while_revalidate`.
    Stale,
    /// Its TTL will be over before long.
    Early,
}

impl Freshness {
    /// What to do with a value at `now_ms`; `random` is drawn anew for every call, uniformly from
    /// above 0 to 1.
    ///
    /// `now_ms` is of this host's clock, and the times are of the clock of the host that stored the
    /// value. A difference between the clocks makes a value as much younger or older here. No value
    /// is served longer than the store keeps it.
    pub fn step(&self, times: &Times, now_ms: u64, random: f64) -> Decision {
        if now_ms >= times.hard_expires_at_ms.saturating_add(millis(CLOCK_SKEW_MAX)) {
            return Decision::Expired;
        }
        if now_ms < times.soft_expires_at_ms {
            return if self.refreshes_early(times, now_ms, random) {
                Decision::ServeAndRefresh(Reason::Early)
            } else {
                Decision::Serve
            };
        }
        let stale_ms = now_ms - times.soft_expires_at_ms;
        if stale_ms < millis(self.stale_while_revalidate) {
            Decision::ServeAndRefresh(Reason::Stale)
        } else if stale_ms < millis(self.stale_if_error) {
            Decision::LoadOrServe
        } else if times.soft_expires_at_ms >= times.hard_expires_at_ms {
            // The store drops an entry without windows at the end of its TTL, by the store's clock.
            // The store still has this one, so this host's clock is ahead.
            Decision::Serve
        } else {
            Decision::Expired
        }
    }

    /// Whether a value may be served in place of a load that failed at `now_ms`.
    pub fn may_stand_in(&self, times: &Times, now_ms: u64) -> bool {
        now_ms.saturating_sub(times.soft_expires_at_ms) < millis(self.stale_if_error)
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede
    /// Prevention", VLDB 2015): `now − cost · β · ln(random) ≥ expiry`.
    ///
    /// The expiry is the soft one, the end of the TTL: after it callers wait, or are served
    /// something stale. With the hard expiry a value with a stale window would go stale in every
    /// cycle before anyone refreshed it.
    fn refreshes_early(&self, times: &Times, now_ms: u64, random: f64) -> bool {
        let Some(beta) = self.early_refresh else { return false };
        let remaining_ms = times.soft_expires_at_ms.saturating_sub(now_ms) as f64;
        let cost_ms = f64::from(times.load_cost_us) / 1_000.0;
        // A cost of zero times the infinite logarithm of zero is NaN, which is no reason to
        // refresh.
        -cost_ms * beta * random.ln() >= remaining_ms
    }

    /// The same, but nothing is served after its TTL.
    pub fn without_windows(self) -> Self {
        Self { stale_while_revalidate: Duration::ZERO, stale_if_error: Duration::ZERO, ..self }
    }

    /// How long a value is of use after its TTL.
    pub fn stale_window(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }

    /// The lifetime of a value that is stored now. Jitter shortens the TTL, and the hard lifetime
    /// by as much: the stale windows keep their length. `random` is drawn uniformly from 0 to 1.
    /// Nothing lives longer than [`DURATION_MAX`], which a store cannot tell from for ever.
    pub fn lifetime(&self, ttl: Duration, jitter: f64, random: f64) -> Lifetime {
        let share = 1.0 - jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
        let soft = ttl.min(DURATION_MAX).mul_f64(share).min(ttl);
        Lifetime { soft, hard: soft.saturating_add(self.stale_window()).min(DURATION_MAX) }
    }
}

/// How long a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Until it is stale.
    pub soft: Duration,
    /// Until the store drops it.
    pub hard: Duration,
}

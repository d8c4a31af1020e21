//! Decisions about age: reads no clock, asks no store, draws no random number.

mod adaptive;
mod freshness;
mod into_duration;
mod ttl;

pub use adaptive::{AdaptiveTtl, Learned, Observation, Refill};
pub use freshness::{Decision, Freshness, Lifetime, Reason, Times};
pub use into_duration::IntoDuration;
pub use ttl::{Ttl, TtlClasses};

//! Decisions about age: reads no clock, asks no store, draws no random number.

mod adaptive;
mod freshness;
mod ttl;

pub use adaptive::{AdaptiveTtl, Learned, Observed, Refill};
pub use freshness::{Freshness, Lifetime, Reason, Step, Times};
pub use ttl::{Ttl, TtlClasses};

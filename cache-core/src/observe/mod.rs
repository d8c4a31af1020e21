//! Counts and reports: knows nothing of what it counts.

mod health;
mod stats;

pub use health::Health;
pub(crate) use stats::{Counted, Counters};
pub use stats::{PrefixStats, Stats};

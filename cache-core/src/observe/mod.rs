//! Counts and reports: knows nothing of what it counts.

mod event;
mod health;
mod memo;
mod memory_use;
mod pace;
mod reason;
mod relapses;
mod stats;
mod striped;
mod table;
mod trust;

pub(crate) use event::{Event, NotStored, PANICKED, TOOK_TOO_LONG};
pub use health::Health;
pub(crate) use memo::{CountersMemo, SharedCounters};
pub use memory_use::MemoryUse;
pub(crate) use stats::{CounterTable, Counters};
pub use stats::{PrefixStats, Stats, StatsIter};

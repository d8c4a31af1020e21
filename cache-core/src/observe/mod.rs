//! Counts and reports: knows nothing of what it counts.

mod cache_state;
mod calls;
mod event;
#[cfg(feature = "metrics")]
mod facade;
mod headers;
mod health;
mod histogram;
mod memo;
mod memory_use;
mod metrics;
mod not_stored;
mod pace;
mod prometheus;
mod relapses;
mod said;
mod spans;
mod stats;
mod stats_iter;
mod striped;
mod table;
mod trust;
mod unreadable;
mod verified;
mod waits;
mod whole;

pub(crate) use cache_state::{CacheState, StoreLinks};
pub use calls::{CallLog, CallRecord, CallResult};
pub(crate) use calls::{CallMark, CallObserver, TellCall};
pub(crate) use event::{Event, PANICKED, TOOK_TOO_LONG};
pub use health::Health;
pub(crate) use memo::{CountersMemo, SharedCounters};
pub use memory_use::MemoryUse;
pub use metrics::{Metric, MetricKind, MetricSample, MetricValue};
pub(crate) use not_stored::NotStored;
pub use not_stored::UnstoredReason;
pub use prometheus::prometheus_text;
#[cfg(feature = "redis")]
pub(crate) use said::said;
pub(crate) use spans::{LoadSpan, invalidation_span, refresh_span, verification_span};
pub(crate) use stats::{CounterTable, Counters};
pub use stats::{PrefixStats, Stats};
pub use stats_iter::StatsIter;
pub use unreadable::BadEntryReason;
pub(crate) use unreadable::Unreadable;
pub(crate) use verified::VerificationEnd;
pub(crate) use waits::WaitEnd;
pub(crate) use whole::{InvalidationKind, StoreOperation};

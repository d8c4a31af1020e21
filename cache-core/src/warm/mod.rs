//! Loads values ahead of calls: knows functions and keys as text, and not how values are stored.

mod batch;
mod keys;
mod outcome;
mod registry;
mod run;
mod schedule;
mod warm;

pub use self::outcome::{WarmError, WarmProgress, Warmed};
pub use self::schedule::WarmSchedule;
pub use self::warm::Warmer;

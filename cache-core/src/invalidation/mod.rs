//! What is to be removed, as a value and in its wire form: sends nothing.

mod cause;
mod collect;
mod invalidation;
mod targets;
mod wire;

pub use cause::Cause;
pub use collect::CollectInvalidations;
pub use invalidation::{Invalidated, Invalidation};
pub(crate) use targets::Targets;

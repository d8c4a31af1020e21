//! What is to be removed, as a value and in its wire form: sends nothing.

mod invalidation;
mod targets;
mod wire;

pub use invalidation::{Invalidated, Invalidation};
pub(crate) use targets::Targets;

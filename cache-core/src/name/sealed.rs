//! Keeps other crates from implementing the traits of names.

/// A type of this crate that may stand for a name.
pub trait Sealed {}

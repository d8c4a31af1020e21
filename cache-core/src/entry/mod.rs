//! The bytes of one entry: knows nothing of stores and functions.

pub(crate) mod alone;
pub(crate) mod codec;
mod entry;
mod fingerprint;

pub(crate) use entry::{Entry, Header, Version, encode, is_of, outline};
pub(crate) use fingerprint::{Fingerprint, fingerprint};
pub use fingerprint::{OpaqueField, Shape, ShapeOf};

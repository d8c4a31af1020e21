//! The bytes of one entry: knows nothing of stores and functions.

pub(crate) mod alone;
pub(crate) mod codec;
mod entry;
mod fingerprint;
mod opening;

pub(crate) use entry::{Entry, Header, Packing, Version, encode, encode_sealed, is_of, outline};
pub(crate) use fingerprint::{Fingerprint, fingerprint};
pub use fingerprint::{OpaqueField, Shape, ShapeOf};
pub(crate) use opening::OpeningTerms;

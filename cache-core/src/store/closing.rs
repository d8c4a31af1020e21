//! How an operation says which closed names are its own.

use crate::config::CLOSED_NAMES_MAX;
use crate::error::{Error, ErrorKind};

/// One operation that has closed names. Unique, so that no operation opens what another has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClosingId(pub(crate) u128);

impl ClosingId {
    pub(crate) const MIN: Self = Self(u128::MIN);
    pub(crate) const MAX: Self = Self(u128::MAX);

    pub(crate) fn new() -> Self {
        Self(fastrand::u128(..))
    }
}

pub(crate) fn too_many_closed() -> Error {
    let message = format!("more than {CLOSED_NAMES_MAX} names would be closed at once in this namespace");
    Error::new(ErrorKind::Limit, message)
}

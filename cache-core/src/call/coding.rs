//! How values of one type are stored and read back, as functions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::payload;
use crate::entry::codec::{self, Encoding};
use crate::entry::{Entry, Fingerprint, Shape, fingerprint};
use crate::error::Error;
use crate::observe::NotStored;
use crate::paths::subject::Subject;

/// What a call needs of the type of its values. It is made where the bounds are checked, and code
/// that has it need not ask for them again. So a type that lacks a bound is reported once.
pub struct Coding<T> {
    pub(super) encode: fn(&Subject, &T) -> Result<Encoding, NotStored>,
    pub(super) decode: fn(&Entry) -> Result<T, Error>,
    /// An entry of a batch may be a `None`.
    pub(super) encode_option: fn(&Subject, Option<&T>) -> Result<Encoding, NotStored>,
    pub(super) decode_option: fn(&Entry) -> Result<Option<T>, Error>,
    /// Whether an entry holds this value; an error: it cannot be compared.
    pub(super) is_held: fn(&Entry, &T) -> Result<bool, Error>,
    pub(super) fingerprint: fn(u32, Declared) -> Fingerprint,
}

/// The fields that a `Cacheable` type declares.
type Declared = Option<fn(&mut Shape)>;

impl<T: Serialize + DeserializeOwned> Coding<T> {
    pub(crate) fn of_type() -> Self {
        Self {
            encode: |subject, value| payload::encode::<T>(subject, value),
            decode: codec::decode,
            encode_option: |subject, value| payload::encode::<Option<T>>(subject, &value),
            decode_option: codec::decode,
            is_held: codec::holds::<T>,
            fingerprint: fingerprint::<T>,
        }
    }
}

impl<T> Clone for Coding<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Coding<T> {}

//! How payloads are sealed, so that who can read or write the store can neither read nor change
//! them.

use super::CodecError;

/// Encryption of your own for the values in the store: [`Builder::seal`](crate::Builder::seal).
/// [The guide](crate::guide::codecs) has one that works.
///
/// # What is sealed
/// The encoded value, compressed before. Keys, tags and the header are not: the server finds
/// entries by them. They are bound to the value: `bound_to` holds the namespace, the key, the times
/// and the names of the entry, and must be given to an AEAD as associated data. So bytes that were
/// copied to another key, or whose lifetime was prolonged, do not open. An older entry that was
/// kept and written back to its own key does, until its time ends.
///
/// # Keys
/// An entry says with which key it was sealed. To rotate, give all processes the new key to open
/// with, then let them seal with it, and forget the old one when the longest TTL has passed. An
/// entry whose key is unknown is a miss.
///
/// # Consistency
/// A cache with a seal serves nothing that is not sealed: anybody could have written it.
pub trait Seal: Send + Sync + 'static {
    /// Seals a value with the key of now. A nonce is made anew each time, and is part of the bytes.
    ///
    /// # Errors
    /// The value is returned to its caller and not stored.
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Result<SealedValue, CodecError>;

    /// Opens what was sealed with this key.
    ///
    /// # Errors
    /// The entry is a miss, for this reason.
    fn open(&self, key_id: u32, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, OpenError>;
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// The key that it was sealed with.
    pub key_id: u32,
    /// What opens to it.
    pub bytes: Vec<u8>,
}

/// Why a value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such key here.
    UnknownKey,
    /// The bytes were not sealed with this key, or for another entry, or they were changed.
    Damaged,
}

//! From the payload as it is stored to the bytes that a codec reads.

use super::entry::{BadEntry, Entry, Opened, Packing};
use crate::codec::{Compression, Format, Inflation, OpenError, Storage};
use crate::observe::Unreadable;

/// What it takes to open the entry of one key.
pub(crate) struct OpeningTerms<'a> {
    pub(crate) storage: &'a Storage,
    /// The codec of the function whose entry it is.
    pub(crate) function: Option<Format>,
    /// What payloads are bound to: the namespace and the key.
    pub(crate) place: &'a dyn Fn() -> String,
    /// The largest payload that may come out.
    pub(crate) inflated_bytes_max: usize,
}

impl Entry {
    /// Undoes what was done to the payload: the seal first, then the compression. An entry of plain
    /// JSON is what it was, and costs nothing.
    pub(crate) fn opened(mut self, opening: &OpeningTerms<'_>) -> Result<Self, Unreadable> {
        let seal = opening.storage.seal.as_deref();
        let packing = self.header().packing;
        if packing == Packing::PLAIN && seal.is_none() {
            return Ok(self);
        }
        let format = opening.storage.format_of(packing.codec, opening.function).ok_or(Unreadable::UnknownCodec)?;
        let mut payload = self.payload();
        match (packing.is_sealed, seal) {
            (true, Some(seal)) => {
                let (key_id, sealed) = payload.split_first_chunk().ok_or(Unreadable::Unopened)?;
                let bound_to = self.bound_to(&(opening.place)());
                payload = seal.open(u32::from_le_bytes(*key_id), sealed, &bound_to)?.into();
            }
            (true, None) => return Err(Unreadable::UnknownKey),
            (false, Some(_)) => return Err(Unreadable::Unsealed),
            (false, None) => {}
        }
        if packing.compression != 0 {
            payload = Compression::inflate(packing.compression, &payload, opening.inflated_bytes_max)?.into();
        }
        self.opened = Some(Box::new(Opened { format, payload }));
        Ok(self)
    }
}

impl From<BadEntry> for Unreadable {
    fn from(bad: BadEntry) -> Self {
        match bad {
            BadEntry::Truncated => Self::Truncated,
            BadEntry::Foreign => Self::Foreign,
            BadEntry::Corrupt => Self::Corrupt,
        }
    }
}

impl From<Inflation> for Unreadable {
    fn from(inflation: Inflation) -> Self {
        match inflation {
            Inflation::Unknown => Self::UnknownCompression,
            Inflation::TooLarge => Self::InflatesTooFar,
            Inflation::Damaged => Self::Uninflatable,
        }
    }
}

impl From<OpenError> for Unreadable {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::UnknownKey => Self::UnknownKey,
            OpenError::Damaged => Self::Unopened,
        }
    }
}

#[cfg(test)]
mod tests;

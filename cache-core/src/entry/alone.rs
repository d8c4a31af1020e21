//! Entries by themselves, without a store: for counting what reading a header costs, and for
//! whoever throws bytes at it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Encoding, decode, encode_as};
use crate::codec::{Compression, Format, Seal, Storage};
use crate::entry::entry::BadEntry;
use crate::entry::{Entry, Fingerprint, Header, OpeningTerms, Packing, encode, outline};

/// An entry with this payload and no names.
pub fn sample(payload: &[u8]) -> Bytes {
    packed(Format::Json.id(), 0, false, payload)
}

/// An entry that says of this payload that it is so encoded, compressed and sealed.
pub fn packed(codec: u8, compression: u8, is_sealed: bool, payload: &[u8]) -> Bytes {
    let header = Header {
        fingerprint: Fingerprint([7; 16]),
        negative: false,
        by_text: false,
        packing: Packing { codec, compression, is_sealed },
        stored_at_ms: 1_000,
        soft_expires_at_ms: 2_000,
        hard_expires_at_ms: 3_000,
        load_cost_us: 500,
    };
    encode(&header, &[], payload).unwrap_or_default()
}

/// Whether layout and checksum are those of an entry: what a hit asks of the bytes that it gets.
pub fn is_readable(entry: &Bytes) -> bool {
    Entry::decode(entry.clone()).is_ok()
}

/// Bytes with the checksum that an entry of them would have.
pub fn sealed(bytes: &[u8]) -> Bytes {
    [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat().into()
}

/// How many names these bytes have as an entry, and how long their payload is; or what is wrong.
pub fn outline_of(entry: &Bytes) -> Result<(usize, usize), String> {
    let read = || {
        let decoded = Entry::decode(entry.clone())?;
        let (names, payload) = (decoded.names()?, decoded.payload());
        assert_eq!(outline(entry)?.payload_bytes, payload.len() as u64);
        Ok((names.len(), payload.len()))
    };
    read().map_err(|error: BadEntry| error.to_string())
}

/// How a value is encoded, and how that is compressed if it becomes smaller, with the ids of both.
pub fn payload_of<T: Serialize + DeserializeOwned>(
    value: &T,
    format: Format,
    compression: Compression,
) -> (u8, u8, Vec<u8>) {
    let plain = match encode_as::<T>(value, format) {
        Ok(Encoding::Value(plain)) => plain,
        _ => Vec::new(),
    };
    match compression.deflate(&plain) {
        Some(deflated) => (format.id(), compression.id(), deflated),
        None => (format.id(), 0, plain),
    }
}

/// The value of an entry, for a cache with this seal or without one; or why there is none.
pub fn value_of<T: DeserializeOwned>(
    entry: Bytes,
    seal: Option<Arc<dyn Seal>>,
    inflated_bytes_max: usize,
) -> Result<T, String> {
    let storage = Storage { seal, ..Storage::default() };
    let terms =
        OpeningTerms { storage: &storage, function: None, place: &|| "shop:user:1".to_owned(), inflated_bytes_max };
    let entry = Entry::decode(entry).map_err(|error| error.to_string())?;
    let opened = entry.opened(&terms).map_err(|unreadable| format!("{unreadable:?}"))?;
    decode(&opened).map_err(|error| error.to_string())
}

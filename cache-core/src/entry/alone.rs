//! Entries by themselves, without a store: for counting what reading a header costs, and for
//! whoever throws bytes at it.

use bytes::Bytes;

use crate::entry::entry::BadEntry;
use crate::entry::{Entry, Fingerprint, Header, Packing, encode, outline};

/// An entry with this payload and no names.
pub fn sample(payload: &[u8]) -> Bytes {
    let header = Header {
        fingerprint: Fingerprint([7; 16]),
        negative: false,
        by_text: false,
        packing: Packing::PLAIN,
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

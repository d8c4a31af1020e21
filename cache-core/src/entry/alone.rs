//! Entries by themselves, without a store: for counting what reading a header costs.

use bytes::Bytes;

use crate::entry::{Entry, Fingerprint, Header, encode};

/// An entry with this payload and no names.
pub fn sample(payload: &[u8]) -> Bytes {
    let header = Header {
        fingerprint: Fingerprint([7; 16]),
        negative: false,
        by_text: false,
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

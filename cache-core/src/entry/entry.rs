//! The bytes of one entry: a header of fixed layout, the names the entry belongs to, the payload.
//!
//! Little endian. The invalidation script reads the names as well, so the layout is part of the
//! store's contract, and golden bytes pin it:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | format version, 2 |
//! | 1 | codec: 1 = JSON, 2 = postcard, 3 = MessagePack, 128 and more = users' own |
//! | 2 | flags, from bit 0: negative (`None`, no payload), by text ([`Header::by_text`]), sealed |
//! | 3 | compression: 0 = none, 1 = LZ4, 2 = Zstandard |
//! | 4..20 | type fingerprint |
//! | 20..28 | stored at, ms since the epoch |
//! | 28..36 | soft expiry, ms since the epoch |
//! | 36..44 | hard expiry, ms since the epoch |
//! | 44..48 | load cost, µs, saturating |
//! | 48..52 | bytes of the payload |
//! | 52..56 | bytes of the names |
//! | 56.. | names: nothing, or `\n` name `\n` name … `\n` |
//! | then | payload |
//! | last 4 | CRC-32 (IEEE) of everything before it |
//!
//! A payload that is sealed begins with the id of the key, 4 bytes, and one that is compressed with
//! the length that it has inflated, 4 bytes. It is compressed first, and then sealed. To a version
//! of the library that knew JSON alone, an entry with another codec, compressed or sealed, is
//! [`Foreign`](BadEntry::Foreign).
//!
//! The checksum finds bits that flipped in memory or on a wire. Without it such a value would be
//! served: a changed digit still parses. A CRC notices every flip of a single bit, and of any bits
//! within 32, whatever the length. It costs a hit 20 ns for 200 bytes and 16 µs for 1 MiB, where
//! 128 bits of BLAKE3 cost 420 ns and 102 µs. It is no defence against someone who may write to the
//! store.
//!
//! The checksum stands at the end, so that nothing before it moves: the scripts of an earlier
//! version of the library must still find the names of a newer entry that they remove. To the calls
//! of that version the entry is [`Foreign`](BadEntry::Foreign), a miss. Format 1, without the
//! checksum, is still read.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::codec::{Format, JSON, Seal};
use crate::entry::Fingerprint;
use crate::freshness::Times;
use crate::name::Name;

const FORMAT_VERSION: u8 = 2;
/// The format without the checksum.
const FORMAT_UNCHECKED: u8 = 1;
const FLAG_NEGATIVE: u8 = 1;
const FLAG_BY_TEXT: u8 = 2;
const FLAG_SEALED: u8 = 4;
const HEADER_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 4;
/// What a seal binds a payload to, beside the names: all of the header but its two lengths.
const BOUND_BYTES: usize = 48;
/// Position of the times in the header.
const TIMES: Range<usize> = 20..44;

/// Tells a stored value from the one that replaces it, by the times in its header. `take_lease.lua`
/// compares these times too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) [u8; 24]);

impl Version {
    /// `None`: not an entry.
    pub(crate) fn of(stored: &[u8]) -> Option<Self> {
        stored.get(TIMES)?.try_into().ok().map(Self)
    }
}

/// How the payload of an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) codec: u8,
    /// 0: none.
    pub(crate) compression: u8,
    pub(crate) is_sealed: bool,
}

impl Packing {
    /// JSON as it is.
    pub(crate) const PLAIN: Self = Self { codec: JSON, compression: 0, is_sealed: false };
}

/// Everything about an entry except its names and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fingerprint: Fingerprint,
    /// The function returned `None`; there is no payload.
    pub(crate) negative: bool,
    /// Stored under a key that was given as text, so without the tags and dependencies that a
    /// function declares. A call of the function must not be served such an entry: an invalidation
    /// by one of these tags would not reach it.
    pub(crate) by_text: bool,
    pub(crate) packing: Packing,
    pub(crate) stored_at_ms: u64,
    pub(crate) soft_expires_at_ms: u64,
    pub(crate) hard_expires_at_ms: u64,
    /// How long the load took; `u32::MAX` is 71 minutes or more.
    pub(crate) load_cost_us: u32,
}

impl Header {
    pub(crate) fn times(&self) -> Times {
        Times {
            soft_expires_at_ms: self.soft_expires_at_ms,
            hard_expires_at_ms: self.hard_expires_at_ms,
            load_cost_us: self.load_cost_us,
        }
    }
}

/// Why stored bytes are not an entry of ours: a miss, counted, overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadEntry {
    /// Shorter than a header, or not as long as the header says.
    Truncated,
    /// Written by another version of the format, or with flags that are unknown here.
    Foreign,
    /// Contradicts itself, or does not match its checksum.
    Corrupt,
}

impl fmt::Display for BadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "stored bytes are truncated",
            Self::Foreign => "stored bytes are in an unknown format",
            Self::Corrupt => "stored bytes are corrupt",
        })
    }
}

impl std::error::Error for BadEntry {}

/// Writes an entry; `None` if the payload or the names do not fit their 32-bit lengths, which are
/// far beyond every limit.
pub(crate) fn encode(header: &Header, names: &[Name], payload: &[u8]) -> Option<Bytes> {
    let names_bytes = names_bytes(names);
    let Header { packing, .. } = header;
    let payload = if header.negative && !packing.is_sealed { &[] } else { payload };
    let mut out = Vec::with_capacity(HEADER_BYTES + names_bytes + payload.len() + CHECKSUM_BYTES);
    push_bound(&mut out, header);
    out.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&u32::try_from(names_bytes).ok()?.to_le_bytes());
    push_names(&mut out, names);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    Some(out.into())
}

/// Writes an entry whose payload is sealed, bound to its place and to all that the entry says of
/// itself. `None`: the seal failed, or a length does not fit.
pub(crate) fn encode_sealed(
    header: &Header,
    names: &[Name],
    payload: &[u8],
    (seal, place): (&dyn Seal, &str),
) -> Option<Bytes> {
    let header = Header { packing: Packing { is_sealed: true, ..header.packing }, ..*header };
    let (mut bound, mut names_block) = (Vec::new(), Vec::new());
    push_bound(&mut bound, &header);
    push_names(&mut names_block, names);
    let sealed = seal.seal(payload, &bound_to(place, &bound, &names_block)).ok()?;
    encode(&header, names, &[&sealed.key_id.to_le_bytes()[..], &sealed.bytes].concat())
}

/// What the payload of an entry is bound to by its seal. No two entries have the same.
fn bound_to(place: &str, header: &[u8], names: &[u8]) -> Vec<u8> {
    [&(place.len() as u64).to_le_bytes()[..], place.as_bytes(), header, names].concat()
}

/// The first [`BOUND_BYTES`] of the header.
fn push_bound(out: &mut Vec<u8>, header: &Header) {
    let Packing { codec, compression, is_sealed } = header.packing;
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags =
        flag(header.negative, FLAG_NEGATIVE) | flag(header.by_text, FLAG_BY_TEXT) | flag(is_sealed, FLAG_SEALED);
    out.extend_from_slice(&[FORMAT_VERSION, codec, flags, compression]);
    out.extend_from_slice(&header.fingerprint.0);
    out.extend_from_slice(&header.stored_at_ms.to_le_bytes());
    out.extend_from_slice(&header.soft_expires_at_ms.to_le_bytes());
    out.extend_from_slice(&header.hard_expires_at_ms.to_le_bytes());
    out.extend_from_slice(&header.load_cost_us.to_le_bytes());
}

fn names_bytes(names: &[Name]) -> usize {
    match names {
        [] => 0,
        names => 1 + names.iter().map(|name| name.as_str().len() + 1).sum::<usize>(),
    }
}

fn push_names(out: &mut Vec<u8>, names: &[Name]) {
    for name in names {
        out.push(b'\n');
        out.extend_from_slice(name.as_str().as_bytes());
    }
    if !names.is_empty() {
        out.push(b'\n');
    }
}

/// What the header of an entry says of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) header: Header,
    /// The version of the format.
    pub(crate) format: u8,
    pub(crate) payload_bytes: u64,
    /// Of the whole entry.
    pub(crate) bytes: u64,
}

/// Reads a header alone; what follows it is not looked at.
#[inline]
pub(crate) fn outline(bytes: &[u8]) -> Result<Outline, BadEntry> {
    let (&[version, codec, flags, compression], rest) = split::<4>(bytes)?;
    let is_known = matches!(version, FORMAT_VERSION | FORMAT_UNCHECKED);
    if !is_known || flags & !(FLAG_NEGATIVE | FLAG_BY_TEXT | FLAG_SEALED) != 0 {
        return Err(BadEntry::Foreign);
    }
    let (fingerprint, rest) = split::<16>(rest)?;
    let (stored_at, rest) = split::<8>(rest)?;
    let (soft_expires_at, rest) = split::<8>(rest)?;
    let (hard_expires_at, rest) = split::<8>(rest)?;
    let (load_cost, rest) = split::<4>(rest)?;
    let (payload_bytes, rest) = split::<4>(rest)?;
    let (names_bytes, _) = split::<4>(rest)?;

    let header = Header {
        fingerprint: Fingerprint(*fingerprint),
        negative: flags & FLAG_NEGATIVE != 0,
        by_text: flags & FLAG_BY_TEXT != 0,
        packing: Packing { codec, compression, is_sealed: flags & FLAG_SEALED != 0 },
        stored_at_ms: u64::from_le_bytes(*stored_at),
        soft_expires_at_ms: u64::from_le_bytes(*soft_expires_at),
        hard_expires_at_ms: u64::from_le_bytes(*hard_expires_at),
        load_cost_us: u32::from_le_bytes(*load_cost),
    };
    let payload_bytes = u64::from(u32::from_le_bytes(*payload_bytes));
    let names_bytes = u64::from(u32::from_le_bytes(*names_bytes));
    let bytes = (HEADER_BYTES + checksum_bytes(version)) as u64 + names_bytes + payload_bytes;
    Ok(Outline { header, format: version, payload_bytes, bytes })
}

fn checksum_bytes(format: u8) -> usize {
    if format == FORMAT_UNCHECKED { 0 } else { CHECKSUM_BYTES }
}

/// A payload that was written in any other way than as plain JSON, with all that undone.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) format: Format,
    pub(super) payload: Bytes,
}

/// Stored bytes whose layout and checksum were checked.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    header: Header,
    bytes: Bytes,
    payload: Range<usize>,
    /// What [`Packing`] says was done to the payload, undone; `None`: nothing was.
    // Boxed: without it a hit on plain JSON would carry the room along.
    pub(super) opened: Option<Box<Opened>>,
}

/// Whether bytes say that they are of this type, whatever else they are.
pub(crate) fn is_of(bytes: &[u8], fingerprint: &Fingerprint) -> bool {
    bytes.get(4..20) == Some(&fingerprint.0)
}

impl Entry {
    /// Whether these are its bytes.
    pub(crate) fn is(&self, stored: &[u8]) -> bool {
        *self.bytes == *stored
    }

    /// The number of its bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Reads the header, and checks every length and the checksum. Allocates nothing.
    /// [`names`](Self::names) checks the names, the codec checks the payload.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, BadEntry> {
        let Outline { header, format, payload_bytes, bytes: bytes_said } = outline(&bytes)?;
        match bytes_said.cmp(&(bytes.len() as u64)) {
            std::cmp::Ordering::Greater => return Err(BadEntry::Truncated),
            std::cmp::Ordering::Less => return Err(BadEntry::Corrupt),
            std::cmp::Ordering::Equal => {}
        }
        let (checked, checksum) = bytes.split_at(bytes.len() - checksum_bytes(format));
        let is_damaged = !checksum.is_empty() && checksum != crc32fast::hash(checked).to_le_bytes();
        let out_of_order = header.soft_expires_at_ms > header.hard_expires_at_ms;
        if is_damaged || out_of_order || (header.negative && !header.packing.is_sealed && payload_bytes > 0) {
            return Err(BadEntry::Corrupt);
        }
        let payload = checked.len() - payload_bytes as usize..checked.len();
        Ok(Self { header, bytes, payload, opened: None })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn version(&self) -> Version {
        // Every entry is longer than its header.
        Version::of(&self.bytes).unwrap_or(Version([0; 24]))
    }

    /// The names as stored.
    pub(crate) fn names_block(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..self.payload.start]
    }

    /// The names that the entry belongs to; an enclosing load inherits them.
    pub(crate) fn names(&self) -> Result<Vec<Name>, BadEntry> {
        let block = std::str::from_utf8(self.names_block()).map_err(|_| BadEntry::Corrupt)?;
        if block.is_empty() {
            return Ok(Vec::new());
        }
        let inner = block.strip_prefix('\n').and_then(|block| block.strip_suffix('\n')).ok_or(BadEntry::Corrupt)?;
        inner.split('\n').map(|name| Name::parse(name).ok_or(BadEntry::Corrupt)).collect()
    }

    /// The payload as stored; shares the stored bytes.
    pub(crate) fn payload(&self) -> Bytes {
        self.bytes.slice(self.payload.clone())
    }

    /// What its seal binds the payload to, under a place.
    pub(super) fn bound_to(&self, place: &str) -> Vec<u8> {
        bound_to(place, &self.bytes[..BOUND_BYTES], self.names_block())
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), BadEntry> {
    bytes.split_first_chunk().ok_or(BadEntry::Truncated)
}

#[cfg(test)]
mod tests;

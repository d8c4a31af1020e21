use super::*;
use crate::codec::{CodecError, Seal, SealedValue};
use crate::entry::{Fingerprint, Header, encode, encode_sealed};
use crate::name::Name;

const BYTES_MAX: usize = 1 << 20;

fn header() -> Header {
    Header {
        fingerprint: Fingerprint([1; 16]),
        negative: false,
        by_text: false,
        packing: Packing::PLAIN,
        stored_at_ms: 1,
        soft_expires_at_ms: 2,
        hard_expires_at_ms: 3,
        load_cost_us: 4,
    }
}

fn packed(packing: Packing, payload: &[u8]) -> Entry {
    Entry::decode(encode(&Header { packing, ..header() }, &[], payload).unwrap()).unwrap()
}

fn open(entry: Entry, storage: &Storage, place: &str) -> Result<Entry, Unreadable> {
    let opening = OpeningTerms { storage, function: None, place: &|| place.to_owned(), inflated_bytes_max: BYTES_MAX };
    entry.opened(&opening)
}

/// It only says what a payload was bound to, and by which key.
struct Label(u32);

impl Seal for Label {
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Result<SealedValue, CodecError> {
        Ok(SealedValue { key_id: self.0, bytes: [plain, bound_to].concat() })
    }

    fn open(&self, key_id: u32, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, OpenError> {
        if key_id != self.0 {
            return Err(OpenError::UnknownKey);
        }
        sealed.strip_suffix(bound_to).map(<[u8]>::to_vec).ok_or(OpenError::Damaged)
    }
}

fn sealing(key_id: u32) -> Storage {
    Storage { seal: Some(std::sync::Arc::new(Label(key_id))), ..Storage::default() }
}

fn sealed(header: &Header, names: &[Name]) -> Entry {
    Entry::decode(encode_sealed(header, names, b"42", (&Label(7), "cache:k")).unwrap()).unwrap()
}

#[test]
fn plain_json_is_not_touched() {
    let entry = open(packed(Packing::PLAIN, b"42"), &Storage::default(), "").unwrap();
    assert!(entry.opened.is_none());
    assert_eq!(entry.payload(), b"42"[..]);
}

#[test]
fn what_is_not_known_here_has_a_reason() {
    let of = |packing, payload: &[u8]| open(packed(packing, payload), &Storage::default(), "").err();
    assert_eq!(of(Packing { codec: 99, ..Packing::PLAIN }, b"42"), Some(Unreadable::UnknownCodec));
    assert_eq!(of(Packing { codec: 200, ..Packing::PLAIN }, b"42"), Some(Unreadable::UnknownCodec));
    let compression = Packing { compression: 9, ..Packing::PLAIN };
    assert_eq!(of(compression, b"\x02\0\0\0xx"), Some(Unreadable::UnknownCompression));
    assert_eq!(of(compression, b"\x02"), Some(Unreadable::Uninflatable));
    let sealed = Packing { is_sealed: true, ..Packing::PLAIN };
    assert_eq!(of(sealed, b"\x02\0\0\0xx"), Some(Unreadable::UnknownKey));
}

/// Nothing is allocated for what bytes only say, whichever way they are compressed.
#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_is_made() {
    for compression in [1, 2, 9] {
        let claim = [&(BYTES_MAX as u32 + 1).to_le_bytes()[..], b"xx"].concat();
        let entry = packed(Packing { compression, ..Packing::PLAIN }, &claim);
        assert_eq!(open(entry, &Storage::default(), "").err(), Some(Unreadable::InflatesTooFar));
    }
}

#[cfg(any(feature = "lz4", feature = "zstd"))]
#[test]
fn what_was_compressed_inflates_and_what_is_damaged_does_not() {
    let ways = [
        #[cfg(feature = "lz4")]
        Compression::Lz4,
        #[cfg(feature = "zstd")]
        Compression::Zstd,
    ];
    for way in ways {
        let plain = br#"{"origin":"DFW"}"#.repeat(500);
        let deflated = way.deflate(&plain).unwrap();
        assert!(deflated.len() < plain.len() / 10, "{way:?}");
        let inflate = |bytes: &[u8]| Compression::inflate(way.id(), bytes, BYTES_MAX);
        assert_eq!(inflate(&deflated).unwrap(), plain);
        for length in 0..deflated.len() {
            assert_eq!(inflate(&deflated[..length]).err(), Some(Inflation::Damaged), "{way:?}, {length}");
        }
        // Another length than it has.
        for length in [0, plain.len() as u32 - 1, plain.len() as u32 + 1, BYTES_MAX as u32] {
            let claim = [&length.to_le_bytes()[..], &deflated[4..]].concat();
            assert_eq!(inflate(&claim).err(), Some(Inflation::Damaged), "{way:?}, {length}");
        }
        assert_eq!(way.deflate(b"too short to gain"), None);
        let random: Vec<u8> = (0..5_000).map(|_| fastrand::u8(..)).collect();
        assert_eq!(way.deflate(&random), None, "nothing is gained");
    }
}

#[test]
fn a_sealed_payload_opens_in_its_own_place_alone() {
    let entry = || sealed(&header(), &[Name::tag("a").unwrap()]);
    let opened = open(entry(), &sealing(7), "cache:k").unwrap();
    assert_eq!(opened.opened.unwrap().payload, b"42"[..]);
    assert_eq!(open(entry(), &sealing(7), "cache:other").err(), Some(Unreadable::Unopened));
    assert_eq!(open(entry(), &sealing(8), "cache:k").err(), Some(Unreadable::UnknownKey));
    assert_eq!(open(entry(), &Storage::default(), "cache:k").err(), Some(Unreadable::UnknownKey));
    assert_eq!(open(packed(Packing::PLAIN, b"42"), &sealing(7), "cache:k").err(), Some(Unreadable::Unsealed));
}

/// Whoever writes to the store can make the checksum right, and nothing else.
#[test]
fn a_sealed_entry_whose_header_or_names_were_changed_does_not_open() {
    let whole = encode_sealed(&header(), &[Name::tag("a").unwrap()], b"42", (&Label(7), "cache:k")).unwrap();
    let body = whole.len() - 4;
    for at in 0..56 + "\nta\n".len() {
        let mut bytes = whole[..body].to_vec();
        bytes[at] ^= 1;
        let checksum = crc32fast::hash(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        let Ok(entry) = Entry::decode(bytes.into()) else { continue };
        assert!(open(entry, &sealing(7), "cache:k").is_err(), "byte {at}");
    }
}

/// Otherwise anybody could have it said that there is no such user.
#[test]
fn that_there_is_no_value_is_sealed_as_well() {
    let negative = Header { negative: true, ..header() };
    let entry = encode_sealed(&negative, &[], b"", (&Label(7), "cache:k")).unwrap();
    assert!(open(Entry::decode(entry).unwrap(), &sealing(7), "cache:k").is_ok());
    let forged = encode(&negative, &[], b"").unwrap();
    assert_eq!(open(Entry::decode(forged).unwrap(), &sealing(7), "cache:k").err(), Some(Unreadable::Unsealed));
}

use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        fingerprint: Fingerprint(*b"0123456789abcdef"),
        negative: false,
        by_text: false,
        packing: Packing::PLAIN,
        stored_at_ms: 1_700_000_000_000,
        soft_expires_at_ms: 1_700_000_030_000,
        hard_expires_at_ms: 1_700_000_060_000,
        load_cost_us: 1_500,
    }
}

fn names() -> Vec<Name> {
    vec![Name::key("flight:42").unwrap(), Name::tag("airport:DFW").unwrap()]
}

fn entry() -> Bytes {
    encode(&header(), &names(), br#"{"id":42}"#).unwrap()
}

/// What follows the version in formats 1 and 2.
const GOLDEN: &[u8] = b"\x01\x00\x000123456789abcdef\
    \x00\x68\xe5\xcf\x8b\x01\x00\x00\x30\xdd\xe5\xcf\x8b\x01\x00\x00\x60\x52\xe6\xcf\x8b\x01\x00\x00\
    \xdc\x05\x00\x00\x09\x00\x00\x00\x19\x00\x00\x00\
    \nkflight:42\ntairport:DFW\n{\"id\":42}";
const CHECKSUM: &[u8] = b"\x0e\xd2\xc4\x5e";

#[test]
fn golden_bytes_of_format_2() {
    assert_eq!(entry(), [b"\x02", GOLDEN, CHECKSUM].concat());

    let negative = encode(&Header { negative: true, ..header() }, &[], b"ignored").unwrap();
    assert_eq!(&negative[..4], b"\x02\x01\x01\x00");
    assert_eq!(&negative[48..56], b"\0\0\0\0\0\0\0\0");
    assert_eq!(negative.len(), 60);
    let by_text = encode(&Header { by_text: true, ..header() }, &[], b"1").unwrap();
    assert_eq!(&by_text[..4], b"\x02\x01\x02\x00");
    assert!(Entry::decode(by_text).unwrap().header().by_text);
}

#[test]
fn format_1_is_still_read() {
    let entry = Entry::decode([b"\x01", GOLDEN].concat().into()).unwrap();
    assert_eq!((*entry.header(), entry.names().unwrap()), (header(), names()));
    assert_eq!(&entry.payload()[..], br#"{"id":42}"#);
    // It has nothing behind its payload.
    let checked = [b"\x01", GOLDEN, CHECKSUM].concat();
    assert_eq!(Entry::decode(checked.into()).unwrap_err(), BadEntry::Corrupt);
}

#[test]
fn what_was_written_is_read_back() {
    let entry = Entry::decode(entry()).unwrap();
    assert_eq!(*entry.header(), header());
    assert_eq!(entry.names().unwrap(), names());
    assert_eq!(entry.names_block(), b"\nkflight:42\ntairport:DFW\n");
    assert_eq!(&entry.payload()[..], br#"{"id":42}"#);

    let bare = Entry::decode(encode(&header(), &[], b"").unwrap()).unwrap();
    assert!(bare.names().unwrap().is_empty());
    assert!(bare.payload().is_empty());
}

#[test]
fn every_truncation_is_refused() {
    let whole = entry();
    for length in 0..whole.len() {
        assert_eq!(Entry::decode(whole.slice(..length)).unwrap_err(), BadEntry::Truncated, "{length} bytes");
    }
    let longer = Bytes::from([&whole[..], b"x"].concat());
    assert_eq!(Entry::decode(longer).unwrap_err(), BadEntry::Corrupt);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = entry();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << bit;
            assert!(Entry::decode(bytes.into()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

/// Every length of what a lost page leaves behind may be right.
#[test]
fn an_entry_of_two_halves_is_noticed() {
    let (whole, other) = (entry(), encode(&header(), &names(), br#"{"id":43}"#).unwrap());
    for at in HEADER_BYTES..whole.len() - 1 {
        let torn = [&whole[..at], &other[at..]].concat();
        let is_either = torn == whole || torn == other;
        assert_eq!(Entry::decode(torn.into()).is_ok(), is_either, "torn at byte {at}");
    }
}

/// These bytes with their first ones changed, and the checksum of that.
fn rewritten(whole: &[u8], change: impl Fn(&mut [u8])) -> Result<Entry, BadEntry> {
    let mut bytes = whole[..whole.len() - CHECKSUM_BYTES].to_vec();
    change(&mut bytes);
    let checksum = crc32fast::hash(&bytes).to_le_bytes();
    Entry::decode([&bytes[..], &checksum].concat().into())
}

/// A flag that is not known may change what the payload means.
#[test]
fn what_a_later_version_writes_is_foreign() {
    let whole = entry();
    assert!(rewritten(&whole, |_| ()).is_ok());
    for version in [0, 3, 255] {
        assert_eq!(rewritten(&whole, |bytes| bytes[0] = version).unwrap_err(), BadEntry::Foreign, "{version}");
    }
    for bit in 3..8 {
        assert_eq!(rewritten(&whole, |bytes| bytes[2] |= 1 << bit).unwrap_err(), BadEntry::Foreign, "bit {bit}");
    }
}

#[test]
fn an_entry_that_contradicts_itself_is_corrupt() {
    let whole = entry();
    assert_eq!(rewritten(&whole, |bytes| bytes[2] = FLAG_NEGATIVE).unwrap_err(), BadEntry::Corrupt);
    let late = rewritten(&whole, |bytes| bytes[28..36].fill(0xff));
    assert_eq!(late.unwrap_err(), BadEntry::Corrupt, "it is fresh for longer than it is there");
}

/// Otherwise what was sealed for one place would open in another.
#[test]
fn what_a_seal_is_bound_to_has_one_reading() {
    assert_ne!(bound_to("ab", b"c", b"d"), bound_to("a", b"bc", b"d"));
}

#[test]
fn lengths_that_were_never_checked_are_never_allocated() {
    let mut bytes = entry().to_vec();
    bytes[48..56].fill(0xff);
    assert_eq!(Entry::decode(bytes.into()).unwrap_err(), BadEntry::Truncated);
}

#[test]
fn corrupt_names_are_refused_one_by_one() {
    for block in ["x", "\n\n", "\nkflight:42", "kflight:42\n", "\nxflight\n", "\nk\n", "\nk~a\n", "\nka\n\nkb\n", "\n"]
    {
        let mut bytes = [b"\x01", &GOLDEN[..HEADER_BYTES - 1]].concat();
        bytes[48..52].fill(0);
        bytes[52..56].copy_from_slice(&(block.len() as u32).to_le_bytes());
        bytes.extend_from_slice(block.as_bytes());
        let entry = Entry::decode(bytes.into()).unwrap();
        assert_eq!(entry.names(), Err(BadEntry::Corrupt), "{block:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(entry) = Entry::decode(bytes.into()) {
            let _ = entry.names();
            let _ = entry.payload();
        }
    }

    #[test]
    fn random_bytes_behind_a_valid_start_never_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..120),
        at in 0usize..100,
        byte in any::<u8>(),
    ) {
        let mut bytes = entry().to_vec();
        bytes.truncate(at);
        bytes.extend_from_slice(&tail);
        if let Some(place) = bytes.get_mut(at / 2) {
            *place = byte;
        }
        if let Ok(entry) = Entry::decode(bytes.into()) {
            let _ = entry.names();
            let _ = entry.payload();
        }
    }
}

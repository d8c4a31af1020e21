use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::entry::Fingerprint;
use crate::entry::{self, Header, Packing};

/// As JSON.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoding, Error> {
    encode_as::<()>(value, Format::Json)
}

fn stored(payload: Option<&[u8]>) -> Entry {
    let header = Header {
        fingerprint: Fingerprint([0; 16]),
        negative: payload.is_none(),
        by_text: false,
        packing: Packing::PLAIN,
        stored_at_ms: 0,
        soft_expires_at_ms: 0,
        hard_expires_at_ms: 0,
        load_cost_us: 0,
    };
    Entry::decode(entry::encode(&header, &[], payload.unwrap_or_default()).unwrap()).unwrap()
}

/// What comes back of a value that went through the store.
fn through<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let entry = match encode(value).unwrap() {
        Encoding::Value(payload) => stored(Some(&payload)),
        Encoding::None => stored(None),
        Encoding::Err => panic!("an `Err` is not stored"),
    };
    decode(&entry).unwrap()
}

fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
    assert_eq!(through(&value), value);
}

#[test]
fn values_come_back() {
    check(42u64);
    check(u128::MAX);
    check(-1.5f64);
    check("text".to_owned());
    check(());
    check((1u8, "a".to_owned(), vec![Some(1), None]));
    check(BTreeMap::from([(1u8, true), (2, false)]));
    check(serde_json::json!({ "a": [1, null, { "b": "c" }] }));
    check(serde_json::Value::Null);
    check(Some(std::time::Duration::from_millis(1_500)));
    check(std::net::IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn options_come_back_however_nested() {
    check(None::<u8>);
    check(Some(1));
    check(Some(()));
    check(Some(None::<u8>));
    check(Some(Some(1)));
    check(None::<Option<u8>>);
    check(Box::new(Some(1)));
    check(std::sync::Arc::new(None::<u8>));
}

#[test]
fn some_is_stored_as_what_it_holds() {
    assert_eq!(encode(&Some(5)).unwrap(), encode(&5).unwrap());
    assert_eq!(encode(&None::<u8>).unwrap(), Encoding::None);
    assert_eq!(encode(&vec![None::<u8>]).unwrap(), Encoding::Value(b"[null]".to_vec()));
}

#[test]
fn an_err_is_told_from_a_value() {
    assert_eq!(encode(&Err::<u8, _>("no")).unwrap(), Encoding::Err);
    check(Ok::<u8, String>(1));
    #[derive(serde::Serialize)]
    enum Outcome {
        Err(u8),
    }
    assert_eq!(encode(&Outcome::Err(1)).unwrap(), Encoding::Value(br#"{"Err":1}"#.to_vec()));
}

#[test]
fn what_has_no_json_is_refused_without_quoting_it() {
    let map = HashMap::from([((1, "secret"), 1)]);
    let error = encode(&map).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(encode(&Some(map)).is_err());
}

#[test]
fn foreign_payloads_are_refused() {
    for payload in ["", "4", "\"a", "[1,2]", "{}", "1 2", "\u{0}", "nul", "[[[["] {
        assert!(decode::<(u8, u8, u8)>(&stored(Some(payload.as_bytes()))).is_err(), "{payload:?}");
    }
    assert!(decode::<u8>(&stored(Some(b"1 2"))).is_err());
    assert!(decode::<u8>(&stored(Some(b"256"))).is_err());
    assert!(decode::<String>(&stored(Some(b"\"\xff\""))).is_err());
    assert!(decode::<serde_json::Value>(&stored(Some("[".repeat(100_000).as_bytes()))).is_err());
    assert!(decode::<u8>(&stored(None)).is_err());
    assert!(decode::<()>(&stored(None)).is_err());
    assert!(decode::<Vec<u8>>(&stored(None)).is_err());
}

/// Numbers where serde keeps what it reads until it knows what is asked for.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Flattened {
    #[serde(flatten)]
    inner: Floats,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Floats {
    single: f32,
    double: f64,
}

#[test]
fn floats_that_a_loose_reader_changes_come_back() {
    for double in [0.09144338512092887_f64, 117.63331139400017, 5e-324, f64::MIN_POSITIVE, f64::MAX, -0.0] {
        assert_eq!(through(&double).to_bits(), double.to_bits(), "{double:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_float_comes_back_bit_by_bit(single in any::<u32>(), double in any::<u64>()) {
        let (single, double) = (f32::from_bits(single), f64::from_bits(double));
        prop_assume!(single.is_finite() && double.is_finite());
        let bits = (single.to_bits(), double.to_bits());
        let (alone, alone_double) = (through(&single), through(&double));
        prop_assert_eq!((alone.to_bits(), alone_double.to_bits()), bits);
        let Flattened { inner } = through(&Flattened { inner: Floats { single, double } });
        prop_assert_eq!((inner.single.to_bits(), inner.double.to_bits()), bits);
    }
}

//! What each codec brings back, and what it refuses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
    stops: Vec<Option<u16>>,
    fares: BTreeMap<u32, f64>,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Status {
    Planned,
    Delayed { minutes: u32 },
    Diverted(String, u8),
}

fn flight() -> Flight {
    Flight {
        id: u64::MAX,
        origin: "Zürich".to_owned(),
        stops: vec![None, Some(3)],
        fares: BTreeMap::from([(1, 0.1), (2, -3.5)]),
        status: Status::Diverted("DFW".to_owned(), 7),
    }
}

/// All that are built in.
fn formats() -> Vec<Format> {
    vec![
        Format::Json,
        #[cfg(feature = "postcard")]
        Format::Postcard,
        #[cfg(feature = "rmp")]
        Format::MessagePack,
    ]
}

fn through<T: Serialize + DeserializeOwned>(value: &T, format: Format) -> Result<T, Error> {
    match encode_as::<T>(value, format)? {
        Encoding::Value(payload) => decode_payload(&payload, format),
        Encoding::None => decode_none(),
        Encoding::Err => panic!("an `Err` is not stored"),
    }
}

#[test]
fn values_come_back_by_every_codec() {
    for format in formats() {
        assert_eq!(through(&flight(), format).unwrap(), flight(), "{format:?}");
        assert_eq!(through(&Some(Some(1u8)), format).unwrap(), Some(Some(1)), "{format:?}");
        assert_eq!(through(&None::<Flight>, format).unwrap(), None, "{format:?}");
        assert_eq!(through(&(), format).unwrap(), (), "{format:?}");
        assert_eq!(through(&Status::Planned, format).unwrap(), Status::Planned, "{format:?}");
        assert_eq!(through(&Some(()), format).unwrap(), Some(()), "{format:?}");
        let address = std::net::IpAddr::from([127, 0, 0, 1]);
        assert_eq!(through(&address, format).unwrap(), address, "{format:?}");
        assert!(check::<Flight>(&flight(), &encode_as::<Flight>(&flight(), format).unwrap(), format).is_ok());
    }
}

#[test]
fn an_option_and_its_value_share_entries_by_every_codec() {
    for format in formats() {
        let one = encode_as::<Option<Flight>>(&Some(flight()), format).unwrap();
        assert_eq!(one, encode_as::<Flight>(&flight(), format).unwrap(), "{format:?}");
        assert_eq!(encode_as::<Result<u8, u8>>(&Err::<u8, u8>(1), format).unwrap(), Encoding::Err, "{format:?}");
    }
}

/// Every truncation, and one byte more: an error, and no panic.
#[test]
fn a_payload_is_read_to_its_end_or_not_at_all() {
    for format in formats() {
        let Encoding::Value(payload) = encode_as::<Flight>(&flight(), format).unwrap() else { panic!("a value") };
        for length in 0..payload.len() {
            assert!(decode_payload::<Flight>(&payload[..length], format).is_err(), "{format:?}, {length}");
        }
        let longer = [&payload[..], b"\0"].concat();
        assert!(decode_payload::<Flight>(&longer, format).is_err(), "{format:?}");
    }
}

#[test]
fn json_that_is_no_text_is_not_read() {
    assert_eq!(decode_payload::<String>(b"\"Z\xc3\xbcrich\"", Format::Json).unwrap(), "Zürich");
    assert!(decode_payload::<String>(b"\"Z\xfcrich\"", Format::Json).is_err());
    assert!(decode_payload::<Option<u8>>(b"7 \xfc", Format::Json).is_err());
}

#[cfg(feature = "rmp")]
#[test]
fn message_pack_holds_what_json_loses() {
    assert!(through(&f64::NAN, Format::MessagePack).unwrap().is_nan());
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<u8>,
    }
    let flat = Flat { inner: BTreeMap::from([("a".to_owned(), 1)]), note: None };
    assert_eq!(through(&flat, Format::MessagePack).unwrap(), flat);
}

#[cfg(feature = "rmp")]
#[test]
fn message_pack_ends_what_nests_too_deep() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Chain(Vec<Chain>);
    // Lists of one, each in the next.
    let deep = vec![0x91; 1 << 20];
    assert!(decode_payload::<Chain>(&deep, Format::MessagePack).is_err());
}

#[cfg(feature = "postcard")]
mod postcard {
    use super::*;

    const POSTCARD: Format = Format::Postcard;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct There {
        lat: u32,
        lon: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Back {
        lon: u32,
        lat: u32,
    }

    /// Without names each would be read as the other one, and both have one fingerprint.
    #[test]
    fn fields_in_another_order_are_not_read() {
        let Encoding::Value(payload) = encode_as::<There>(&There { lat: 1, lon: 2 }, POSTCARD).unwrap() else {
            panic!("a value")
        };
        assert_eq!(decode_payload::<There>(&payload, POSTCARD).unwrap(), There { lat: 1, lon: 2 });
        assert!(decode_payload::<Back>(&payload, POSTCARD).is_err());
    }

    /// The second field would be read as the first one, and none would be missed.
    #[test]
    fn a_value_with_a_field_left_out_is_refused_each_time() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Sparse {
            #[serde(skip_serializing_if = "Option::is_none")]
            note: Option<u8>,
            others: Option<u8>,
        }
        for _ in 0..100 {
            assert!(encode_as::<Sparse>(&Sparse { note: None, others: Some(1) }, POSTCARD).is_err());
            assert!(encode_as::<Vec<Sparse>>(&vec![Sparse { note: None, others: None }], POSTCARD).is_err());
        }
        assert!(through(&Sparse { note: Some(1), others: None }, POSTCARD).is_ok());
    }

    #[test]
    fn what_says_nothing_of_its_shape_is_found_out_before_it_is_stored() {
        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum Untagged {
            Number(u8),
        }
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "kind")]
        enum Tagged {
            One { inner: u8 },
        }
        fn is_lost<T: Serialize + DeserializeOwned>(value: &T) -> bool {
            encode_as::<T>(value, POSTCARD).is_ok_and(|encoded| check::<T>(value, &encoded, POSTCARD).is_err())
        }
        assert!(is_lost(&Untagged::Number(1)));
        assert!(is_lost(&Tagged::One { inner: 1 }));
        assert!(is_lost(&serde_json::json!({ "a": 1 })));
    }

    /// A few bytes could announce a depth that ends the stack.
    #[test]
    fn a_recursive_type_is_refused() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Tree(Vec<Tree>);
        assert!(encode_as::<Tree>(&Tree(Vec::new()), POSTCARD).is_err());
        assert!(decode_payload::<Tree>(&vec![1; 1 << 20], POSTCARD).is_err());
    }

    #[test]
    fn a_field_that_is_always_skipped_comes_back_as_its_default() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct User {
            id: u8,
            #[serde(skip)]
            session: String,
            name: String,
        }
        let user = User { id: 1, session: String::new(), name: "a".to_owned() };
        assert_eq!(through(&user, POSTCARD).unwrap(), user);
    }
}

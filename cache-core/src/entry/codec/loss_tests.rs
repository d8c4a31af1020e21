//! What JSON brings back, what it does not, and what nothing shows.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tests::encode;
use super::*;

fn outcome<T: Serialize + DeserializeOwned>(value: T) -> Result<(), Loss> {
    check::<T>(&value, &encode(&value).unwrap(), Format::Json)
}

#[track_caller]
fn survives<T: Serialize + DeserializeOwned>(value: T) {
    assert_eq!(outcome(value), Ok(()));
}

#[track_caller]
fn changes<T: Serialize + DeserializeOwned>(value: T) {
    assert_eq!(outcome(value), Err(Loss::Changed));
}

#[track_caller]
fn is_undecodable<T: Serialize + DeserializeOwned>(value: T) {
    assert_eq!(outcome(value), Err(Loss::Undecodable));
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<A, B> {
    First(A),
    Second(B),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Only { inner: T },
}

#[derive(Serialize, Deserialize)]
struct Flat<T> {
    #[serde(flatten)]
    inner: T,
}

#[derive(Serialize, Deserialize)]
struct One<T> {
    inner: T,
}

#[derive(Serialize, Deserialize)]
struct Chain(Vec<Chain>);

fn chain(links: usize) -> Chain {
    (1..links).fold(Chain(Vec::new()), |chain, _| Chain(vec![chain]))
}

#[test]
fn what_json_holds_survives() {
    survives(Some(()));
    survives(None::<u8>);
    survives(Some(None::<u8>));
    survives(vec![Some(1), None]);
    survives((f64::MIN_POSITIVE, f32::MAX, i128::MIN, u128::MAX, 'é', "\u{0}".to_owned()));
    survives(json!({ "a": [1, null, -0.0, 1e300, { "b": "c" }] }));
    survives(HashMap::from([(1u64, 2.5), (3, 4.0)]));
    survives(HashSet::from(["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    survives(Tagged::Only { inner: Some(1u8) });
    survives(Flat { inner: BTreeMap::from([("a".to_owned(), 1)]) });
    survives(Untagged::<String, f64>::Second(1.0));
    survives(chain(127));
}

#[test]
fn what_prints_as_null_changes_inside_an_option() {
    changes(One { inner: Some(None::<u8>) });
    changes(vec![Some(())]);
    changes(Some(Some(())));
    changes(vec![Some(f64::NAN)]);
    changes(BTreeMap::from([(1, Some(f32::INFINITY))]));
    changes(One { inner: Some(serde_json::Value::Null) });
    survives(One { inner: None::<Option<u8>> });
    survives(One { inner: serde_json::Value::Null });
}

#[test]
fn an_untagged_value_that_reads_as_an_earlier_variant_changes() {
    type Wider = (u8, Option<u8>);
    changes(Untagged::<String, char>::Second('a'));
    changes(Untagged::<One<u8>, Flat<One<u8>>>::Second(Flat { inner: One { inner: 1 } }));
    changes(Untagged::<BTreeMap<String, u8>, One<u8>>::Second(One { inner: 1 }));
    survives(Untagged::<u8, Wider>::Second((1, None)));
}

#[test]
fn keys_of_a_map_that_print_the_same_change() {
    #[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u8),
        Text(String),
    }
    changes(BTreeMap::from([(Id::Number(1), 1), (Id::Text("1".to_owned()), 2)]));
}

#[test]
fn a_field_that_is_read_under_another_name_or_not_at_all_changes() {
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename(serialize = "id"), default)]
        number: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct NotRead {
        #[serde(skip_deserializing)]
        number: u8,
    }
    changes(Renamed { number: 1 });
    changes(NotRead { number: 1 });
    // Nothing was lost: it is the default that comes back.
    survives(NotRead { number: 0 });
}

#[test]
fn what_would_never_be_a_hit_is_undecodable() {
    #[derive(Serialize, Deserialize)]
    struct NotWritten {
        #[serde(skip_serializing)]
        _number: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename(serialize = "id"))]
        number: u8,
    }
    is_undecodable(NotWritten { _number: 1 });
    is_undecodable(Renamed { number: 1 });
    is_undecodable(f64::NAN);
    is_undecodable(vec![1.0, f32::NEG_INFINITY]);
    is_undecodable(chain(128));
    is_undecodable(Untagged::<String, i128>::Second(1));
    is_undecodable(Flat { inner: One { inner: 1i128 } });
    is_undecodable(Tagged::Only { inner: 1u128 });
    is_undecodable(Untagged::<String, HashMap<u8, u8>>::Second(HashMap::from([(1, 2)])));
    is_undecodable(Tagged::Only { inner: BTreeMap::from([(1, 2)]) });
    is_undecodable(Flat { inner: BTreeMap::from([(1, 2)]) });
}

#[test]
fn a_none_of_something_that_is_no_option_is_undecodable() {
    #[derive(Deserialize)]
    struct Nothing {}

    impl Serialize for Nothing {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_none()
        }
    }

    assert_eq!(encode(&Nothing {}).unwrap(), Encoding::None);
    is_undecodable(Nothing {});
}

/// Said in `docs/what-json-loses.md`: serde shows the same of both.
#[test]
fn what_serde_does_not_show_is_not_seen() {
    #[derive(Serialize, Deserialize)]
    struct User {
        #[serde(skip)]
        password_hash: String,
        #[serde(skip_serializing, default)]
        token: String,
        // An option needs no `default`.
        #[serde(skip_serializing)]
        phone: Option<u64>,
    }
    let user = || User { password_hash: "hash".to_owned(), token: "token".to_owned(), phone: Some(1) };
    survives(user());
    let Encoding::Value(payload) = encode(&user()).unwrap() else { panic!("a value") };
    let User { password_hash, token, phone } = decode_payload(&payload, Format::Json).unwrap();
    assert_eq!((password_hash.as_str(), token.as_str(), phone), ("", "", None));
    survives(Untagged::<u8, u64>::Second(1));
}

#[test]
fn a_reader_that_makes_sense_of_null_loses_nothing() {
    #[derive(Serialize, Deserialize)]
    struct Mean {
        #[serde(deserialize_with = "null_is_nan")]
        mean: f64,
    }
    fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
    survives(Mean { mean: f64::NAN });
    survives(Mean { mean: 0.5 });
}

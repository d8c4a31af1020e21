//! Different arguments have different keys; equal arguments have one.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::entry::Fingerprint;
use crate::name::KeyPart;

fn key<T: KeyPart + ?Sized>(value: &T) -> String {
    KeyText::new("p").part(value).finish::<()>().as_str().to_owned()
}

/// Texts of characters that could forge something, so short that two different texts are likely to
/// have one key if the escaping is wrong; and any text.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[:%#*?\\[\\]{}\\\\ '+.!~a0()\\n-]{0,4}",
        1 => Just("true".to_owned()),
        1 => "-?[0-9]{1,3}",
        1 => "%[0-9A-F]{2}",
        1 => any::<String>(),
        1 => "[a:]{110,130}",
    ]
}

/// Every kind of data that serde knows. The enum is untagged: the printed data alone tells variants
/// apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Any {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Unit(()),
    Kind(Kind),
    // Not `Option`: serde's untagged `Some(Some(x))` is one value in two ways.
    Some(Wrapped),
    List(Vec<Any>),
    Pair(Box<(Any, Any)>),
    Map(BTreeMap<String, Any>),
    Struct(Box<Fields>),
}

#[derive(Clone, Debug, PartialEq)]
struct Wrapped(Option<Box<Any>>);

impl Serialize for Wrapped {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_none(),
            Some(value) => serializer.serialize_some(value),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
enum Kind {
    A,
    #[serde(rename = "a:b")]
    B,
    One(Box<Any>),
    Two(Box<Any>, u8),
    Named {
        a: Box<Any>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Fields {
    a: Any,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<Any>,
}

fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        (-3i64..12).prop_map(Any::Int),
        any::<i64>().prop_map(Any::Int),
        prop_oneof![Just(0.0), Just(1.0), -1e9..1e9].prop_map(Any::Float),
        nasty().prop_map(Any::Text),
        Just(Any::Unit(())),
        Just(Any::Kind(Kind::A)),
        Just(Any::Kind(Kind::B)),
        Just(Any::Some(Wrapped(None))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| Any::Some(Wrapped(Some(Box::new(value))))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Any::List),
            (inner.clone(), inner.clone()).prop_map(|pair| Any::Pair(Box::new(pair))),
            prop::collection::btree_map("[ab]{0,1}", inner.clone(), 0..3).prop_map(Any::Map),
            (inner.clone(), prop::option::of(inner.clone())).prop_map(|(a, b)| Any::Struct(Box::new(Fields { a, b }))),
            inner.clone().prop_map(|value| Any::Kind(Kind::One(Box::new(value)))),
            (inner.clone(), 0u8..2).prop_map(|(value, n)| Any::Kind(Kind::Two(Box::new(value), n))),
            inner.prop_map(|a| Any::Kind(Kind::Named { a: Box::new(a) })),
        ]
    })
}

/// Small values in every combination. Random values are too rarely similar enough to show where an
/// encoding is ambiguous.
fn neighbours() -> Vec<Any> {
    let texts = ["", "a", "\t", "a\t", "\ta", "1", "true", "%", "%25", ":", "%3A"];
    let mut leaves: Vec<Any> = texts.map(|text| Any::Text(text.to_owned())).into();
    leaves.extend([Any::Int(1), Any::Bool(true), Any::Unit(()), Any::Kind(Kind::A), Any::Some(Wrapped(None))]);
    let some = |value: &Any| Any::Some(Wrapped(Some(Box::new(value.clone()))));
    let mut small = leaves.clone();
    small.push(Any::List(Vec::new()));
    small.extend(leaves.iter().map(some));
    small.extend(leaves.iter().map(|leaf| Any::List(vec![leaf.clone()])));

    let mut all = small.clone();
    for a in &small {
        all.extend([Any::List(vec![a.clone()]), some(a), Any::Kind(Kind::One(Box::new(a.clone())))]);
        all.push(Any::Kind(Kind::Named { a: Box::new(a.clone()) }));
        all.push(Any::Struct(Box::new(Fields { a: a.clone(), b: None })));
        all.push(Any::Map(BTreeMap::from([("a".to_owned(), a.clone())])));
        for b in &small {
            all.push(Any::List(vec![a.clone(), b.clone()]));
            all.push(Any::Pair(Box::new((a.clone(), b.clone()))));
            all.push(Any::Struct(Box::new(Fields { a: a.clone(), b: Some(b.clone()) })));
            all.push(Any::Map(BTreeMap::from([("".to_owned(), a.clone()), ("a".to_owned(), b.clone())])));
        }
    }
    all
}

#[test]
fn neighbours_are_told_apart() {
    let mut seen = HashMap::new();
    for value in neighbours() {
        if let Some(other) = seen.insert(key(&value), value.clone()) {
            assert_eq!(value, other, "two values, one key");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_of_texts_are_told_apart(
        a in prop::collection::vec(nasty(), 0..4),
        b in prop::collection::vec(nasty(), 0..4),
    ) {
        let spell = |texts: &[String]| {
            texts.iter().fold(KeyText::new("p"), |key, text| key.part(text)).finish::<()>()
        };
        prop_assert_eq!(spell(&a) == spell(&b), a == b);
        // A function of one list, and of tuples, is another matter than one of several texts.
        prop_assert_eq!(key(&a) == key(&b), a == b);
    }

    #[test]
    fn arguments_around_a_border_are_told_apart(text in nasty(), cut in any::<prop::sample::Index>()) {
        let at: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (left, right) = text.split_at(at[cut.index(at.len())]);
        let whole = KeyText::new("p").part(&text).part("").finish::<()>();
        let parts = KeyText::new("p").part(left).part(right).finish::<()>();
        prop_assert_eq!(whole == parts, right.is_empty());
    }

    #[test]
    fn nested_options_are_told_apart(
        a in prop::option::of(prop::option::of(prop::option::of(nasty()))),
        b in prop::option::of(prop::option::of(prop::option::of(nasty()))),
    ) {
        prop_assert_eq!(key(&a) == key(&b), a == b);
    }

    #[test]
    fn values_of_every_kind_are_told_apart(a in any_value(), b in any_value()) {
        prop_assert_eq!(key(&a) == key(&b), a == b, "{} {}", key(&a), key(&b));
        prop_assert_eq!(key(&a), key(&a.clone()));
        prop_assert_ne!(key(&Some(&a)), key(&None::<Any>));
    }

    #[test]
    fn scalars_in_one_place_are_told_apart(number in any::<i64>(), text in nasty(), flag in any::<bool>()) {
        let mut all = vec![
            Any::Int(number), Any::Text(number.to_string()), Any::Bool(flag), Any::Text(flag.to_string()),
            Any::Unit(()), Any::Kind(Kind::A), Any::Text(".A".to_owned()), Any::Some(Wrapped(None)),
            Any::Text("!".to_owned()), Any::Text("!()".to_owned()),
        ];
        let plain = Any::Text(text);
        if !all.contains(&plain) {
            all.push(plain);
        }
        let keys: HashSet<String> = all.iter().map(key).collect();
        prop_assert_eq!(keys.len(), all.len(), "{:?}", all);
        let optional: Vec<Any> = all.into_iter().map(|value| Any::Some(Wrapped(Some(Box::new(value))))).collect();
        prop_assert!(optional.iter().map(key).all(|some| !keys.contains(&some)));
    }

    #[test]
    fn maps_have_one_key_in_every_order(entries in prop::collection::vec((nasty(), any::<u8>()), 0..6)) {
        let forward: HashMap<String, u8> = entries.iter().cloned().collect();
        let mut backward = HashMap::with_capacity(64);
        backward.extend(forward.iter().collect::<Vec<_>>().into_iter().rev());
        let sorted: BTreeMap<String, u8> = forward.clone().into_iter().collect();
        prop_assert_eq!(key(&forward), key(&backward));
        prop_assert_eq!(key(&forward), key(&sorted));
        let set: HashSet<&String> = forward.keys().collect();
        let mut other_order = HashSet::with_capacity(64);
        other_order.extend(set.iter().copied().collect::<Vec<_>>().into_iter().rev());
        prop_assert_eq!(key(&set), key(&other_order));
    }

    #[test]
    fn floats_are_told_apart(a in any::<f64>(), b in any::<f64>()) {
        prop_assume!(!a.is_nan() && !b.is_nan());
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert_eq!(key(&(a as f32)) == key(&(b as f32)), a as f32 == b as f32);
    }

    #[test]
    fn bytes_are_told_apart(a in prop::collection::vec(0u8..3, 0..4), b in prop::collection::vec(0u8..3, 0..4)) {
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert_eq!(key(&(a.clone(), b.clone())) == key(&(b.clone(), a.clone())), a == b);
        prop_assert_eq!(key(&vec![a.clone(), b.clone()]) == key(&vec![[a.clone(), b.clone()].concat()]), false);
    }

    #[test]
    fn type_parameters_are_told_apart(value in any::<u8>()) {
        fn generic<T: KeyPart>(value: &T) -> String {
            KeyText::new("g").type_part::<T>().part(value).finish::<()>().as_str().to_owned()
        }
        let keys = [
            generic(&value), generic(&u16::from(value)), generic(&i64::from(value)), generic(&value.to_string()),
            generic(&Some(value)), generic(&vec![value]), generic(&vec![u16::from(value)]), generic(&(value,)),
        ];
        prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn keys_hold_nothing_that_could_forge(text in nasty()) {
        let made = key(&text);
        let part = made.strip_prefix("p:").unwrap();
        prop_assert_eq!(part.contains(|c| ":~*?[]\\{}".contains(c)), false);
        prop_assert_eq!(part.chars().any(|c| c.is_whitespace() || c.is_control()), false);
        prop_assert!(crate::name::check_name_text(&made).is_ok());
    }
    /// An entry of another type lies under the key, a `~` and eight hex digits.
    #[test]
    fn no_arguments_spell_the_key_of_an_entry_beside(
        a in nasty(), b in nasty(), print in "~[0-9a-f]{8}", print_of_a in prop::array::uniform16(any::<u8>()),
    ) {
        let key = |a: &str, b: &str| KeyText::new("p").part(a).part(b).finish::<()>().entry().unwrap();
        let beside = key(&a, &b).of_type(&Fingerprint(print_of_a));
        let own = beside.text[beside.text.len() - 9..].to_owned();
        for (a, b) in [(a.clone(), format!("{b}{own}")), (a.clone() + &own, b.clone()), (a, b + &print)] {
            prop_assert!(!key(&a, &b).text.contains('~'));
            prop_assert_ne!(&key(&a, &b).text, &beside.text);
        }
    }
}

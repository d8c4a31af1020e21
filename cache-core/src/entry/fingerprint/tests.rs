//! Which changes of a type change its fingerprint, and which do not.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::*;

fn of<T: DeserializeOwned>() -> Fingerprint {
    compute::<T>(0, None)
}

#[allow(dead_code)]
mod before {
    use super::*;

    #[derive(Deserialize)]
    pub(super) struct Flight {
        pub id: u64,
        pub origin: String,
        pub delay: Option<i32>,
        pub legs: Vec<Leg>,
    }

    #[derive(Deserialize)]
    pub(super) struct Leg {
        pub from: String,
        pub miles: u32,
    }

    #[derive(Deserialize)]
    pub(super) enum Status {
        Planned,
        Late(u32),
        Moved { to: String },
    }
}

#[allow(dead_code)]
mod after {
    use super::*;

    /// The same, in another module, renamed, in another order, with a newtype and a box.
    #[derive(Deserialize)]
    pub(super) struct Voyage {
        pub origin: Airport,
        pub id: u64,
        pub legs: Vec<Arc<Part>>,
        pub delay: Option<Box<i32>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Airport(String);

    #[derive(Deserialize)]
    pub(super) struct Part {
        pub miles: u32,
        pub from: String,
    }
}

macro_rules! variation {
    ($($name:ident: { $($body:tt)* })*) => {$(
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct $name { $($body)* }
    )*};
}

#[test]
fn names_of_types_and_the_order_of_fields_do_not_count() {
    assert_eq!(of::<before::Flight>(), of::<after::Voyage>());
    assert_eq!(of::<Vec<u8>>(), of::<Arc<Vec<u8>>>());
}

#[test]
fn every_change_of_a_field_counts() {
    variation! {
        Base: { a: u32, b: Option<String>, c: Vec<u8> }
        Renamed: { x: u32, b: Option<String>, c: Vec<u8> }
        Widened: { a: u64, b: Option<String>, c: Vec<u8> }
        Required: { a: u32, b: String, c: Vec<u8> }
        Added: { a: u32, b: Option<String>, c: Vec<u8>, #[serde(default)] d: u8 }
        Removed: { a: u32, b: Option<String> }
        Element: { a: u32, b: Option<String>, c: Vec<u16> }
        Runtime: { a: u32, b: Option<char>, c: Vec<u8> }
    }
    let all = [
        of::<Base>(),
        of::<Renamed>(),
        of::<Widened>(),
        of::<Required>(),
        of::<Added>(),
        of::<Removed>(),
        of::<Element>(),
        of::<Runtime>(),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "variation {at}");
    }
}

#[test]
fn every_variant_is_walked() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Inside {
        Planned,
        Late(u32),
        Moved { to: char },
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Fewer {
        Planned,
        Late(u32),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Twice {
        A(before::Status),
        B { status: before::Status, other: u8 },
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum TwiceInside {
        A(before::Status),
        B { status: Inside, other: u8 },
    }
    assert_ne!(of::<before::Status>(), of::<Inside>());
    assert_ne!(of::<before::Status>(), of::<Fewer>());
    assert_ne!(of::<Vec<(u8, before::Status)>>(), of::<Vec<(u8, Inside)>>());
    assert_ne!(of::<Twice>(), of::<TwiceInside>());
}

/// A leaf that takes no dummy.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        Err(serde::de::Error::custom("never"))
    }
}

#[test]
fn a_leaf_that_refuses_its_dummy_hides_nothing_after_it() {
    variation! {
        First: { when: Strict, legs: Vec<Strict>, by: HashMap<String, Strict>, maybe: Option<Strict>, z: u8 }
        Later: { when: Strict, legs: Vec<Strict>, by: HashMap<String, Strict>, maybe: Option<Strict>, z: u16 }
        Nested: { inner: First, z: u8 }
        NestedLater: { inner: Later, z: u8 }
        NestedAfter: { inner: First, z: u16 }
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Variants {
        A(Strict),
        B { first: Strict, z: u8 },
        C(First),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum VariantsLater {
        A(Strict),
        B { first: Strict, z: u8 },
        C(Later),
    }
    assert_ne!(of::<First>(), of::<Later>());
    assert_ne!(of::<Nested>(), of::<NestedLater>());
    assert_ne!(of::<Nested>(), of::<NestedAfter>());
    assert_ne!(of::<Variants>(), of::<VariantsLater>());
    assert_ne!(of::<(Vec<Variants>, u8)>(), of::<(Vec<VariantsLater>, u8)>());
    assert_ne!(of::<(std::net::IpAddr, NonZeroU32)>(), of::<(u32, NonZeroU32)>());
}

#[test]
fn an_alias_hides_nothing_after_it() {
    variation! {
        Small: { #[serde(alias = "old", alias = "older")] a: u8, z: u8 }
        Large: { #[serde(alias = "old", alias = "older")] a: u8, z: u16 }
    }
    assert_ne!(of::<Small>(), of::<Large>());
}

#[test]
fn recursive_types_end() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Tree {
        value: u32,
        left: Option<Box<Tree>>,
        right: Option<Box<Tree>>,
        others: Vec<Tree>,
        by_name: BTreeMap<String, Tree>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct WiderTree {
        value: u64,
        left: Option<Box<WiderTree>>,
        right: Option<Box<WiderTree>>,
        others: Vec<WiderTree>,
        by_name: BTreeMap<String, WiderTree>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Expression {
        Leaf(u8),
        Add(Box<Expression>, Box<Expression>),
        Call { name: String, arguments: Vec<Expression> },
    }
    #[derive(Deserialize)]
    #[serde(transparent)]
    #[allow(dead_code)]
    struct Bush(Vec<(Bush, Bush)>);
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Endless {
        next: Box<Endless>,
    }

    assert_ne!(of::<Tree>(), of::<WiderTree>());
    assert_eq!(of::<Expression>(), of::<Expression>());
    assert_eq!(of::<Bush>(), of::<Bush>());
    assert_eq!(of::<Endless>(), of::<Endless>());
    of::<serde_json::Value>();
}

#[test]
fn names_behind_serde_buffers_count_as_far_as_serde_tells() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Runtime {
        a: u8,
    }
    variation! {
        Flat: { #[serde(flatten)] inner: Runtime, z: u8 }
        FlatLater: { #[serde(flatten)] inner: Runtime, z: u16 }
        FlatMore: { #[serde(flatten)] inner: Runtime, z: u8, y: u8 }
        FlatMap: { z: u8, #[serde(flatten)] rest: HashMap<String, u32> }
        FlatMapLater: { z: u16, #[serde(flatten)] rest: HashMap<String, u32> }
    }
    #[derive(Deserialize)]
    #[serde(tag = "type")]
    #[allow(dead_code)]
    enum Tagged {
        A { x: u8 },
        B,
    }
    #[derive(Deserialize)]
    #[serde(tag = "type")]
    #[allow(dead_code)]
    enum TaggedMore {
        A { x: u8 },
        B,
        C,
    }
    assert_ne!(of::<Flat>(), of::<FlatLater>());
    assert_ne!(of::<Flat>(), of::<FlatMore>());
    assert_ne!(of::<FlatMap>(), of::<FlatMapLater>());
    assert_ne!(of::<Tagged>(), of::<TaggedMore>());
}

#[test]
fn one_option_outside_is_peeled() {
    assert_eq!(of::<Option<before::Flight>>(), of::<before::Flight>());
    assert_eq!(of::<Option<u8>>(), of::<u8>());
    assert_ne!(of::<Option<Option<u8>>>(), of::<u8>());
    assert_ne!(of::<Vec<Option<u8>>>(), of::<Vec<u8>>());
    assert_ne!(of::<Option<Strict>>(), of::<u8>());
    assert_eq!(of::<Option<Strict>>(), of::<Strict>());
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Maybe(Option<u8>);
    assert_ne!(of::<Maybe>(), of::<u8>());
}

#[test]
fn version_and_declared_fields_count() {
    fn declared(shape: &mut Shape) {
        shape.within("a", |shape| ShapeOf::<u8>::new().record(shape));
    }
    fn wider(shape: &mut Shape) {
        shape.within("a", |shape| ShapeOf::<u16>::new().record(shape));
    }
    fn opaque(shape: &mut Shape) {
        struct NotDeserializable;
        shape.within("a", |shape| ShapeOf::<NotDeserializable>::new().record(shape));
    }
    let all = [
        compute::<u8>(0, None),
        compute::<u8>(1, None),
        compute::<u8>(0, Some(declared)),
        compute::<u8>(0, Some(wider)),
        compute::<u8>(0, Some(opaque)),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    assert_eq!(fingerprint::<u8>(1, None), compute::<u8>(1, None));
    assert_eq!(fingerprint::<u8>(1, None), fingerprint::<u8>(1, None));
    assert_eq!(fingerprint::<u8>(0, Some(declared)), compute::<u8>(0, Some(declared)));
}

#[test]
fn leaves_of_different_kinds_differ() {
    let all = [
        of::<u8>(),
        of::<u16>(),
        of::<u32>(),
        of::<u64>(),
        of::<u128>(),
        of::<i8>(),
        of::<i64>(),
        of::<f32>(),
        of::<f64>(),
        of::<bool>(),
        of::<char>(),
        of::<String>(),
        of::<()>(),
        of::<Vec<u8>>(),
        of::<(u8, u8)>(),
        of::<[u8; 3]>(),
        of::<HashMap<String, u8>>(),
        of::<HashMap<u8, String>>(),
        of::<Duration>(),
        of::<serde_json::Value>(),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
}

#[test]
fn golden_fingerprints() {
    let hex = |fingerprint: Fingerprint| fingerprint.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        [hex(of::<u64>()), hex(of::<before::Flight>()), hex(of::<before::Status>())],
        ["26651f07354be1563eb65c2f44673f95", "9195f2a80bc9d1391c46a0d127be15d5", "ca654659d65f42f7a0d86a157845c7d6"]
    );
}

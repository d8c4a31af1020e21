//! How tags are spelled. A change here makes invalidations miss what older processes have stored.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Serialize;

use crate::config::NAME_BYTES_MAX;
use crate::name::{KeyPart, Tag, Template, check_name_text, tag_part};

#[derive(Serialize)]
struct Id<T>(T);

#[derive(Serialize)]
#[allow(dead_code)]
enum Class {
    Economy,
    #[serde(rename = "first class")]
    First,
    Other(u8),
}

fn tag<T: KeyPart + ?Sized>(value: &T) -> Tag {
    Template::of_tag().text("t:").part(value).finish_tag()
}

fn spelled<T: KeyPart + ?Sized>(value: &T) -> String {
    let made = tag(value);
    let encoded = Template::of_tag().text("t:").encoded(&tag_part(value)).finish_tag();
    assert_eq!(made, encoded, "also if it was encoded before");
    made.as_str().strip_prefix("t:").unwrap_or_default().to_owned()
}

#[test]
fn a_value_has_one_spelling_whatever_holds_it() {
    assert_eq!(spelled(&7u8), "7");
    assert_eq!(spelled(&7i128), "7");
    assert_eq!(spelled("7"), "7");
    assert_eq!(spelled(&'7'), "7");
    assert_eq!(spelled(&Some(7)), "7");
    assert_eq!(spelled(&Some(Some("7"))), "7");
    assert_eq!(spelled(&Id(7)), "7");
    assert_eq!(spelled(&Id("7")), "7");
    assert_eq!(spelled(&Id(Some(Id("7")))), "7");
    assert_eq!(spelled(&Some(Id("7".to_owned()))), "7");
    assert_eq!(spelled(&-1i8), spelled("-1"));
    assert_eq!(spelled(&true), spelled("true"));
    assert_eq!(spelled(&Class::Economy), "Economy");
    assert_eq!(spelled(&Some(Class::First)), spelled("first class"));
    for text in ["'", "+x", ".x", "!", "false", "007"] {
        assert_eq!(spelled(&Id(text)), text);
        assert_eq!(spelled(text), text);
    }
    assert_eq!(spelled(&()), "!()");
    assert_eq!(spelled(&std::net::Ipv6Addr::LOCALHOST), "%3A%3A1");
}

#[test]
fn none_anywhere_makes_no_tag() {
    let none = None::<u8>;
    for absent in [
        tag(&none),
        tag(&Some(none)),
        tag(&Id(none)),
        tag(&Some(Id(none))),
        Template::of_tag().text("t:").part(&1).text(":").part(&none).finish_tag(),
        Template::of_tag().text("t:").encoded(&tag_part(&none)).text(":").part(&1).finish_tag(),
        Template::of_tag().text("t:").part(&f64::NAN).text(":").part(&none).finish_tag(),
        Template::of_tag().text("t:").part(&none).text(":").part(&f64::NAN).finish_tag(),
    ] {
        assert!(absent.is_absent(), "{absent:?}");
        assert_eq!((absent.as_str(), absent.name()), ("", None));
    }
    let unencodable = tag(&f64::NAN);
    assert!(!unencodable.is_absent() && unencodable.name().is_none());
}

#[test]
fn what_is_no_scalar_is_hashed_as_in_a_key_and_an_option_or_newtype_of_it_as_the_value() {
    let golden = [
        ("float", spelled(&1.5f64), "#39b3719927edd468dfb49230ee44a823"),
        ("newtype variant", spelled(&Class::Other(1)), "#ec81e75fed4c4389ae1c587d447e0204"),
        ("tuple", spelled(&(1, "a", Some('c'), ())), "#17a79070093e13849eef9fc0387466aa"),
        ("list", spelled(&[-1i32, 2][..]), "#7ea113671564a7c1864c18ee38b44883"),
        ("list in an option", spelled(&Some([-1i32, 2].as_slice())), "#7ea113671564a7c1864c18ee38b44883"),
        ("list in a newtype", spelled(&Id(Some(vec![-1, 2]))), "#7ea113671564a7c1864c18ee38b44883"),
    ];
    for (kind, made, expected) in golden {
        assert_eq!(made, expected, "{kind}");
    }
    assert_ne!(spelled(&[Some(1)]), spelled(&[1]), "inside, everything counts as in a key");
    assert_eq!(spelled(&[Id(1)]), spelled(&[1]));
    assert!(!tag(&[None::<u8>]).is_absent());
}

#[test]
fn a_tag_that_no_name_can_hold_ends_in_a_digest_of_the_whole() {
    let fits = "x".repeat(NAME_BYTES_MAX - 2);
    assert_eq!(spelled(&fits), fits);
    assert_eq!(tag(&fits), Tag::new(format!("t:{fits}")).unwrap(), "it is found by its text");
    assert_eq!(spelled(&format!("{fits}x")), "#a0672a07ccfa346b70e7e99e04dbe749");
    let two = |end: &str| Template::of_tag().text("t:").part(&fits).text(end).finish_tag();
    assert_eq!(two(":1").as_str().len(), "t:#".len() + 32);
    assert_ne!(two(":1"), two(":2"));
    for no_short_stem in ["", ":"] {
        let tag = Template::of_tag().text(&fits).text(no_short_stem).text(&fits).finish_tag();
        assert_eq!(tag.as_str().len(), 33);
    }
}

#[test]
fn text_is_taken_literally_and_checked() {
    assert_eq!(Tag::new("user:{id} *").unwrap().as_str(), "user:{id} *");
    assert!(Tag::new("x".repeat(NAME_BYTES_MAX)).is_ok());
    for wrong in ["", "~x", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
        assert!(Tag::new(wrong).is_err());
    }
}

/// Texts that could forge something, and texts around the longest name.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[:%#*?\\[\\]{}\\\\ '+.!~a0()\\n-]{0,4}",
        1 => "-?[0-9]{1,3}",
        1 => any::<String>(),
        1 => "[a:é]{500,1100}",

    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_makes_one_tag_of_its_own_whatever_holds_it(a in text(), b in text()) {
        let made = tag(&a);
        prop_assert_eq!(&tag(&Some(a.as_str())), &made);
        prop_assert_eq!(&tag(&Id(&a)), &made);
        prop_assert_eq!(&tag(&Id(Some(Cow::Borrowed(a.as_str())))), &made);
        prop_assert_eq!(&tag(&Arc::<str>::from(a.as_str())), &made);
        prop_assert_eq!(tag(&b) == made, a == b);
        prop_assert!(made.name().is_some());
        let part = made.as_str().strip_prefix("t:").unwrap();
        let forges = part.contains(|c| ":~*?[]\\{}".contains(c));
        prop_assert_eq!(forges, false);
        prop_assert!(check_name_text(made.as_str()).is_ok());
    }

    #[test]
    fn every_number_makes_one_tag_whatever_holds_it(number in any::<i64>()) {
        let made = tag(&number);
        prop_assert_eq!(&tag(&number.to_string()), &made);
        prop_assert_eq!(&tag(&Id(Some(i128::from(number)))), &made);
        prop_assert_eq!(&tag(&Some(Id(number.to_string()))), &made);
    }

    #[test]
    fn several_parts_are_told_apart_however_long_they_are(a in text(), b in text(), c in text(), d in text()) {
        let two = |x: &str, y: &str| Template::of_tag().text("t:").part(x).text(":").part(y).finish_tag();
        prop_assert_eq!(two(&a, &b) == two(&c, &d), (&a, &b) == (&c, &d));
        prop_assert!(two(&a, &b).name().is_some());
        prop_assert_eq!(tag(&a) == two(&a, &b), false);
    }
}

//! How keys are spelled. A change here empties every cache in the field.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::*;
use crate::freshness::Ttl;
use crate::name::{IntoKeyName, KeyPart, Names, Template, TextKey, Unencodable, part};

fn spelled<T: KeyPart + ?Sized>(value: &T) -> String {
    KeyText::new("p").part(value).finish::<()>().as_str().strip_prefix("p:").unwrap_or_default().to_owned()
}

#[derive(Serialize)]
struct Id<T>(T);

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
#[allow(dead_code)]
enum Class {
    Economy,
    #[serde(rename = "first class:*")]
    First,
    Other(u8),
    Pair(u8, u8),
    Named {
        a: u8,
    },
}

#[derive(Serialize)]
struct Flight {
    id: u64,
    to: &'static str,
}

#[test]
fn scalars_are_readable() {
    assert_eq!(spelled(&42u64), "42");
    assert_eq!(spelled(&-42i8), "-42");
    assert_eq!(spelled(&u128::MAX), "340282366920938463463374607431768211455");
    assert_eq!(spelled(&i128::MIN), "-170141183460469231731687303715884105728");
    assert_eq!(spelled(&true), "true");
    assert_eq!(spelled(&'x'), "x");
    assert_eq!(spelled(&':'), "%3A");
    assert_eq!(spelled("DFW"), "DFW");
    assert_eq!(spelled("a b:c"), "a%20b%3Ac");
    assert_eq!(spelled(""), "");
    assert_eq!(spelled(&()), "!()");
    assert_eq!(spelled(&Unit), "!()");
    assert_eq!(spelled(&Class::Economy), ".Economy");
    assert_eq!(spelled(&Class::First), ".first%20class%3A%2A");
    assert_eq!(spelled(&Id(7)), "7");
    assert_eq!(spelled(&std::net::Ipv4Addr::LOCALHOST), "127.0.0.1");
    assert_eq!(spelled(&std::net::Ipv6Addr::LOCALHOST), "%3A%3A1");
}

#[test]
fn options_are_marked() {
    assert_eq!(spelled(&None::<u8>), "!");
    assert_eq!(spelled(&Some(1)), "+1");
    assert_eq!(spelled(&Some("")), "+");
    assert_eq!(spelled(&Some("42")), "+'42");
    assert_eq!(spelled(&Some(None::<u8>)), "+!");
    assert_eq!(spelled(&Some(Some("x"))), "++x");
    assert_eq!(spelled(&Some(())), "+!()");
    assert!(spelled(&Some(vec![1])).starts_with("+#"));
}

#[test]
fn strings_that_read_like_other_scalars_are_quoted_unless_the_type_is_text() {
    for text in ["42", "-1", "true", "'", "+x", ".x", "!"] {
        assert_eq!(spelled(&Id(text)), format!("'{text}"));
        assert_eq!(spelled(text), text);
        assert_eq!(spelled(&text), text);
        assert_eq!(spelled(&text.to_owned()), text);
        assert_eq!(spelled(&&text.to_owned()), text);
        assert_eq!(spelled(&Cow::Borrowed(text)), text);
        assert_eq!(spelled(&Box::<str>::from(text)), text);
        assert_eq!(spelled(&Arc::<str>::from(text)), text);
        assert_eq!(spelled(&Rc::<str>::from(text)), text);
    }
    assert_eq!(spelled(&'7'), "7");
    assert_eq!(spelled(&Id('7')), "'7");
    assert_eq!(spelled(&Id("x7")), "x7");
}

#[test]
fn keys_have_a_part_per_parameter() {
    assert_eq!(KeyText::new("all").finish::<()>().as_str(), "all");
    assert_eq!(KeyText::new("user").part(&42).finish::<()>().to_string(), "user:42");
    assert_eq!(KeyText::new("route").part("DFW").part("LAX").finish::<()>().as_str(), "route:DFW:LAX");
    assert_eq!(KeyText::new("g").type_part::<Vec<Option<u8>>>().part(&1).finish::<()>().as_str(), {
        "g:alloc.vec.Vec<core.option.Option<u8>>:1"
    });
    let explicit = KeyText::new("doc").template().part("acme").text(":").part(&7).finish_key();
    assert_eq!(explicit.as_str(), "doc:acme:7");
    assert_eq!(Template::of_tag().text("state:").part("TX").finish_tag().as_str(), "state:TX");
    assert_eq!(Template::of_key().text("user:").part("a*").text(":*").finish_pattern().unwrap(), "user:a%2A:*");
    assert_eq!(Template::of_key().text("x:").encoded(&part("a:b")).finish_key().as_str(), "x:a%3Ab");
}

#[test]
fn digests_of_everything_else() {
    let made = [
        ("float", spelled(&1.5f64)),
        ("struct", spelled(&Flight { id: 42, to: "DFW" })),
        ("newtype variant", spelled(&Class::Other(1))),
        ("tuple variant", spelled(&Class::Pair(1, 2))),
        ("struct variant", spelled(&Class::Named { a: 1 })),
        ("tuple", spelled(&(1, "a", Some('c'), ()))),
        ("list", spelled(&[-1i32, 2][..])),
        ("map", spelled(&BTreeMap::from([("b", true), ("a", false)]))),
        ("set", spelled(&HashSet::from([3, 1, 2]))),
        ("long text", spelled("x".repeat(200).as_str())),
    ];
    let golden = [
        "float #39b3719927edd468dfb49230ee44a823",
        "struct #ae5329411dda9a2cc00df1c92fa58c8c",
        "newtype variant #ec81e75fed4c4389ae1c587d447e0204",
        "tuple variant #74897a18653b667d9ec057ac3a2b2640",
        "struct variant #9152c3f78e6e221fb00e02ef0833939b",
        "tuple #17a79070093e13849eef9fc0387466aa",
        "list #7ea113671564a7c1864c18ee38b44883",
        "map #f2b6833b52503cf3c79b85fdae79e63b",
        "set #91a410e42dd5616f363fca7900016e23",
        "long text #154c75314af4de49b91c1b22bc8e503e",
    ];
    assert_eq!(made.map(|(kind, part)| format!("{kind} {part}")), golden);
}

#[test]
fn hash_sets_are_sorted() {
    let forward: HashSet<String> = (0..100).map(|n| n.to_string()).collect();
    let backward: HashSet<String> = (0..100).rev().map(|n| n.to_string()).collect();
    assert_ne!(forward.iter().collect::<Vec<_>>(), backward.iter().collect::<Vec<_>>(), "the orders must differ");
    assert_eq!(spelled(&forward), spelled(&backward));
    assert_eq!(spelled(&&forward), spelled(&Id(&backward)));
    assert_eq!(spelled(&vec![&forward]), spelled(&vec![&backward]));
    assert_ne!(spelled(&forward), spelled(&forward.iter().collect::<BTreeSet<_>>()));
}

#[test]
fn maps_are_sorted_and_multimaps_keep_the_order_of_values() {
    let forward: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    let backward: BTreeMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    assert_eq!(spelled(&forward), spelled(&backward));

    struct Multimap(&'static [(u8, u8)]);
    impl Serialize for Multimap {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }
    assert_eq!(spelled(&Multimap(&[(1, 1), (2, 2)])), spelled(&Multimap(&[(2, 2), (1, 1)])));
    assert_ne!(spelled(&Multimap(&[(1, 1), (1, 2)])), spelled(&Multimap(&[(1, 2), (1, 1)])));
}

#[test]
fn variants_count_by_name() {
    #[derive(Serialize)]
    #[allow(dead_code)]
    enum Reordered {
        Named { a: u8 },
        Other(u8),
        Economy,
    }
    assert_eq!(spelled(&Class::Other(1)), spelled(&Reordered::Other(1)));
    assert_eq!(spelled(&Class::Named { a: 1 }), spelled(&Reordered::Named { a: 1 }));
    assert_eq!(spelled(&Class::Economy), spelled(&Reordered::Economy));
}

#[test]
fn zero_has_no_sign() {
    assert_eq!(spelled(&-0.0f64), spelled(&0.0f64));
    assert_eq!(spelled(&vec![-0.0f32]), spelled(&vec![0.0f32]));
}

#[test]
fn what_cannot_be_encoded_names_no_entry() {
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("secret"))
        }
    }
    struct Undisplayable;
    impl fmt::Display for Undisplayable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    impl Serialize for Undisplayable {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    #[derive(Serialize)]
    struct Nest(Option<Box<Nest>>);
    let deep = (0..1_000).fold(Nest(None), |nest, _| Nest(Some(Box::new(nest))));

    fn check(value: &impl Serialize, why: Unencodable) {
        let key = KeyText::new("p").part(value).part(&1).finish::<()>();
        assert_eq!(key.text(), Err(why));
        assert_eq!(key.name(), None);
        assert_eq!(key.to_string(), "");
        assert!((&key).into_key_name().unwrap().name().is_none());
        assert!(!format!("{key:?}").contains("secret"));
    }
    check(&f64::NAN, Unencodable::NotANumber);
    check(&Some(f32::NAN), Unencodable::NotANumber);
    check(&vec![1.0, f64::NAN], Unencodable::NotANumber);
    check(&Failing, Unencodable::Failed);
    check(&vec![Failing], Unencodable::Failed);
    check(&Undisplayable, Unencodable::Failed);
    check(&vec![Undisplayable], Unencodable::Failed);
    check(&vec![deep], Unencodable::TooDeep);
}

#[test]
fn long_keys_are_one_digest_however_they_are_made() {
    let long = "x".repeat(200);
    let made = KeyText::new("user").part(&long).part(&1).finish::<()>();
    assert_eq!(made.as_str().len(), "user:#".len() + 32);
    let text = format!("user:{long}:1");
    for again in [
        Template::of_key().text("user:").part(&long).text(":1").finish_key(),
        TextKey::literal(&text).unwrap(),
        TextKey::literal(made.as_str()).unwrap(),
    ] {
        assert_eq!(again, made.untyped());
    }
    assert_ne!(KeyText::new("user").part(&long).part(&2).finish::<()>(), made);

    let fits = KeyText::new("user").part(&"x".repeat(115)).finish::<()>();
    assert_eq!(fits.as_str().len(), 120);
    let no_stem = TextKey::literal(&long).unwrap();
    assert_eq!(no_stem.as_str().len(), 33);

    // With a long prefix the shortened key is still over the limit. It must stay as it is when it
    // comes back as text.
    let prefix = "p".repeat(110);
    let hashed = KeyText::new(&prefix).part(&long).finish::<()>();
    assert!(hashed.as_str().starts_with(&format!("{prefix}:#")));
    assert_eq!(TextKey::literal(hashed.as_str()).unwrap(), hashed.untyped());
}

#[test]
fn text_is_taken_literally_and_checked() {
    assert_eq!(IntoKey::<u8>::into_key("user:{id} *").unwrap().as_str(), "user:{id} *");
    for wrong in ["", "~x", "a\nb", &"x".repeat(1_025)] {
        assert!(IntoKey::<u8>::into_key(wrong).is_err());
        assert!(wrong.to_owned().into_key_name().is_err());
    }
}

#[test]
fn types_of_one_name_are_not_mixed_up() {
    fn first() -> Key<()> {
        struct Same;
        KeyText::new("g").type_part::<Same>().finish()
    }
    fn twins() -> (Key<()>, Key<()>) {
        let a = {
            struct Twin;
            KeyText::new("g").type_part::<Twin>().finish()
        };
        let b = {
            struct Twin;
            KeyText::new("g").type_part::<Twin>().finish()
        };
        (a, b)
    }
    assert!(first().text().is_ok());
    assert_eq!(first(), first());
    let (a, b) = twins();
    assert!(a.text().is_ok());
    assert_eq!(b.text(), Err(Unencodable::SameTypeName));
}

#[test]
fn a_refined_key_keeps_its_name_and_adds_to_its_recipe() {
    let key: Key<u8> = TextKey::literal("user:1").unwrap().with_ttl(Duration::from_secs(5)).with_tags(["a", "b"]);
    assert_eq!(key.as_str(), "user:1");
    assert_eq!(key.prefix(), "user");
    let recipe = key.recipe().unwrap();
    assert_eq!(recipe.policy.ttl, Ttl::Fixed(Duration::from_secs(5)));
    assert_eq!(recipe.names(&1).into_sorted().len(), 2);

    let companion = KeyText::new("flight").part(&1).finish_with::<u8>(
        Policy::new("flight").ttl(Duration::from_secs(60)),
        Captured::new().tag("x").part(part(&7)),
        |captured, value| {
            let mut names = Names::new();
            names.tag(Template::of_tag().text("v:").part(value).text(":").encoded(captured.at(0)).finish_tag());
            names
        },
        |_| true,
    );
    let names = companion.clone().with_tags(["y"]).recipe().unwrap().names(&3).into_sorted();
    let names: Vec<_> = names.iter().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(names, ["tv:3:7", "tx", "ty"]);
    assert_eq!(companion.recipe().unwrap().names(&3).into_sorted().len(), 2);
}

//! An invalidation as JSON or in any other serde format, to be kept in an outbox or a queue.
//!
//! Version 1 is `{"version":1,"keys":[…],"tags":[…],"patterns":[…],"everything":false}`. Version 2
//! has `"hold_ms":…` at the end as well, and is written only where it is needed: names are held, or
//! the format has no field names. A change of any kind makes a new version: a reader that skipped
//! unknown fields would lose invalidations.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};

use super::Invalidation;
use crate::clock::millis;
use crate::config::INVALIDATION_NAMES_MAX;
use crate::error::{Error, ErrorKind};
use crate::name::{Name, check_name_text};

const VERSION: u32 = 1;
const VERSION_WITH_HOLD: u32 = 2;

#[derive(Serialize)]
struct WireOut<'a> {
    version: u32,
    keys: Vec<&'a str>,
    tags: Vec<&'a str>,
    patterns: Vec<&'a str>,
    everything: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename = "Invalidation", deny_unknown_fields)]
struct WireIn {
    // The first field, so that another version is reported as such, and not as unknown fields.
    #[serde(deserialize_with = "known_version")]
    version: u32,
    // No defaults: a text that lacks a field of its version has lost it.
    keys: Texts,
    tags: Texts,
    patterns: Texts,
    everything: bool,
    #[serde(default)]
    hold_ms: Option<u64>,
}

/// The field that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Invalidation {
    #[doc = include_str!("../../docs/outbox.md")]
    pub fn to_json(&self) -> Result<String, Error> {
        let written = self.written(true)?;
        serde_json::to_string(&written)
            .map_err(|_| Error::new(ErrorKind::Encode, "the invalidation could not be written as JSON"))
    }

    /// Reads back what [`to_json`](Self::to_json) wrote, in this version of the library or an
    /// earlier one.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for another version and for text that is no invalidation;
    /// [`ErrorKind::Limit`] and [`ErrorKind::Config`] for more names than an invalidation may have
    /// and for names that can never name anything. Keep a text that cannot be read: a newer version
    /// of the library may be able to read it, and its names are still to be invalidated.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        // serde's own messages would quote the input.
        let unreadable = |error: serde_json::Error| {
            let message = format!("not an invalidation (line {}, column {})", error.line(), error.column());
            Error::new(ErrorKind::Protocol, message)
        };
        let Versioned { version } = serde_json::from_str(json).map_err(unreadable)?;
        check_version(version)?;
        serde_json::from_str::<WireIn>(json).map_err(unreadable)?.into_invalidation()
    }

    fn written(&self, has_field_names: bool) -> Result<WireOut<'_>, Error> {
        if let Some(error) = &self.invalid {
            // To write down the other names alone would lose this one without a word.
            return Err(Error::new(error.kind(), error.to_string()));
        }
        check_count(self.names.len().max(self.patterns.len()))?;
        let tag = |name: &'_ Name| name.as_key().is_none();
        let hold_ms = (!has_field_names || !self.hold.is_zero()).then(|| millis(self.hold));
        Ok(WireOut {
            version: if hold_ms.is_some() { VERSION_WITH_HOLD } else { VERSION },
            keys: self.names.iter().filter_map(Name::as_key).collect(),
            tags: self.names.iter().filter(|name| tag(name)).map(Name::text).collect(),
            patterns: self.patterns.iter().map(String::as_str).collect(),
            everything: self.clear,
            hold_ms,
        })
    }
}

impl WireIn {
    fn into_invalidation(self) -> Result<Invalidation, Error> {
        for texts in [&self.keys, &self.tags, &self.patterns] {
            check_count(texts.count)?;
            texts.kept.iter().try_for_each(|text| check_name_text(text))?;
        }
        check_count(self.keys.count + self.tags.count)?;
        if self.hold_ms.is_some() != (self.version == VERSION_WITH_HOLD) {
            return Err(Error::new(ErrorKind::Protocol, "not an invalidation: `hold_ms` is that of version 2"));
        }
        let read = Invalidation { clear: self.everything, ..Invalidation::new() };
        let read = read.keys(self.keys.kept).tags(self.tags.kept);
        let read = self.patterns.kept.into_iter().fold(read, Invalidation::pattern);
        let mut read = read.hold(Duration::from_millis(self.hold_ms.unwrap_or_default()));
        read.invalid.take().map_or(Ok(read), Err)
    }
}

fn check_version(version: u32) -> Result<(), Error> {
    if version == VERSION || version == VERSION_WITH_HOLD {
        return Ok(());
    }
    let message = format!("the invalidation is of version {version}, and this library reads versions 1 and 2");
    Err(Error::new(ErrorKind::Protocol, message))
}

fn check_count(count: usize) -> Result<(), Error> {
    if count <= INVALIDATION_NAMES_MAX {
        return Ok(());
    }
    let message =
        format!("an invalidation to be kept has at most {INVALIDATION_NAMES_MAX} names: use a tag or a pattern");
    Err(Error::new(ErrorKind::Limit, message))
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    check_version(version).map_err(D::Error::custom)?;
    Ok(version)
}

impl Serialize for Invalidation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written(serializer.is_human_readable()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Invalidation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireIn::deserialize(deserializer)?.into_invalidation().map_err(D::Error::custom)
    }
}

/// A list of texts. At most [`INVALIDATION_NAMES_MAX`] are kept, however many the input claims to
/// have; the others are only counted.
#[derive(Default)]
struct Texts {
    kept: Vec<String>,
    count: usize,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Texts::default();
                while let Some(text) = items.next_element::<Cow<'de, str>>()? {
                    texts.count += 1;
                    if texts.count <= INVALIDATION_NAMES_MAX {
                        texts.kept.push(text.into_owned());
                    }
                }
                Ok(texts)
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"version":1,"keys":["flight:42"],"tags":["airport:DFW","state:TX"],"patterns":["board:*"],"everything":false}"#;

    const GOLDEN_HELD: &str =
        r#"{"version":2,"keys":["flight:42"],"tags":["airport:DFW"],"patterns":[],"everything":false,"hold_ms":2000}"#;

    fn refused(json: &str, kind: ErrorKind, says: &str) {
        let error = Invalidation::from_json(json).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(serde_json::from_str::<Invalidation>(json).is_err());
    }

    /// An invalidation with these texts in one field.
    fn with(field: &str, texts: &[&str]) -> String {
        let empty = r#""keys":[],"tags":[],"patterns":[],"#;
        let (filled, others) =
            (format!(r#""{field}":["{}"],"#, texts.join(r#"",""#)), empty.replace(&format!(r#""{field}":[],"#), ""));
        format!(r#"{{"version":1,{filled}{others}"everything":false}}"#)
    }

    #[test]
    fn the_format_is_that_of_version_1() {
        let invalidation =
            Invalidation::new().key("flight:42").tag("state:TX").tag("airport:DFW").pattern("board:*").key("flight:42");
        assert_eq!(invalidation.to_json().unwrap(), GOLDEN);
        assert_eq!(serde_json::to_string(&invalidation).unwrap(), GOLDEN);
        let everything = r#"{"version":1,"keys":[],"tags":[],"patterns":[],"everything":true}"#;
        assert_eq!(Invalidation::everything().to_json().unwrap(), everything);
    }

    #[test]
    fn the_format_of_names_that_are_held_is_that_of_version_2() {
        let held = Invalidation::new().key("flight:42").tag("airport:DFW").hold("2s");
        assert_eq!(held.to_json().unwrap(), GOLDEN_HELD);
        assert_eq!(serde_json::to_string(&held).unwrap(), GOLDEN_HELD);
        refused(&GOLDEN_HELD.replace(r#","hold_ms":2000"#, ""), ErrorKind::Protocol, "hold_ms");
        refused(&GOLDEN_HELD.replace(r#""version":2"#, r#""version":1"#), ErrorKind::Protocol, "hold_ms");
        refused(&GOLDEN_HELD.replace("2000", "3600001"), ErrorKind::Limit, "held");
        refused(&GOLDEN_HELD.replace("2000", "-1"), ErrorKind::Protocol, "not an invalidation");
    }

    #[test]
    fn what_was_written_reads_back_as_it_was() {
        for json in [GOLDEN, GOLDEN_HELD, r#"{"version":1,"keys":[],"tags":[],"patterns":[],"everything":true}"#] {
            assert_eq!(Invalidation::from_json(json).unwrap().to_json().unwrap(), json);
            assert_eq!(serde_json::from_str::<Invalidation>(json).unwrap().to_json().unwrap(), json);
        }
        // Keys that were shortened to a digest, and escapes.
        let long = Invalidation::new().key("k:".to_owned() + &"é\"\\".repeat(100)).tag("t: ü\u{1F6EB}");
        let json = long.to_json().unwrap();
        assert_eq!(Invalidation::from_json(&json).unwrap().to_json().unwrap(), json);
        let nothing = r#"{"version":1,"keys":[],"tags":[],"patterns":[],"everything":false}"#;
        assert!(Invalidation::from_json(nothing).unwrap().is_empty());
    }

    #[test]
    fn another_version_is_named() {
        refused(r#"{"version":3,"keys":{"a":1},"everywhere":true}"#, ErrorKind::Protocol, "version 3");
        refused(r#"{"keys":["a"],"version":0}"#, ErrorKind::Protocol, "version 0");
        let error = serde_json::from_str::<Invalidation>(r#"{"version":3,"keys":3}"#).unwrap_err();
        assert!(error.to_string().contains("version 3"), "{error}");
    }

    #[test]
    fn garbage_is_refused_and_not_quoted() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            "42",
            r#"{"version":"secret"}"#,
            r#"{"version":1,"keys":"secret"}"#,
            "{\"version\":1",
        ] {
            refused(json, ErrorKind::Protocol, "not an invalidation");
            assert!(!Invalidation::from_json(json).unwrap_err().to_string().contains("secret"));
        }
        // An unknown field could be the one that matters, and so could a missing one.
        refused(&with("ranges", &["a"]), ErrorKind::Protocol, "not an invalidation");
        for part in [r#""keys":["flight:42"],"#, r#""tags":["airport:DFW","state:TX"],"#, r#","everything":false"#] {
            assert!(GOLDEN.contains(part));
            refused(&GOLDEN.replace(part, ""), ErrorKind::Protocol, "not an invalidation");
        }
    }

    #[test]
    fn names_are_checked_on_the_way_in() {
        for (field, name) in [("keys", ""), ("keys", "~clock"), ("tags", "a\\nb"), ("patterns", "")] {
            refused(&with(field, &["fine", name]), ErrorKind::Config, "must not");
        }
        refused(&with("tags", &[&"x".repeat(1_025)]), ErrorKind::Limit, "1024 bytes");
    }

    #[test]
    fn sizes_are_bounded_on_both_ways() {
        let most = Invalidation::new().tags((0..INVALIDATION_NAMES_MAX).map(|n| n.to_string()));
        let json = most.to_json().unwrap();
        assert_eq!(Invalidation::from_json(&json).unwrap().to_json().unwrap(), json);
        let more = most.key("one more");
        assert_eq!(more.to_json().unwrap_err().kind(), ErrorKind::Limit);
        refused(&json.replace(r#""keys":[]"#, r#""keys":["one more"]"#), ErrorKind::Limit, "at most");
    }

    #[test]
    fn an_invalidation_with_a_bad_name_cannot_be_kept() {
        let error = Invalidation::new().key("fine").tag("").to_json().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

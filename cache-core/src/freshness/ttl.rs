//! How long entries live: durations as text, and the runtime table of data classes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::config::DURATION_MAX;
use crate::error::{Error, ErrorKind};

/// Where the TTL of an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The TTL is given.
    Fixed(Duration),
    /// The TTL is that of a class in the cache's table.
    Class(Cow<'static, str>),
    /// The TTL is the cache's default.
    Default,
}

/// TTLs by data class. A configuration file gives a TTL as a number of seconds, or as a text like
/// `"60s"`. A TTL is longer than zero, and at most a hundred years (`"36525d"`).
///
/// # Example
/// ```
/// use std::time::Duration;
/// let classes: cache_core::TtlClasses = serde_json::from_str(
///     r#"{ "user_profile": 3600, "inventory": "60s", "live_scores": "250ms" }"#,
/// )?;
/// assert_eq!(classes.get("inventory"), Some(Duration::from_secs(60)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TtlClasses(BTreeMap<String, Duration>);

impl TtlClasses {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The TTL of a class.
    pub fn get(&self, class: &str) -> Option<Duration> {
        self.0.get(class).copied()
    }

    /// Sets the TTL of a class; returns the TTL that the class had before.
    pub fn set(&mut self, class: impl Into<String>, ttl: Duration) -> Option<Duration> {
        self.0.insert(class.into(), ttl)
    }

    /// The classes and their TTLs, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.0.iter().map(|(class, ttl)| (class.as_str(), *ttl))
    }
}

impl<S: Into<String>> FromIterator<(S, Duration)> for TtlClasses {
    fn from_iter<I: IntoIterator<Item = (S, Duration)>>(classes: I) -> Self {
        Self(classes.into_iter().map(|(class, ttl)| (class.into(), ttl)).collect())
    }
}

impl<S: Into<String>> Extend<(S, Duration)> for TtlClasses {
    fn extend<I: IntoIterator<Item = (S, Duration)>>(&mut self, classes: I) {
        self.0.extend(classes.into_iter().map(|(class, ttl)| (class.into(), ttl)));
    }
}

impl<'de> Deserialize<'de> for TtlClasses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let classes = BTreeMap::<String, ConfiguredTtl>::deserialize(deserializer)?;
        Ok(Self(classes.into_iter().map(|(class, ttl)| (class, ttl.0)).collect()))
    }
}

impl Serialize for TtlClasses {
    /// Writes each TTL as a text in milliseconds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(class, ttl)| (class, format!("{}ms", ttl.as_millis()))))
    }
}

struct ConfiguredTtl(Duration);

impl<'de> Deserialize<'de> for ConfiguredTtl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsOrText;

        impl Visitor<'_> for SecondsOrText {
            type Value = ConfiguredTtl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds or a text like \"60s\"")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<ConfiguredTtl, E> {
                match Duration::from_secs(seconds) {
                    Duration::ZERO => Err(E::custom("a TTL must be longer than zero")),
                    ttl if ttl > DURATION_MAX => Err(E::custom(TOO_LONG)),
                    ttl => Ok(ConfiguredTtl(ttl)),
                }
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<ConfiguredTtl, E> {
                match u64::try_from(seconds) {
                    Ok(seconds) => self.visit_u64(seconds),
                    Err(_) => Err(E::custom("a TTL must be longer than zero")),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ConfiguredTtl, E> {
                parse_duration(text).map(ConfiguredTtl).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(SecondsOrText)
    }
}

const TOO_LONG: &str = "a duration is at most a hundred years, \"36525d\"";

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration as the attributes spell it: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// `Config`: no number, no or an unknown unit, zero, or more than a hundred years.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Error> {
    let error = |message: &str| Err(Error::new(ErrorKind::Config, message));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return error("a duration is a whole number and a unit, like \"60s\" or \"250ms\"");
    }
    if unit.is_empty() {
        return error("a duration needs a unit: ms, s, m, h or d, like \"60s\"");
    }
    let Some((_, unit_ms)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        return error("unknown unit of a duration: use ms, s, m, h or d, like \"60s\"");
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit_ms));
    match ms.map(Duration::from_millis) {
        Some(Duration::ZERO) => error("a duration must be longer than zero"),
        Some(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => error(TOO_LONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes have the same test.
    #[test]
    fn a_duration_is_read_as_an_attribute_has_it() {
        for line in include_str!("../../../tests/durations.txt").lines().filter(|line| !line.starts_with('#')) {
            let (text, meant) = line.split_once(' ').unwrap();
            let found = parse_duration(text).map_or("refused".to_owned(), |found| found.as_millis().to_string());
            assert_eq!(found, meant.trim(), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_says_what_is_wrong() {
        for (text, says) in [
            ("", "whole number"),
            ("s", "whole number"),
            ("-1s", "whole number"),
            ("60", "needs a unit"),
            ("60 s", "unknown unit"),
            ("1.5s", "unknown unit"),
            ("60sec", "unknown unit"),
            ("1h30m", "unknown unit"),
            ("0s", "longer than zero"),
            ("99999999999999999999s", "at most"),
            ("18446744073709551615d", "at most"),
            ("1é", "unknown unit"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn classes_are_read_from_configuration() {
        let classes: TtlClasses =
            serde_json::from_str(r#"{"user_profile": 3600, "product_list": "5m", "live_scores": 10}"#).unwrap();
        assert_eq!(classes.get("user_profile"), Some(Duration::from_secs(3600)));
        assert_eq!(classes.get("product_list"), Some(Duration::from_secs(300)));
        assert_eq!(classes.get("unknown"), None);
        let again: TtlClasses = serde_json::from_str(&serde_json::to_string(&classes).unwrap()).unwrap();
        assert_eq!(again, classes);
    }

    #[test]
    fn a_wrong_class_table_is_refused() {
        for (json, says) in [
            (r#"{"a": 0}"#, "longer than zero"),
            (r#"{"a": -5}"#, "longer than zero"),
            (r#"{"a": "60"}"#, "needs a unit"),
            (r#"{"a": 3155760001}"#, "a hundred years"),
            (r#"{"a": 18446744073709551615}"#, "a hundred years"),
            (r#"{"a": true}"#, "a number of seconds or a text"),
            (r#"{"a": 1.5}"#, "a number of seconds or a text"),
        ] {
            let error = serde_json::from_str::<TtlClasses>(json).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}

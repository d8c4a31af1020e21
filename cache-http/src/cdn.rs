//! How a CDN is told what a response was made from: the keys that it is purged by.

use std::sync::Arc;
use std::time::Duration;

use cache_core::Cause;
use http::HeaderName;

use crate::limits::{FLIGHT, KEY_HEADER_BYTES_MAX, NAME_CHARS_MAX, SITE_CHARS_MAX};

/// The headers that a CDN reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CdnDialect {
    /// `Surrogate-Key`, with spaces between the keys, and `Surrogate-Control`: Fastly, and Varnish
    /// with the lines of [the guide](crate#varnish).
    Surrogate,
    /// `Cache-Tag`, with commas between the keys, and `CDN-Cache-Control` (RFC 9213): Cloudflare,
    /// Akamai.
    CacheTag,
}

impl CdnDialect {
    pub(crate) fn keys_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Surrogate => "surrogate-key",
            Self::CacheTag => "cache-tag",
        })
    }

    pub(crate) fn control_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Surrogate => "surrogate-control",
            Self::CacheTag => "cdn-cache-control",
        })
    }

    fn separator(self) -> &'static str {
        match self {
            Self::Surrogate => " ",
            Self::CacheTag => ",",
        }
    }
}

/// What the layer and the purger of a site agree on.
#[derive(Clone, Debug)]
pub struct Cdn {
    site: Arc<str>,
    pub(crate) dialect: CdnDialect,
    pub(crate) flight: Duration,
    key_header_bytes_max: usize,
}

impl Cdn {
    /// The CDN in front of a site. The site's name stands before each key, so that two sites, or
    /// two namespaces of a cache, do not purge each other's responses.
    ///
    /// # Panics
    /// If the name is empty, longer than 32 characters, or has others than ASCII letters, digits,
    /// `-`, `_` and `.`.
    pub fn new(site: &str, dialect: CdnDialect) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(
            !site.is_empty() && site.len() <= SITE_CHARS_MAX && site.chars().all(is_plain),
            "the name of a site has 1 to {SITE_CHARS_MAX} ASCII letters, digits, `-`, `_` and `.`"
        );
        Self { site: site.into(), dialect, flight: FLIGHT, key_header_bytes_max: KEY_HEADER_BYTES_MAX }
    }

    /// How long a response may take from the beginning of its request until the CDN has stored it;
    /// default: 10 s. So long after its first purge a name is purged again. A response that takes
    /// more than half of it to make is not to be stored.
    #[must_use]
    pub fn flight(self, flight: Duration) -> Self {
        Self { flight, ..self }
    }

    /// Bytes of the header that lists the keys of a response; default: 7 KiB. A response with more
    /// has one key in their place, which every purge names: it is purged too often, and never too
    /// late.
    #[must_use]
    pub fn key_header_bytes_max(self, key_header_bytes_max: usize) -> Self {
        Self { key_header_bytes_max, ..self }
    }

    /// The key of all responses.
    pub fn everything_key(&self) -> String {
        format!("{}/all", self.site)
    }

    /// The key of responses that do not list theirs.
    pub fn any_key(&self) -> String {
        format!("{}/any", self.site)
    }

    /// The key of responses that were made from what has this name. A name that is long, or has
    /// characters that a header or a CDN may take for something else, is written as a hash of 128
    /// bits. A pattern has no key: what it removes is named one by one, or is everything.
    pub fn key_of(&self, name: &Cause) -> String {
        let (kind, text) = match name {
            Cause::Key(key) => ('k', key),
            Cause::Tag(tag) => ('t', tag),
            _ => return self.everything_key(),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=@+".contains(c);
        if text.len() <= NAME_CHARS_MAX && text.chars().all(is_plain) {
            return format!("{}/{kind}:{text}", self.site);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind as u8]).update(text.as_bytes());
        format!("{}/h:{}", self.site, short_hex(&hasher.finalize()))
    }

    /// The value of the header that lists the keys of a response.
    pub(crate) fn listed(&self, names: &[Cause], is_complete: bool) -> String {
        let separator = self.dialect.separator();
        let mut listed = self.everything_key();
        for name in names {
            listed.push_str(separator);
            listed.push_str(&self.key_of(name));
            if listed.len() > self.key_header_bytes_max {
                break;
            }
        }
        if !is_complete || listed.len() > self.key_header_bytes_max {
            return [self.everything_key(), self.any_key()].join(separator);
        }
        listed
    }
}

/// The first 128 bits of a hash.
pub(crate) fn short_hex(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Cause {
        Cause::Key(text.to_owned())
    }

    #[test]
    fn a_plain_name_is_written_as_it_is_and_any_other_as_its_hash() {
        let cdn = Cdn::new("shop", CdnDialect::Surrogate);
        assert_eq!(cdn.key_of(&key("flight:42")), "shop/k:flight:42");
        assert_eq!(cdn.key_of(&Cause::Tag("airport:DFW".to_owned())), "shop/t:airport:DFW");
        let hashed =
            ["a b", "a,b", "a\"b", "é", "A*", &"x".repeat(NAME_CHARS_MAX + 1)].map(|text| cdn.key_of(&key(text)));
        for (at, hash) in hashed.iter().enumerate() {
            assert!(hash.starts_with("shop/h:") && hash.len() == 39 && !hashed[..at].contains(hash), "{hash}");
        }
        assert_ne!(cdn.key_of(&key("a b")), cdn.key_of(&Cause::Tag("a b".to_owned())));
        assert_eq!(cdn.key_of(&key(&"x".repeat(NAME_CHARS_MAX))).len(), "shop/k:".len() + NAME_CHARS_MAX);
    }

    #[test]
    fn no_name_is_the_key_of_something_else() {
        let cdn = Cdn::new("shop", CdnDialect::Surrogate);
        for name in ["all", "any", "h:0"] {
            assert!(cdn.key_of(&key(name)).starts_with("shop/k:"));
        }
    }

    #[test]
    fn what_has_more_names_than_a_header_has_room_for_has_the_key_that_every_purge_names() {
        let cdn = Cdn::new("shop", CdnDialect::CacheTag).key_header_bytes_max("shop/all,shop/k:a:1,shop/k:a:2".len());
        let names = [key("a:1"), key("a:2"), key("a:3")];
        assert_eq!(cdn.listed(&names[..2], true), "shop/all,shop/k:a:1,shop/k:a:2");
        assert_eq!(cdn.listed(&names, true), "shop/all,shop/any");
        assert_eq!(cdn.listed(&[], false), "shop/all,shop/any");
    }

    #[test]
    #[should_panic(expected = "1 to 32 ASCII letters")]
    fn a_site_whose_name_is_no_header_is_refused() {
        let _ = Cdn::new("my shop", CdnDialect::Surrogate);
    }
}

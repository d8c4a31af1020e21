//! What headers say: the directives of `Cache-Control`, and validators.

use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a handler has said in `Cache-Control` (RFC 9111).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// There is such a header.
    pub(crate) is_said: bool,
    /// `no-store`.
    pub(crate) forbids_storing: bool,
    /// `private`.
    pub(crate) is_private: bool,
    /// `no-cache`.
    pub(crate) must_revalidate: bool,
    /// `s-maxage`, else `max-age`.
    pub(crate) fresh_for: Option<Duration>,
}

impl Directives {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (mut said, mut max_age, mut shared_max_age) = (Self::default(), None, None);
        for value in headers.get_all(CACHE_CONTROL) {
            said.is_said = true;
            // What cannot be read may forbid anything.
            let Ok(text) = value.to_str() else {
                said.forbids_storing = true;
                continue;
            };
            for directive in text.split(',') {
                let (name, argument) =
                    directive.split_once('=').map_or((directive, ""), |(name, argument)| (name, argument));
                let seconds = || argument.trim().trim_matches('"').parse().map_or(Duration::ZERO, Duration::from_secs);
                match name.trim().to_ascii_lowercase().as_str() {
                    "no-store" => said.forbids_storing = true,
                    "private" => said.is_private = true,
                    "no-cache" => said.must_revalidate = true,
                    "max-age" => max_age = Some(seconds()),
                    "s-maxage" => shared_max_age = Some(seconds()),
                    _ => {}
                }
            }
        }
        said.fresh_for = shared_max_age.or(max_age);
        said
    }

    /// Whether a cache that many share may keep the response at all.
    pub(crate) fn may_share(&self) -> bool {
        !self.forbids_storing && !self.is_private && !self.must_revalidate
    }
}

/// Whether `If-None-Match` names the entity tag of the response: by weak comparison, as RFC 9110
/// asks for (section 13.1.2).
pub(crate) fn matches_none(asked: &[HeaderValue], headers: &HeaderMap) -> bool {
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    asked
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| list.trim() == "*" || tags(list).any(|tag| tag == opaque))
}

/// The opaque tags of a list, with their quotes. A comma may be part of one.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let begin = rest.find('"')?;
        let length = rest[begin + 1..].find('"')? + 2;
        let (tag, after) = rest[begin..].split_at(length);
        rest = after;
        Some(tag)
    })
}

/// The values of a header, to be kept when the request is gone.
pub(crate) fn kept(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    headers.get_all(name).iter().cloned().collect()
}

pub(crate) fn none_match(headers: &HeaderMap) -> Vec<HeaderValue> {
    kept(headers, &IF_NONE_MATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[&'static str]) -> Directives {
        Directives::of(&values.iter().map(|value| (CACHE_CONTROL, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn directives_are_read_whatever_their_case_and_spaces() {
        assert_eq!(said(&[]), Directives::default());
        let public = said(&["Public, MAX-AGE = 60 , s-maxage=\"5\""]);
        assert!(public.is_said && public.may_share());
        assert_eq!(public.fresh_for, Some(Duration::from_secs(5)));
        assert_eq!(said(&["max-age=60"]).fresh_for, Some(Duration::from_secs(60)));
        assert_eq!(said(&["max-age=soon"]).fresh_for, Some(Duration::ZERO));
        for forbidding in ["no-store", "private=\"set-cookie\"", "max-age=5, No-Cache"] {
            assert!(!said(&["public", forbidding]).may_share(), "{forbidding}");
        }
    }

    #[test]
    fn what_cannot_be_read_forbids() {
        let headers = [(CACHE_CONTROL, HeaderValue::from_bytes(b"max-age=5\xff").unwrap())].into_iter().collect();
        assert!(!Directives::of(&headers).may_share());
    }

    #[test]
    fn tags_are_compared_weakly() {
        let matches = |asked: &[&'static str], tag: &'static str| {
            let headers = [(ETAG, HeaderValue::from_static(tag))].into_iter().collect();
            matches_none(&asked.iter().map(|value| HeaderValue::from_static(value)).collect::<Vec<_>>(), &headers)
        };
        for asked in [r#""a""#, r#"W/"a""#, "*", r#""b", W/"a""#, r#""x,y","a""#] {
            assert!(matches(&[asked], r#""a""#) && matches(&[asked], r#"W/"a""#), "{asked}");
        }
        assert!(matches(&[r#""b""#, r#""a""#], r#""a""#));
        for asked in [r#""b""#, "a", "", r#""A""#, r#"""#] {
            assert!(!matches(&[asked], r#""a""#), "{asked}");
        }
        assert!(!matches_none(&[HeaderValue::from_static("*")], &HeaderMap::new()));
    }
}

//! Makes the text of a key into the arguments that a loader is given.

use crate::config::NAME_BYTES_MAX;
use crate::name::check_name_text;
use crate::name::prefix_of;
use crate::name::unescape_part;

/// The prefix of a key, and its arguments as a loader is given them.
pub(super) fn read(key: &str) -> Result<(&str, String), String> {
    check_name_text(key).map_err(|error| error.to_string())?;
    let prefix = prefix_of(key);
    let id = key.get(prefix.len() + 1..).unwrap_or_default();
    let mut parts = id.split(':');
    // The encoding escapes `#`, so a part that begins with `#` is always a digest.
    if parts.clone().any(|part| part.starts_with('#')) {
        return Err("the key holds a digest: its arguments cannot be told from it".to_owned());
    }
    let several = parts.nth(1).is_some();
    Ok((prefix, if several { id.to_owned() } else { unescape_part(id) }))
}

/// A key for an error, cut to the length that a key can have: its text may come from anywhere.
pub(super) fn clipped(mut key: String) -> String {
    let mut end = key.len().min(NAME_BYTES_MAX);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.truncate(end);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, prefix: &str, id: &str) {
        assert_eq!(read(key), Ok((prefix, id.to_owned())));
    }

    #[test]
    fn a_key_gives_its_prefix_and_its_arguments() {
        check("flight:42", "flight", "42");
        check("city:New%20York", "city", "New York");
        check("city:", "city", "");
        check("busiest", "busiest", "");
        check("board:DFW:2001-03-09", "board", "DFW:2001-03-09");
        check("pair:a%3Ab:c", "pair", "a%3Ab:c");
        check("city:%23", "city", "#");
    }

    #[test]
    fn what_no_arguments_can_be_read_from_is_refused() {
        for key in ["", "~clock", "a\nb", "itinerary:#00112233445566778899aabbccddeeff", "a:b:#0"] {
            assert!(read(key).is_err(), "{key:?}");
        }
        assert!(read(&"x".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_key_in_an_error_is_no_longer_than_a_key() {
        assert_eq!(clipped("é".repeat(NAME_BYTES_MAX)).len(), NAME_BYTES_MAX);
        assert_eq!(clipped(format!("x{}", "é".repeat(NAME_BYTES_MAX))).len(), NAME_BYTES_MAX - 1);
    }
}

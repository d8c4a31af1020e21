//! Escapes text, so that no value can forge a part of a key: percent-escapes, the quote in front of
//! ambiguous strings, globs.

use std::fmt::Write as _;

/// Appends `text` with every separator, glob character, brace, whitespace, control character, `#`,
/// `%` and `~` escaped. Other characters stay as they are. Different texts stay different.
///
/// A `~` is in front of the names of the bookkeeping, and at the end of a key in front of the type
/// of an entry beside it: an argument that could spell it would be served another one's entry.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        if !must_escape(c) {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + c.len_utf8();
        for byte in text[at..plain_from].bytes() {
            let _ = write!(out, "%{byte:02X}"); // writing to a `String` cannot fail
        }
    }
    out.push_str(&text[plain_from..]);
}

fn must_escape(c: char) -> bool {
    match c {
        ':' | '%' | '#' | '~' | '*' | '?' | '[' | ']' | '\\' | '{' | '}' => true,
        c if c.is_ascii_graphic() => false,
        c => c.is_whitespace() || c.is_control(),
    }
}

/// The string that a part of a key was spelled from: `New York` for `New%20York`.
///
/// Undoes the percent-escapes and nothing else: numbers, `!`, `+`, `.Name` and a leading `'` stay
/// as they are. A `%` that begins no escape stands for itself.
///
/// # Example
/// ```
/// assert_eq!(cache_core::unescape_part("a%3Ab%25"), "a:b%");
/// ```
pub fn unescape_part(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    // Escapes that are not UTF-8 were not written by this library: then the part stands for
    // itself.
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Whether a string reads like another kind of value: a number, a bool, an option, a variant, a
/// quoted string.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with(['\'', '+', '.', '!'])
        || text == "true"
        || text == "false"
        || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Escapes text so that it stands for itself in a pattern, as in
/// `format!("user:{}:*", escape_glob(name))`.
///
/// Patterns are matched against logical keys as they are spelled. Attributes and `key!`
/// percent-escape a value in a key, so take the spelling of such a value from a key, or use the
/// `patterns` of `#[invalidates]`, which escape their placeholders the same way.
///
/// # Example
/// ```
/// assert_eq!(cache_core::escape_glob("50*[x]"), r"50\*\[x\]");
/// ```
pub fn escape_glob(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        push_escaped(&mut out, text);
        out
    }

    #[test]
    fn everything_that_could_forge_is_escaped() {
        assert_eq!(escaped("a:b%c#d"), "a%3Ab%25c%23d");
        assert_eq!(escaped("*?[]\\{}"), "%2A%3F%5B%5D%5C%7B%7D");
        assert_eq!(escaped(" \n\0\u{85}\u{2028}\u{a0}"), "%20%0A%00%C2%85%E2%80%A8%C2%A0");
        assert_eq!(escaped("~a~"), "%7Ea%7E");
    }

    #[test]
    fn everything_else_stays_readable() {
        assert_eq!(escaped("DFW-2024_01.5+x!'@/(a,b)<c>|$&=;^`\""), "DFW-2024_01.5+x!'@/(a,b)<c>|$&=;^`\"");
        assert_eq!(escaped("München 東京"), "München%20東京");
    }

    #[test]
    fn what_was_escaped_reads_back() {
        for text in ["", "a:b%c#d", "*?[]\\{}", " \n\0\u{85}\u{2028}\u{a0}", "~a~", "München 東京", "%41", "%"] {
            assert_eq!(unescape_part(&escaped(text)), text);
        }
        for text in ["%", "%4", "%zz", "50%!", "%FF", "%é"] {
            assert_eq!(unescape_part(text), text);
        }
    }

    #[test]
    fn what_reads_like_another_scalar_is_ambiguous() {
        for text in ["0", "42", "-7", "007", "true", "false", "'", "+x", ".Name", "!", "!()"] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["", "-", "4x", "True", "x'", "--1", "1.5", "١"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}

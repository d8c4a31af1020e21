//! Text that cannot forge anything: percent-escaping, the quote in front of ambiguous strings, globs.

use std::fmt::Write as _;

/// Appends `text` so that it holds no separator, glob character, brace, whitespace, control character, `#` or `%`, and
/// does not start with the `~` of bookkeeping. Other characters stay as they are, so different texts stay different.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let opens_bookkeeping = c == '~' && at == 0;
        if !must_escape(c) && !opens_bookkeeping {
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
        ':' | '%' | '#' | '*' | '?' | '[' | ']' | '\\' | '{' | '}' => true,
        c if c.is_ascii_graphic() => false,
        c => c.is_whitespace() || c.is_control(),
    }
}

/// Whether a string reads like something that is not a string: a number, a bool, an option, a variant, a quoted string.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with(['\'', '+', '.', '!'])
        || text == "true"
        || text == "false"
        || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Escapes text so that it stands for itself in a pattern, as in `format!("user:{}:*", escape_glob(name))`.
///
/// Patterns are matched against logical keys as they are spelled. A value that became part of a key through an attribute
/// or `key!` is spelled percent-escaped there, so take its spelling from a key, or use the `patterns` of
/// `#[invalidates]`, which escape their placeholders the same way.
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
        assert_eq!(escaped("~a~"), "%7Ea~");
    }

    #[test]
    fn everything_else_stays_readable() {
        assert_eq!(escaped("DFW-2024_01.5+x!'@/(a,b)<c>|$&=;^`\""), "DFW-2024_01.5+x!'@/(a,b)<c>|$&=;^`\"");
        assert_eq!(escaped("München 東京"), "München%20東京");
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

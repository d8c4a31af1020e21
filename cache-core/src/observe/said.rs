//! Texts of others in a line of the log: errors of functions, what is known of an entry, names in
//! a server's certificate.

use std::borrow::Cow;

use crate::config::LOG_TEXT_BYTES_MAX;

/// The text as a part of one line, whoever writes that line: what would end it, move a terminal's
/// cursor or turn the direction of writing is escaped. A long text is cut, and says so.
pub(crate) fn said(text: &str) -> Cow<'_, str> {
    if text.len() <= LOG_TEXT_BYTES_MAX && !text.contains(forges) {
        return text.into();
    }
    let mut said = String::with_capacity(text.len().min(LOG_TEXT_BYTES_MAX));
    for character in text.chars() {
        let before = said.len();
        match forges(character) {
            true => said.extend(character.escape_default()),
            false => said.push(character),
        }
        if said.len() > LOG_TEXT_BYTES_MAX {
            said.truncate(before);
            said.push_str("… (cut)");
            break;
        }
    }
    said.into()
}

/// Whether a character ends a line or is the beginning of a command, or makes what follows it look
/// as if it stood elsewhere (Unicode's separators of lines, and its marks of direction).
fn forges(character: char) -> bool {
    let directs = |character| {
        matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    character.is_control() || directs(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_is_said_as_it_is() {
        let longest = "é".repeat(LOG_TEXT_BYTES_MAX / 2);
        for text in ["", "the database is down: \"x\\y\" 漢", &longest] {
            assert!(matches!(said(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_could_forge_is_escaped() {
        assert_eq!(said("a\nb\r\u{1b}[2J\u{202e}\u{2028}\0"), r"a\nb\r\u{1b}[2J\u{202e}\u{2028}\u{0}");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters_or_escapes() {
        for (character, shown) in [('x', "x"), ('é', "é"), ('漢', "漢"), ('\n', r"\n"), ('\u{85}', r"\u{85}")] {
            let made = said(&character.to_string().repeat(1 << 20)).into_owned();
            let kept = made.strip_suffix("… (cut)").expect("it says that it is cut");
            assert_eq!(kept, shown.repeat(LOG_TEXT_BYTES_MAX / shown.len()));
        }
    }
}

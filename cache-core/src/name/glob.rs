//! Redis's glob, as `SCAN … MATCH` knows it (`stringmatchlen` in `util.c`), over bytes.

/// A compiled pattern: `*` any text, `?` one byte, `[a-c]` and `[^a-c]` one byte of (not of) a
/// class, `\` takes the next byte literally. Like Redis, it accepts every pattern: a class that is
/// not closed ends with the pattern, and a `\` at the end stands for itself.
///
/// # Cost
/// Text × pattern at worst. Every token but `*` takes exactly one byte, so once a later `*` is
/// reached, an earlier one need never be tried again. Remembering the last `*` replaces the
/// recursion that makes the original exponential.
pub(crate) struct Glob(Vec<Piece>);

/// Whether a text is of a pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern).matches(text)
}

enum Piece {
    AnyText,
    AnyByte,
    Byte(u8),
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Piece {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::AnyText => false,
            Self::AnyByte => true,
            Self::Byte(expected) => *expected == byte,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let (token, left) = match (first, after) {
                (b'*', _) => (Piece::AnyText, after),
                (b'?', _) => (Piece::AnyByte, after),
                (b'[', _) => class(after),
                (b'\\', [literal, left @ ..]) => (Piece::Byte(*literal), left),
                _ => (Piece::Byte(first), after),
            };
            let repeated = matches!((&token, tokens.last()), (Piece::AnyText, Some(Piece::AnyText)));
            if !repeated {
                tokens.push(token);
            }
            rest = left;
        }
        Self(tokens)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let (text, tokens) = (text.as_bytes(), &self.0);
        let (mut at, mut token) = (0, 0);
        // Where to go on when a match fails: the token after the last `*`, and the place in the
        // text from which that token was tried.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match tokens.get(token) {
                None if at == text.len() => return true,
                Some(Piece::AnyText) => {
                    token += 1;
                    retry = Some((token, at));
                    continue;
                }
                Some(expected) if text.get(at).is_some_and(|byte| expected.takes(*byte)) => {
                    at += 1;
                    token += 1;
                    continue;
                }
                _ => {}
            }
            match &mut retry {
                Some((after_star, tried)) if *tried < text.len() => {
                    *tried += 1;
                    (at, token) = (*tried, *after_star);
                }
                _ => return false,
            }
        }
    }
}

/// Reads a class whose `[` was taken; returns the class and the rest of the pattern after its `]`.
fn class(mut rest: &[u8]) -> (Piece, &[u8]) {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [] => break,
            [b']', left @ ..] => {
                rest = left;
                break;
            }
            [b'\\', literal, left @ ..] => {
                ranges.push((*literal, *literal));
                left
            }
            [from, b'-', to, left @ ..] => {
                ranges.push((*from.min(to), *from.max(to)));
                left
            }
            [single, left @ ..] => {
                ranges.push((*single, *single));
                left
            }
        };
    }
    (Piece::Class { negated, ranges }, rest)
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_match_as_in_redis() {
        #[rustfmt::skip]
        let table = [
            ("", "", true), ("", "a", false), ("a", "", false), ("*", "", true), ("*", "abc", true),
            ("flight:*", "flight:42", true), ("flight:*", "flights:42", false), ("*:42", "flight:42", true),
            ("*:42", "flight:421", false), ("a*b*c", "aXbXbYc", true), ("a*b*c", "aXcXb", false), ("**a**", "bab", true),
            ("?", "", false), ("?", "a", true), ("h?llo", "hello", true), ("h?llo", "hllo", false), ("??", "é", true),
            ("h[ae]llo", "hallo", true), ("h[ae]llo", "hillo", false), ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false), ("[a-c]", "b", true), ("[a-c]", "d", false), ("[c-a]", "b", true),
            ("[^a-c]", "b", false), ("[^a-c]", "d", true), ("[a-cx]", "x", true), ("[\\]]", "]", true),
            ("[\\^]", "^", true), ("[a\\-c]", "b", false), ("[a\\-c]", "-", true), ("[-a]", "-", true),
            ("[]", "a", false), ("[]a]", "a]", false), ("[^]", "a", true), ("[^]", "", false), ("[abc", "b", true),
            ("[abc", "d", false), ("[a-", "-", true), ("[a-]", "b", false), ("[a-]", "^", true), ("[", "[", false),
            ("\\*", "*", true), ("\\*", "a", false), ("\\?x", "?x", true), ("a\\", "a\\", true), ("\\\\", "\\", true),
            ("\\a", "a", true), ("*[0-9]", "abc7", true), ("*[0-9]", "abc", false), ("x]", "x]", true),
            ("a*", "A", false), ("{a}", "{a}", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern).matches(text), expected, "pattern {pattern:?}, text {text:?}");
        }
    }

    // The recursive original takes longer than the age of the universe for this one.
    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "a*".repeat(200) + "b";
        let text = "a".repeat(1_000);
        assert!(!Glob::new(&pattern).matches(&text));
    }
}

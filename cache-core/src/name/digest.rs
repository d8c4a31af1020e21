//! Digests in keys: they stand for values that are not scalars, and for keys too long to be spelled
//! out.

use crate::config::KEY_BYTES_MAX;

/// Hex digits of a digest: 128 bits of blake3, so that nobody can make two arguments with one
/// digest.
const DIGEST_DIGITS: usize = 32;

/// Stands before the text that is hashed, so that the digest of a key is never that of a
/// parameter.
const LONG_KEY_CONTEXT: &[u8] = b"key\0";

/// Appends `#` and the digest of `bytes`.
pub(super) fn push_digest(out: &mut String, bytes: &[u8]) {
    out.push('#');
    out.push_str(&blake3::hash(bytes).to_hex()[..DIGEST_DIGITS]);
}

/// Replaces what follows the prefix of a key that is too long by the digest of the whole text.
///
/// The result depends on the text alone, so that companions, templates and keys given as text agree
/// on every key. A key that was shortened already stays as it is.
pub(super) fn shorten(text: String) -> String {
    if text.len() <= KEY_BYTES_MAX {
        return text;
    }
    let stem = text.find(':').filter(|at| *at < KEY_BYTES_MAX).map_or(0, |at| at + 1);
    if is_digest(&text[stem..]) {
        return text;
    }
    let mut short = text[..stem].to_owned();
    push_digest(&mut short, &[LONG_KEY_CONTEXT, text.as_bytes()].concat());
    short
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| {
        digits.len() == DIGEST_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

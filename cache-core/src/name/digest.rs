//! Digests in names: they stand for values that are not scalars, and for names too long to be
//! spelled out.

use std::borrow::Cow;

use crate::config::{KEY_BYTES_MAX, NAME_BYTES_MAX};

/// Hex digits of a digest: 128 bits of blake3, so that nobody can make two arguments with one
/// digest.
const DIGEST_DIGITS: usize = 32;

/// Stands before the text that is hashed, so that the digest of a name is never that of a
/// parameter.
const LONG_NAME_CONTEXT: &[u8] = b"key\0";

/// Appends `#` and the digest of `bytes`.
pub(super) fn push_digest(out: &mut String, bytes: &[u8]) {
    out.push('#');
    out.push_str(&blake3::hash(bytes).to_hex()[..DIGEST_DIGITS]);
}

/// Shortens a key that is longer than [`KEY_BYTES_MAX`].
///
/// The result depends on the text alone, so that companions, templates and keys given as text agree
/// on every key. A key that was shortened already stays as it is.
pub(super) fn shorten_key(text: &str) -> Cow<'_, str> {
    let is_short = text.len() <= KEY_BYTES_MAX || is_digest(&text[stem(text)..]);
    if is_short { text.into() } else { shortened(text).into() }
}

/// Shortens a tag that is longer than any name may be, which only a template can make: text is
/// refused. So a tag that fits is spelled out, and found by its text.
pub(super) fn shorten_tag(text: &str) -> Cow<'_, str> {
    if text.len() <= NAME_BYTES_MAX { text.into() } else { shortened(text).into() }
}

/// Replaces what follows the stem by the digest of the whole text.
fn shortened(text: &str) -> String {
    let mut short = text[..stem(text)].to_owned();
    push_digest(&mut short, &[LONG_NAME_CONTEXT, text.as_bytes()].concat());
    short
}

/// The length of what stays readable: the text up to the first `:`, if that is not long itself.
fn stem(text: &str) -> usize {
    text.find(':').filter(|at| *at < KEY_BYTES_MAX).map_or(0, |at| at + 1)
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| {
        digits.len() == DIGEST_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

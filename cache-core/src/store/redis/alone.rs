//! The reader by itself, without a connection: for whoever throws bytes at it.

use bytes::BufMut;

use super::Reader;

/// The kinds of what comes out of these bytes, received in pieces of so many. `None`: they are no
/// RESP3.
pub fn frames(bytes: &[u8], piece: usize) -> Option<Vec<String>> {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.room().put_slice(piece);
        while let Some(frame) = reader.next().ok()? {
            frames.push(format!("{frame:?}"));
        }
    }
    Some(frames)
}

//! Frames between a worker and the conductor: length, kind, body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest frame: a batch is sent before it gets so long.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// What a worker says, and what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Frame {
    /// Worker: a batch of calls.
    Calls,
    /// Worker: a question to the database, with its number.
    Ask,
    /// Worker: its counters, as text.
    Counters,
    /// Conductor: the calls may begin.
    Start,
    /// Conductor: the answer of the database, with the number of the question.
    Answer,
    /// Conductor: the history ends.
    Stop,
    /// Conductor: no call may begin for now.
    Rest,
    /// Worker: nothing is under way, and nothing is owed.
    Rested,
    /// Conductor: from now on most callers drop their calls, or wait for them again.
    Drop,
}

impl Frame {
    fn of(code: u8) -> Option<Self> {
        const ALL: [Frame; 9] = [
            Frame::Calls,
            Frame::Ask,
            Frame::Counters,
            Frame::Start,
            Frame::Answer,
            Frame::Stop,
            Frame::Rest,
            Frame::Rested,
            Frame::Drop,
        ];
        ALL.get(usize::from(code)).copied()
    }
}

pub(crate) fn push(out: &mut Vec<u8>, frame: Frame, body: &[u8]) {
    out.extend((body.len() as u32).to_le_bytes());
    out.push(frame as u8);
    out.extend(body);
}

/// The next frame, with its body in `body`.
pub(crate) async fn next(stream: &mut (impl AsyncRead + Unpin), body: &mut Vec<u8>) -> io::Result<Frame> {
    let length = stream.read_u32_le().await? as usize;
    let frame = Frame::of(stream.read_u8().await?).filter(|_| length <= FRAME_BYTES_MAX);
    let frame = frame.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no frame"))?;
    body.resize(length, 0);
    stream.read_exact(body).await?;
    Ok(frame)
}

pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

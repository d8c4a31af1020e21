//! Reads replies out of a stream of bytes, which may come from anybody and stop anywhere.
//!
//! Two passes. The first finds where a reply ends and looks at every byte once, however many pieces
//! the reply comes in. The second makes the reply from bytes that are all there.

use bytes::{Bytes, BytesMut};

use super::Reply;
use crate::config::{
    REPLY_BULK_BYTES_MAX, REPLY_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ITEMS_MAX, REPLY_LINE_BYTES_MAX, SOCKET_READ_BYTES,
};

/// Most room that is made for what is to come of one large text.
const READ_BYTES_AT_ONCE_MAX: usize = 16 * SOCKET_READ_BYTES;

/// What the server sends.
#[derive(Debug, PartialEq)]
pub(in crate::store::redis) enum Frame {
    /// The answer to the oldest command that has none yet.
    Reply(Reply),
    /// A message that answers no command.
    Push(Vec<Reply>),
}

/// Bytes that are not RESP3, or more of them than any answer of ours has.
#[derive(Debug, PartialEq)]
pub(in crate::store::redis) struct Malformed;

/// Collects what was received until replies are whole.
#[derive(Default)]
pub(in crate::store::redis) struct Reader {
    buffer: BytesMut,
    /// The next byte to be looked at.
    at: usize,
    /// How many items each aggregate around `at` still lacks, the outermost first.
    open: Vec<u64>,
    /// Items of the reply so far.
    items: u64,
    /// How many bytes from `at` on have to be there before it is worth looking again.
    wanted: usize,
}

/// One line of the protocol.
struct ProtocolLine<'a> {
    kind: u8,
    text: &'a [u8],
    /// Its length with its end.
    length: usize,
}

/// What a line says of the bytes after it.
enum Announcement {
    /// Nothing follows that belongs to it.
    Whole,
    /// A text of so many bytes.
    Text(usize),
    /// So many items.
    Items(u64),
}

impl Reader {
    /// Room to read into. What is read is appended.
    pub(in crate::store::redis) fn room(&mut self) -> &mut BytesMut {
        let wanted = (self.at + self.wanted).saturating_sub(self.buffer.len());
        let room = self.buffer.capacity() - self.buffer.len();
        if room < wanted.max(SOCKET_READ_BYTES / 16) {
            // Of a large text as much as is wanted, but a length that somebody claims allocates
            // only a bit more than what has come.
            self.buffer.reserve(wanted.clamp(SOCKET_READ_BYTES, READ_BYTES_AT_ONCE_MAX));
        }
        &mut self.buffer
    }

    /// The next reply or push, once all of it was received.
    pub(in crate::store::redis) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        if self.buffer.len() < self.at + self.wanted || !self.scan()? {
            return Ok(None);
        }
        let frame = self.buffer.split_to(std::mem::take(&mut self.at)).freeze();
        if frame.len() > READ_BYTES_AT_ONCE_MAX {
            // Its memory goes with the reply, and does not stay as room for later ones.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        (self.items, self.wanted) = (0, 0);
        let push = frame.first() == Some(&b'>');
        let mut parser = Parser { frame, at: 0 };
        match parser.reply().ok_or(Malformed)? {
            Reply::Array(items) if push => Ok(Some(Frame::Push(items))),
            reply => Ok(Some(Frame::Reply(reply))),
        }
    }

    /// Goes on to the end of the reply. `false`: more bytes are wanted.
    fn scan(&mut self) -> Result<bool, Malformed> {
        loop {
            let rest = &self.buffer[self.at..];
            let Some(line) = ProtocolLine::of(rest)? else {
                self.wanted = rest.len() + 1;
                return Ok(false);
            };
            let announced = line.announces(self.at == 0)?;
            let mut length = line.length;
            if let Announcement::Text(bytes) = announced {
                length += bytes + 2;
                if rest.len() < length {
                    self.wanted = length;
                    return Ok(false);
                }
                if &rest[length - 2..length] != b"\r\n" {
                    return Err(Malformed);
                }
            }
            self.at += length;
            if self.at > REPLY_BYTES_MAX {
                return Err(Malformed);
            }
            self.count(&announced)?;
            if self.open.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Notes one item, and those that it announces.
    fn count(&mut self, announced: &Announcement) -> Result<(), Malformed> {
        self.items += 1;
        if let Some(missing) = self.open.last_mut() {
            *missing -= 1;
        }
        if let Announcement::Items(items) = announced {
            let announced: u64 = self.open.iter().sum();
            if self.open.len() >= REPLY_DEPTH_MAX || self.items + announced + items > REPLY_ITEMS_MAX {
                return Err(Malformed);
            }
            self.open.push(*items);
        }
        // An aggregate is over with its last item. It was counted as an item when it began.
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        Ok(())
    }
}

impl<'a> ProtocolLine<'a> {
    /// The line at the beginning of `bytes`, if its end is there.
    fn of(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some(kind) = bytes.first() else { return Ok(None) };
        let seen = &bytes[..bytes.len().min(REPLY_LINE_BYTES_MAX)];
        match seen.iter().position(|byte| *byte == b'\n') {
            Some(end) if end >= 2 && bytes[end - 1] == b'\r' => {
                Ok(Some(Self { kind: *kind, text: &bytes[1..end - 1], length: end + 1 }))
            }
            Some(_) => Err(Malformed),
            None if seen.len() == REPLY_LINE_BYTES_MAX => Err(Malformed),
            None if !is_kind(*kind) => Err(Malformed),
            None => Ok(None),
        }
    }

    /// `first`: the line begins a reply or a push.
    fn announces(&self, first: bool) -> Result<Announcement, Malformed> {
        let announced = match self.kind {
            b'+' | b'-' | b':' => Announcement::Whole,
            b'_' if self.text.is_empty() => Announcement::Whole,
            b'#' if matches!(self.text, b"t" | b"f") => Announcement::Whole,
            b',' | b'(' if self.text.iter().all(|byte| b"0123456789+-.eEinfa".contains(byte)) => Announcement::Whole,
            // The null of RESP2, which a server speaks until `HELLO`.
            b'$' | b'*' if self.text == b"-1" => Announcement::Whole,
            b'$' | b'=' | b'!' => Announcement::Text(usize::try_from(self.number()?).map_err(|_| Malformed)?),
            b'*' | b'~' => Announcement::Items(self.number()?),
            b'>' if first => Announcement::Items(self.number()?),
            b'%' => Announcement::Items(self.number()? * 2),
            // What is said of a reply, and then the reply.
            b'|' => Announcement::Items(self.number()? * 2 + 1),
            _ => return Err(Malformed),
        };
        match announced {
            Announcement::Text(bytes) if bytes > REPLY_BULK_BYTES_MAX => Err(Malformed),
            announced => Ok(announced),
        }
    }

    /// A length or a count. Larger ones than any limit are refused here, so sums of a few do not
    /// overflow.
    fn number(&self) -> Result<u64, Malformed> {
        match self.text {
            [] => Err(Malformed),
            digits if digits.len() > 10 => Err(Malformed),
            digits => digits.iter().try_fold(0, |number, digit| match digit {
                b'0'..=b'9' => Ok(number * 10 + u64::from(digit - b'0')),
                _ => Err(Malformed),
            }),
        }
    }
}

fn is_kind(byte: u8) -> bool {
    b"+-:_,#($*=!~>%|".contains(&byte)
}

/// Makes a reply from a frame that was found to be whole.
struct Parser {
    frame: Bytes,
    at: usize,
}

impl Parser {
    /// No deeper than the scan went. `None`: the scan and this disagree, or a number is none.
    fn reply(&mut self) -> Option<Reply> {
        let line = ProtocolLine::of(&self.frame[self.at..]).ok()??;
        let (kind, begin) = (line.kind, self.at + 1);
        let end = begin + line.text.len();
        let number = || line.number().ok();
        let is_null = line.text == b"-1";
        let next = self.at + line.length;
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
                self.at = next;
                Some(match kind {
                    b'+' => Reply::Simple(self.frame.slice(begin..end)),
                    b'-' => Reply::Error(self.frame.slice(begin..end)),
                    b':' => Reply::Integer(std::str::from_utf8(&self.frame[begin..end]).ok()?.parse().ok()?),
                    b'_' => Reply::Null,
                    _ => Reply::Other,
                })
            }
            b'$' | b'*' if is_null => {
                self.at = next;
                Some(Reply::Null)
            }
            b'$' | b'=' | b'!' => {
                let length = usize::try_from(number()?).ok()?;
                self.at = next + length + 2;
                let text = self.frame.slice(next..next + length);
                Some(match kind {
                    b'!' => Reply::Error(text),
                    _ => Reply::Bulk(text),
                })
            }
            b'*' | b'~' | b'>' => {
                let items = number()?;
                self.at = next;
                (0..items).map(|_| self.reply()).collect::<Option<_>>().map(Reply::Array)
            }
            b'%' | b'|' => {
                let items = number()?;
                self.at = next;
                let pairs = (0..items).map(|_| Some((self.reply()?, self.reply()?))).collect::<Option<_>>()?;
                // What an attribute says of the reply after it is of no use here.
                if kind == b'|' { self.reply() } else { Some(Reply::Map(pairs)) }
            }
            _ => None,
        }
    }
}

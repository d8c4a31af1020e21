//! The answers of the scripts, as types. An unexpected answer is an error of kind `Protocol`, never
//! a panic.

use std::time::Duration;

use bytes::Bytes;

use super::connect::Inheritance;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::store::redis::resp::Reply;
use crate::store::{ClockReading, FillReply, LeaseReply, Refusal, Removal, SweepReply, WriteReply};

pub(super) fn value(reply: Reply) -> Result<Option<Bytes>, Error> {
    match reply {
        Reply::Null => Ok(None),
        Reply::Bulk(bytes) => Ok(Some(bytes)),
        _ => Err(unexpected()),
    }
}

pub(super) fn values(reply: Reply, count: usize) -> Result<Vec<Option<Bytes>>, Error> {
    match reply {
        Reply::Array(items) if items.len() == count => items.into_iter().map(value).collect(),
        _ => Err(unexpected()),
    }
}

pub(super) fn lease(reply: Reply) -> Result<LeaseReply, Error> {
    let Reply::Array(mut items) = reply else { return Err(unexpected()) };
    match text(items.first())? {
        "hit" => match items.pop() {
            Some(Reply::Bulk(bytes)) if items.len() == 1 => Ok(LeaseReply::Hit(bytes)),
            _ => Err(unexpected()),
        },
        "granted" => Ok(LeaseReply::Granted(reading(&items[1..])?)),
        "held" => Ok(LeaseReply::Held {
            remaining: Duration::from_millis(integer(items.get(1).ok_or_else(unexpected)?)?),
            clock: reading(&items[2..])?,
        }),
        _ => Err(unexpected()),
    }
}

pub(super) fn clock(reply: &Reply) -> Result<ClockReading, Error> {
    reading(array(reply)?)
}

/// The learned bytes are empty if nothing is known.
fn reading(items: &[Reply]) -> Result<ClockReading, Error> {
    let [incarnation, seq, now_ms, _replaced, learned] = items else { return Err(unexpected()) };
    let Reply::Bulk(learned) = learned else { return Err(unexpected()) };
    Ok(ClockReading {
        incarnation: text(Some(incarnation))?.into(),
        seq: integer(seq)?,
        read_at_ms: integer(now_ms)?,
        read_at: clock::now(),
        learned: (!learned.is_empty()).then(|| Bytes::copy_from_slice(learned)),
    })
}

pub(super) fn fill(reply: &Reply) -> Result<FillReply, Error> {
    let [verdict, _replaced] = array(reply)? else { return Err(unexpected()) };
    self::verdict(verdict)
}

fn verdict(reply: &Reply) -> Result<FillReply, Error> {
    Ok(match text(Some(reply))? {
        "stored" => FillReply::Stored,
        "fenced" => FillReply::Refused(Refusal::Fenced),
        "floor" => FillReply::Refused(Refusal::BelowFloor),
        "incarnation" => FillReply::Refused(Refusal::ForeignIncarnation),
        "old" => FillReply::Refused(Refusal::TooOld),
        "memory" => FillReply::Refused(Refusal::OutOfMemory),
        _ => return Err(unexpected()),
    })
}

pub(super) fn written(reply: &Reply) -> Result<WriteReply, Error> {
    let [verdict, drained @ ..] = array(reply)? else { return Err(unexpected()) };
    Ok(WriteReply { fill: self::verdict(verdict)?, drained: removal(drained)? })
}

pub(super) fn drained(reply: &Reply) -> Result<Removal, Error> {
    removal(array(reply)?)
}

/// A prefix that is no text is of keys that are not ours.
fn removal(items: &[Reply]) -> Result<Removal, Error> {
    let [removed, pending, _seq, lost, _replaced] = items else { return Err(unexpected()) };
    let [removed, by_prefix @ ..] = array(removed)? else { return Err(unexpected()) };
    let (pairs, rest) = by_prefix.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(unexpected());
    }
    let counted = |[prefix, count]: &[Reply; 2]| Some((text(Some(prefix)).ok()?.into(), integer(count).ok()?));
    let by_prefix = pairs.iter().filter_map(counted).collect();
    Ok(Removal { removed: integer(removed)?, by_prefix, pending: integer(pending)?, lost: integer(lost)? })
}

pub(super) fn sweep(reply: &Reply) -> Result<SweepReply, Error> {
    let [cursor, drained @ ..] = array(reply)? else { return Err(unexpected()) };
    let cursor: u64 = text(Some(cursor))?.parse().map_err(|_| unexpected())?;
    Ok(SweepReply { next: (cursor != 0).then_some(cursor), drained: removal(drained)? })
}

/// The sequence number after an invalidation or a write.
pub(super) fn seq(reply: &Reply) -> Result<u64, Error> {
    match array(reply)? {
        [.., seq, _lost, _replaced] => integer(seq),
        _ => Err(unexpected()),
    }
}

/// The kinds of bookkeeping keys that another program had overwritten, after an invalidation, a
/// write or a fill.
pub(super) fn replaced(reply: &Reply) -> Result<&str, Error> {
    text(array(reply)?.last())
}

/// The same after a reading of the clock or a request for a lease.
pub(super) fn replaced_before_reading(reply: &Reply) -> &str {
    match reply {
        Reply::Array(items) => match &items[..] {
            [.., _, _, _, replaced, _] => text(Some(replaced)).unwrap_or_default(),
            _ => "",
        },
        _ => "",
    }
}

pub(super) fn inheritance(reply: &Reply) -> Result<Inheritance, Error> {
    match text(Some(reply))? {
        "whole" => Ok(Inheritance::Whole),
        "lost" => Ok(Inheritance::Lost),
        _ => Err(unexpected()),
    }
}

/// What is left on record after one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRecord {
    /// Some of the work is due.
    Due,
    /// No work is due yet, or another process is reaping.
    Later,
    Nothing,
}

pub(super) fn on_record(reply: &Reply) -> Result<OnRecord, Error> {
    match text(Some(reply))? {
        "more" => Ok(OnRecord::Due),
        "later" => Ok(OnRecord::Later),
        "nothing" => Ok(OnRecord::Nothing),
        _ => Err(unexpected()),
    }
}

/// A count or a time; below zero (a lease that just ended has no remaining time) it is zero.
pub(super) fn integer(reply: &Reply) -> Result<u64, Error> {
    match reply {
        Reply::Integer(number) => Ok(u64::try_from(*number).unwrap_or(0)),
        _ => Err(unexpected()),
    }
}

fn array(reply: &Reply) -> Result<&[Reply], Error> {
    match reply {
        Reply::Array(items) => Ok(items),
        _ => Err(unexpected()),
    }
}

fn text(reply: Option<&Reply>) -> Result<&str, Error> {
    reply.and_then(Reply::text).ok_or_else(unexpected)
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Protocol, "the store answered something unexpected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn nonsense_is_a_protocol_error() {
        let nonsense = [
            Reply::Null,
            Reply::Simple(Bytes::from_static(b"OK")),
            Reply::Integer(-1),
            bulk("?"),
            Reply::Array(vec![]),
            Reply::Array(vec![bulk("hit")]),
            Reply::Array(vec![bulk("granted"), bulk("x")]),
            Reply::Array(vec![bulk("held")]),
            Reply::Array(vec![bulk("held"), Reply::Integer(1), bulk("x"), Reply::Integer(1), Reply::Integer(1)]),
            Reply::Array(vec![bulk("granted"), bulk("x"), Reply::Integer(1), Reply::Integer(1), Reply::Null]),
            Reply::Array(vec![Reply::Integer(1), Reply::Null, bulk("x")]),
        ];
        for reply in nonsense {
            let kinds = [
                lease(reply.clone()).map(|_| ()),
                clock(&reply).map(|_| ()),
                values(reply.clone(), 9).map(|_| ()),
                fill(&reply).map(|_| ()),
                written(&reply).map(|_| ()),
                drained(&reply).map(|_| ()),
                sweep(&reply).map(|_| ()),
                on_record(&reply).map(|_| ()),
                inheritance(&reply).map(|_| ()),
            ];
            for kind in kinds {
                assert_eq!(kind.unwrap_err().kind(), ErrorKind::Protocol);
            }
        }
    }
}

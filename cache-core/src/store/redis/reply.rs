//! The answers of the scripts, as types. An unexpected answer is an error of kind `Protocol`, never
//! a panic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connect::Inheritance;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::store::redis::resp::Reply;
use crate::store::{
    CataloguePage, ClockReading, Encounter, FillReply, HomeReading, KeyFacts, LeaseFacts, LeaseReply, MetMark,
    NameFacts, Refusal, Removal, Sight, StoppingPlace, TrailPage, UnvisitedName, VisitReply,
};

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
    if let Reply::Array(items) = reply {
        let Ok([Reply::Bulk(value)]) = <[Reply; 1]>::try_from(items) else { return Err(unexpected()) };
        return Ok(LeaseReply::Hit(value));
    }
    let (line, learned) = lines(&reply)?;
    match line.split_once(' ') {
        Some(("granted", line)) => Ok(LeaseReply::Granted(reading(line, learned)?)),
        Some(("held", line)) => {
            let (remaining_ms, line) = line.split_once(' ').ok_or_else(unexpected)?;
            let remaining = Duration::from_millis(number(remaining_ms)?);
            Ok(LeaseReply::Held { remaining, clock: reading(line, learned)? })
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn clock(reply: &Reply) -> Result<ClockReading, Error> {
    let (line, learned) = lines(reply)?;
    reading(line, learned)
}

/// A line of words, and what earlier fills taught: any bytes, none if nothing is known.
fn lines(reply: &Reply) -> Result<(&str, &[u8]), Error> {
    let Reply::Bulk(bytes) = reply else { return Err(unexpected()) };
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(unexpected)?;
    let line = str::from_utf8(&bytes[..end]).map_err(|_| unexpected())?;
    Ok((line, &bytes[end + 1..]))
}

/// See `reading.lua`.
fn reading(line: &str, learned: &[u8]) -> Result<ClockReading, Error> {
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or_else(unexpected);
    Ok(ClockReading {
        incarnation: word()?.into(),
        seq: number(word()?)?,
        read_at_ms: number(word()?)?,
        read_at: clock::now(),
        learned: (!learned.is_empty()).then(|| Bytes::copy_from_slice(learned)),
        homes: None,
    })
}

/// A sequence number is written as the server writes scores: Valkey writes one that ends in many
/// zeros with an exponent.
pub(super) fn number(text: &str) -> Result<u64, Error> {
    text.parse().or_else(|_| match text.parse::<f64>() {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole, and at most 2^53
        Ok(score) if score.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&score) => Ok(score as u64),
        _ => Err(unexpected()),
    })
}

pub(super) fn fill(reply: &Reply) -> Result<FillReply, Error> {
    verdict(text(Some(reply))?.split(' ').next())
}

fn verdict(text: Option<&str>) -> Result<FillReply, Error> {
    Ok(match text {
        Some("stored") => FillReply::Stored,
        Some("fenced") => FillReply::Refused(Refusal::Fenced),
        Some("closed") => FillReply::Refused(Refusal::Closed),
        Some("floor") => FillReply::Refused(Refusal::BelowFloor),
        Some("incarnation" | "home") => FillReply::Refused(Refusal::ForeignIncarnation),
        Some("old") => FillReply::Refused(Refusal::TooOld),
        Some("memory") => FillReply::Refused(Refusal::OutOfMemory),
        _ => return Err(unexpected()),
    })
}

pub(super) fn written(reply: &Reply) -> Result<(FillReply, VisitReply), Error> {
    let [verdict, ..] = array(reply)? else { return Err(unexpected()) };
    Ok((self::verdict(verdict.text())?, visited(reply)?))
}

/// Whether nothing was closed, because too much is.
pub(super) fn is_full(reply: &Reply) -> bool {
    text(Some(reply)).is_ok_and(|text| text == "full")
}

/// What a script that invalidates has done: { removed, left, seq, lost, replaced }, and what it has
/// met, if there are other partitions. The verdict of a write, or the cursor of a page, stands
/// before it.
fn work(reply: &Reply) -> Result<(&[Reply; 5], &[Reply]), Error> {
    let work = match array(reply)? {
        work @ [Reply::Array(_), ..] => work,
        [_, work @ ..] => work,
        [] => return Err(unexpected()),
    };
    work.split_first_chunk().ok_or_else(unexpected)
}

/// A prefix that is no text is of keys that are not ours.
pub(super) fn visited(reply: &Reply) -> Result<VisitReply, Error> {
    let ([removed, left, seq, lost, _replaced], met) = work(reply)?;
    let [removed, by_prefix @ ..] = array(removed)? else { return Err(unexpected()) };
    let (pairs, rest) = by_prefix.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(unexpected());
    }
    let counted = |[prefix, count]: &[Reply; 2]| Some((text(Some(prefix)).ok()?.into(), integer(count).ok()?));
    let by_prefix = pairs.iter().filter_map(counted).collect();
    let removal = Removal { removed: integer(removed)?, by_prefix, pending: 0, lost: integer(lost)? };
    let (left, rest) = array(left)?.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(unexpected());
    }
    let left = left.iter().map(unvisited).collect::<Result<_, _>>()?;
    let encounter = if met.is_empty() { None } else { Some(Box::new(encounter(integer(seq)?, met)?)) };
    Ok(VisitReply { removal, left, encounter })
}

/// What `encounter.lua` adds.
fn encounter(seq: u64, items: &[Reply]) -> Result<Encounter, Error> {
    let [incarnation, is_complete, drained, met, kept, fenced] = items else { return Err(unexpected()) };
    let name = |reply: &Reply| Name::parse(text(Some(reply))?).ok_or_else(unexpected);
    let names = |reply| array(reply)?.iter().map(name).collect::<Result<Vec<_>, _>>();
    let (marks, rest) = array(met)?.as_chunks::<3>();
    if !rest.is_empty() {
        return Err(unexpected());
    }
    let mark = |[of, mark, stamp]: &[Reply; 3]| {
        let number = text(Some(mark))?.strip_prefix('~').and_then(|number| number.parse().ok());
        let stamp = text(Some(stamp))?.parse().map_err(|_| unexpected())?;
        Ok(MetMark { name: name(of)?, of: number.ok_or_else(unexpected)?, stamp })
    };
    let (fences, _) = array(fenced)?.as_chunks::<2>();
    let fence = |[fenced, seq]: &[Reply; 2]| Ok((name(fenced)?, text(Some(seq))?.parse().map_err(|_| unexpected())?));
    Ok(Encounter {
        reading: HomeReading { incarnation: text(Some(incarnation))?.into(), seq },
        is_complete: integer(is_complete)? == 1,
        drained: names(drained)?,
        met: marks.iter().map(mark).collect::<Result<_, Error>>()?,
        fenced: fences.iter().map(fence).collect::<Result<_, Error>>()?,
        kept: names(kept)?,
    })
}

fn unvisited([name, after, spares_entry, is_reached]: &[Reply; 4]) -> Result<UnvisitedName, Error> {
    let after = match text(Some(after))? {
        "" => None,
        place => Some(StoppingPlace(place.into())),
    };
    let name = Name::parse(text(Some(name))?).ok_or_else(unexpected)?;
    let [spares_entry, is_reached] = [integer(spares_entry)? == 1, integer(is_reached)? == 1];
    Ok(UnvisitedName { name, after, spares_entry, is_reached })
}

/// A page of a walk.
pub(super) struct SweptPage {
    /// Where the walk goes on.
    pub(super) next: Option<u64>,
    pub(super) incarnation: Arc<str>,
    pub(super) visited: VisitReply,
}

pub(super) fn page(reply: &Reply) -> Result<SweptPage, Error> {
    let [place, ..] = array(reply)? else { return Err(unexpected()) };
    let (cursor, incarnation) = text(Some(place))?.split_once(' ').ok_or_else(unexpected)?;
    let cursor: u64 = cursor.parse().map_err(|_| unexpected())?;
    Ok(SweptPage { next: (cursor != 0).then_some(cursor), incarnation: incarnation.into(), visited: visited(reply)? })
}

/// Words and numbers, as texts.
pub(super) fn words(reply: &Reply) -> Result<Vec<String>, Error> {
    let word =
        |item: &Reply| integer(item).map(|number| number.to_string()).or_else(|_| text(Some(item)).map(str::to_owned));
    array(reply)?.iter().map(word).collect()
}

/// Whether a home has registered names, and what its clock shows.
pub(super) fn registered(reply: &Reply) -> Result<(Result<(), Refusal>, HomeReading), Error> {
    let [verdict, incarnation, seq, _] = array(reply)? else { return Err(unexpected()) };
    let reading = HomeReading { incarnation: text(Some(incarnation))?.into(), seq: integer(seq)? };
    let verdict = match text(Some(verdict))? {
        "registered" => Ok(()),
        _ => match self::verdict(verdict.text())? {
            FillReply::Refused(refusal) => Err(refusal),
            FillReply::Stored => return Err(unexpected()),
        },
    };
    Ok((verdict, reading))
}

/// The kinds of bookkeeping keys that a registration has replaced.
pub(super) fn replaced_by_registration(reply: &Reply) -> &str {
    let last = if let Reply::Array(items) = reply { items.last() } else { None };
    last.and_then(Reply::text).unwrap_or_default()
}

/// The answer to `SCAN`; `name` reads a physical key.
pub(super) fn catalogue<'a>(
    reply: &'a Reply,
    name: impl Fn(&'a [u8]) -> Option<&'a str>,
) -> Result<CataloguePage, Error> {
    let [cursor, found] = array(reply)? else { return Err(unexpected()) };
    let cursor: u64 = text(Some(cursor))?.parse().map_err(|_| unexpected())?;
    // A key that is no text is none of ours.
    let names = array(found)?.iter().filter_map(|key| name(key.text()?.as_bytes()).map(Box::from));
    Ok(CataloguePage { names: names.collect(), next: (cursor != 0).then_some(cursor) })
}

/// See `preview.lua`.
pub(super) fn sight(reply: &Reply) -> Result<Sight, Error> {
    let [falling, leads, place, from, lost] = array(reply)? else { return Err(unexpected()) };
    let (pairs, rest) = array(falling)?.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(unexpected());
    }
    // A key or a name that is no text is none of ours.
    let falls = |[key, place]: &[Reply; 2]| Some((text(Some(key)).ok()?.into(), count(place).ok()?));
    let next = match place {
        Reply::Integer(-1) => None,
        place => Some((count(place)?, number(text(Some(from))?)?)),
    };
    Ok(Sight {
        falling: pairs.iter().filter_map(falls).collect(),
        leads: array(leads)?.iter().filter_map(|name| Name::parse(name.text()?)).collect(),
        next,
        has_lost: integer(lost)? > 0,
    })
}

/// See `followed.lua`.
pub(super) fn trail(reply: &Reply) -> Result<TrailPage, Error> {
    let [incarnation, seq, floor, more, names @ ..] = array(reply)? else { return Err(unexpected()) };
    let (incarnation, seq) = (text(Some(incarnation))?.into(), number(text(Some(seq))?)?);
    let parsed: Vec<Name> = names.iter().filter_map(|name| Name::parse(name.text()?)).collect();
    // A name that cannot be read is one that is not told.
    let has_more = integer(more)? > 0 || parsed.len() < names.len();
    Ok(TrailPage { incarnation, seq, floor: number(text(Some(floor))?)?, names: parsed, has_more })
}

/// See `explain.lua`.
pub(super) fn facts(reply: &Reply) -> Result<KeyFacts, Error> {
    let [
        now_ms,
        head,
        kept_ms,
        incarnation,
        floor,
        names,
        entry_names,
        dependents,
        first_dependents,
        lease,
        lease_ends,
        learned,
    ] = array(reply)?
    else {
        return Err(unexpected());
    };
    let (now_ms, floor) = (integer(now_ms)?, number(text(Some(floor))?)?);
    let names = array(names)?.as_chunks::<3>().0.iter().filter_map(|facts| name_facts(facts).transpose());
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let own = names.first().ok_or_else(unexpected)?;
    // A key that is no text is of none of ours.
    let dependent = |[key, there]: &[Reply; 2]| Some((text(Some(key)).ok()?.into(), integer(there).ok()? > 0));
    Ok(KeyFacts {
        physical_key: None,
        now_ms,
        head: value(head.clone())?.filter(|head| !head.is_empty()),
        kept_ms: integer(kept_ms)?,
        floor,
        unanswered_partitions: 0,
        lease: lease_facts(lease, text(Some(incarnation))?, floor, own, now_ms, integer(lease_ends)?),
        entry_names: integer(entry_names)?,
        dependents: integer(dependents)?,
        first_dependents: array(first_dependents)?.as_chunks::<2>().0.iter().filter_map(dependent).collect(),
        learned: value(learned.clone())?.filter(|learned| !learned.is_empty()),
        names,
    })
}

/// `None`: it is none of our names.
fn name_facts([name, fence, marks]: &[Reply; 3]) -> Result<Option<NameFacts>, Error> {
    let Some(name) = name.text().and_then(Name::parse) else { return Ok(None) };
    let fence = match fence {
        Reply::Null => None,
        fence => Some(number(text(Some(fence))?)?),
    };
    Ok(Some(NameFacts { name, fence, marks: number(text(Some(marks))?)? }))
}

/// `None`: nobody has the lease, or something else lies there. See `grant.lua`.
fn lease_facts(
    lease: &Reply,
    incarnation: &str,
    floor: u64,
    own: &NameFacts,
    now_ms: u64,
    remaining_ms: u64,
) -> Option<LeaseFacts> {
    let mut words = lease.text()?.split(' ').skip(1);
    let of = words.next()?;
    let mut next = || number(words.next()?).ok();
    let (seq, since_ms, takeovers) = (next()?, next()?, next()?);
    let is_overtaken = of != incarnation || seq < floor || own.marks > 0 || own.fence.is_some_and(|fence| fence > seq);
    Some(LeaseFacts { remaining_ms, held_ms: now_ms.saturating_sub(since_ms), takeovers, is_overtaken })
}

fn count(reply: &Reply) -> Result<usize, Error> {
    usize::try_from(integer(reply)?).map_err(|_| unexpected())
}

/// The sequence number after an invalidation or a write.
pub(super) fn seq(reply: &Reply) -> Result<u64, Error> {
    if let Reply::Integer(seq) = reply {
        return Ok(seq.unsigned_abs());
    }
    let ([_removed, _left, seq, _lost, _replaced], _) = work(reply)?;
    integer(seq)
}

/// The kinds of bookkeeping keys that another program had overwritten, after an invalidation or a
/// write.
pub(super) fn replaced(reply: &Reply) -> Result<&str, Error> {
    if let Reply::Integer(_) = reply {
        return Ok("");
    }
    let ([_removed, _left, _seq, _lost, replaced], _) = work(reply)?;
    text(Some(replaced))
}

/// The same after a fill.
pub(super) fn replaced_by_fill(reply: &Reply) -> &str {
    reply.text().and_then(|text| text.split_once(' ')).map_or("", |(_, replaced)| replaced)
}

/// The same after a reading of the clock or a request for a lease.
pub(super) fn replaced_before_reading(reply: &Reply) -> &str {
    let Ok((line, _)) = lines(reply) else { return "" };
    let words = match line.split(' ').next() {
        Some("granted") => 4,
        Some("held") => 5,
        _ => 3,
    };
    line.splitn(words + 1, ' ').nth(words).unwrap_or_default()
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

/// With the names, in a partition, that have marks to be reaped.
pub(super) fn on_record(reply: &Reply) -> Result<(OnRecord, Vec<String>), Error> {
    let (on_record, marked) = match reply {
        Reply::Array(items) => (items.first(), items.get(1..).unwrap_or_default()),
        reply => (Some(reply), &[][..]),
    };
    let on_record = match text(on_record)? {
        "more" => OnRecord::Due,
        "later" => OnRecord::Later,
        "nothing" => OnRecord::Nothing,
        _ => return Err(unexpected()),
    };
    Ok((on_record, marked.iter().map(|name| text(Some(name)).map(str::to_owned)).collect::<Result<_, _>>()?))
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

pub(super) fn unexpected() -> Error {
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
            Reply::Array(vec![Reply::Null]),
            Reply::Array(vec![bulk("hit"), bulk("x")]),
            bulk("granted x 1 1"),
            bulk("granted x 1\n"),
            bulk("granted x -1 1\n"),
            bulk("granted x 1.5 1\n"),
            bulk("held x 1 1\n"),
            bulk("held 1 x 1 1e300\n"),
            bulk("\n"),
            Reply::Array(vec![Reply::Integer(1), Reply::Null, bulk("x")]),
        ];
        for reply in nonsense {
            let kinds = [
                lease(reply.clone()).map(|_| ()),
                clock(&reply).map(|_| ()),
                values(reply.clone(), 9).map(|_| ()),
                fill(&reply).map(|_| ()),
                written(&reply).map(|_| ()),
                visited(&reply).map(|_| ()),
                page(&reply).map(|_| ()),
                sight(&reply).map(|_| ()),
                catalogue(&reply, |_| None).map(|_| ()),
                facts(&reply).map(|_| ()),
                on_record(&reply).map(|_| ()),
                inheritance(&reply).map(|_| ()),
            ];
            for kind in kinds {
                assert_eq!(kind.unwrap_err().kind(), ErrorKind::Protocol);
            }
        }
    }

    #[test]
    fn a_reading_has_what_the_script_wrote() {
        let of = |text: &str| clock(&bulk(text)).unwrap();
        let read = of("ab-1 1764192734123456 1764192734123\n");
        assert_eq!(
            (&*read.incarnation, read.seq, read.read_at_ms, read.learned),
            ("ab-1", 1_764_192_734_123_456, 1_764_192_734_123, None)
        );
        assert_eq!(of("ab-1 1.764192e+15 1\n").seq, 1_764_192_000_000_000);
        assert_eq!(of("ab-1 1 1 clock\n\nany bytes").learned.as_deref(), Some(&b"\nany bytes"[..]));
        for (text, expected) in [
            ("ab-1 1 1\nx", ""),
            ("ab-1 1 1 clock\nx", "clock"),
            ("granted ab-1 1 1\n", ""),
            ("granted ab-1 1 1 clock due\n", "clock due"),
            ("held 9 ab-1 1 1 clock\n", "clock"),
        ] {
            assert_eq!(replaced_before_reading(&bulk(text)), expected, "{text}");
        }
        assert_eq!((replaced_by_fill(&bulk("stored")), replaced_by_fill(&bulk("floor clock due"))), ("", "clock due"));
    }
}

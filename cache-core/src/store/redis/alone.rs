//! What reads the words of a server, by itself, without a connection: for whoever throws bytes at
//! it.

use bytes::BufMut;

use super::connect::understood;
use super::reply;
use super::resp::{Frame, Reader, Reply};

/// The kinds of what comes out of these bytes, received in pieces of so many. `None`: they are no
/// RESP3.
pub fn frames(bytes: &[u8], piece: usize) -> Option<Vec<String>> {
    Some(read(bytes, piece)?.iter().map(|frame| format!("{frame:?}")).collect())
}

/// What each reply among these bytes is taken for where a script has to answer, and where a node of
/// a cluster has to. `None`: they are no RESP3.
pub fn answers(bytes: &[u8]) -> Option<Vec<String>> {
    let frames = read(bytes, bytes.len())?;
    let replies = frames.iter().filter_map(|frame| if let Frame::Reply(reply) = frame { Some(reply) } else { None });
    Some(replies.map(|reply| format!("{} {}", scripts(reply).concat(), understood(reply))).collect())
}

fn read(bytes: &[u8], piece: usize) -> Option<Vec<Frame>> {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.room().put_slice(piece);
        while let Some(frame) = reader.next().ok()? {
            frames.push(frame);
        }
    }
    Some(frames)
}

/// The answers that a reply can be.
fn scripts(reply: &Reply) -> [&'static str; 14] {
    let replaced = [
        reply::replaced_by_fill(reply),
        reply::replaced_before_reading(reply),
        reply::replaced_by_registration(reply),
        reply::replaced(reply).unwrap_or_default(),
    ];
    let is = |name, is_one| if is_one { name } else { "" };
    [
        is("replaced ", !replaced.concat().is_empty()),
        is("values ", reply::values(reply.clone(), 2).is_ok()),
        is("lease ", reply::lease(reply.clone()).is_ok()),
        is("clock ", reply::clock(reply).is_ok()),
        is("fill ", reply::fill(reply).is_ok()),
        is("written ", reply::written(reply).is_ok()),
        is("visited ", reply::visited(reply).is_ok() && reply::seq(reply).is_ok()),
        is("page ", reply::page(reply).is_ok()),
        is("registered ", reply::registered(reply).is_ok()),
        is("catalogue ", reply::catalogue(reply, |name| str::from_utf8(name).ok()).is_ok()),
        is("sight ", reply::sight(reply).is_ok()),
        is("trail ", reply::trail(reply).is_ok()),
        is("facts ", reply::facts(reply).is_ok()),
        is("record ", reply::on_record(reply).is_ok() || reply::inheritance(reply).is_ok()),
    ]
}

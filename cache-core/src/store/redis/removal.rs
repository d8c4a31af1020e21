//! Invalidations: each chunk or page is one script.

use std::borrow::Cow;

use super::reply::SweptPage;
use super::resp::Reply;
use super::scripts::{self, Script};
use super::{RedisStore, closing_text, reply};
use crate::clock::{Instant, millis};
use crate::config::{CLOSED_NAMES_MAX, SWEEP_KEYS_PER_PAGE};
use crate::error::Error;
use crate::name::{Name, prefix_of};
use crate::store::{Chunk, ClosingId, Intent, Removal, SweepScope, VisitReply, too_many_closed};

impl RedisStore {
    /// One chunk or page: the clock's connection, root and retention, then `rest`.
    pub(super) async fn run_invalidation(
        &self,
        script: &'static Script,
        rest: &[&[u8]],
        until: Instant,
    ) -> Result<Reply, Error> {
        let declared = self.layout.declared();
        let retention = millis(self.fence_retention).to_string();
        let mut args: Vec<&[u8]> = vec![self.layout.root().as_bytes(), retention.as_bytes()];
        args.extend_from_slice(rest);
        let reply = self.pool.run(script, self.layout.stripe(&declared), &[&declared], &args, until).await?;
        if reply::is_full(&reply) {
            return Err(too_many_closed());
        }
        self.heed(&reply)?;
        Ok(reply)
    }

    /// One chunk, by a script that takes `last` behind the names.
    async fn invalidate_by(
        &self,
        script: &'static Script,
        chunk: &Chunk<'_>,
        last: &[&[u8]],
        until: Instant,
    ) -> Result<VisitReply, Error> {
        let goes_on = going_on(chunk);
        let names = chunk.names.iter().map(|name| name.as_str().as_bytes());
        let rest: Vec<&[u8]> = [goes_on.as_bytes()].into_iter().chain(names).chain(last.iter().copied()).collect();
        let reply = self.run_invalidation(script, &rest, until).await?;
        let visited = match (&reply, &*chunk.names) {
            (Reply::Integer(seq), [key]) => fallen_alone(*seq, key.text()),
            _ => reply::visited(&reply)?,
        };
        self.wake_reaper();
        Ok(visited)
    }

    /// One chunk of an operation.
    pub(super) async fn chunk(&self, chunk: &Chunk<'_>, until: Instant) -> Result<VisitReply, Error> {
        match chunk.intent {
            Intent::Invalidate => self.invalidate_by(&scripts::INVALIDATE, chunk, &[], until).await,
            Intent::Close { by, lasts } => {
                let (lasts_ms, marks_max) = (millis(lasts).max(1).to_string(), CLOSED_NAMES_MAX.to_string());
                let by = closing_text(by);
                let last = [&by, &lasts_ms, &marks_max].map(|text| text.as_bytes());
                self.invalidate_by(&scripts::CLOSE, chunk, &last, until).await
            }
            Intent::Open { by } => {
                self.invalidate_by(&scripts::OPEN, chunk, &[closing_text(by).as_bytes()], until).await
            }
        }
    }

    /// One page of a walk, and where that goes on.
    pub(super) async fn page(
        &self,
        pattern: &str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> Result<SweptPage, Error> {
        let (walked, glob) = self.walk(pattern, scope);
        let (cursor, count) = (cursor.to_string(), SWEEP_KEYS_PER_PAGE.to_string());
        let rest = [walked, &glob, &cursor, &count].map(str::as_bytes);
        reply::page(&self.run_invalidation(&scripts::SWEEP, &rest, until).await?)
    }

    /// Removes what a write does not replace.
    pub(super) async fn remove(
        &self,
        key: &str,
        opens: Option<ClosingId>,
        until: Instant,
    ) -> Result<VisitReply, Error> {
        let intent = opens.map_or(Intent::Invalidate, |by| Intent::Open { by });
        let names = [Name::key(key)?];
        self.chunk(&Chunk::of_given(0, Cow::Borrowed(&names), intent), until).await
    }

    /// Takes note of what the reply to an invalidation or a write says beside its outcome.
    pub(super) fn heed(&self, reply: &Reply) -> Result<(), Error> {
        self.losses.saw(reply::seq(reply)?);
        self.losses.note_replaced(reply::replaced(reply)?);
        Ok(())
    }
}

/// What an invalidation has done of one key that fell alone: see `invalidate_key.lua`.
fn fallen_alone(seq: i64, key: &str) -> VisitReply {
    let by_prefix = if seq > 0 { vec![(prefix_of(key).into(), 1)] } else { Vec::new() };
    let removal = Removal { removed: u64::from(seq > 0), by_prefix, pending: 0, lost: 0 };
    VisitReply { removal, left: Vec::new(), encounter: None }
}

/// How a script goes on with what another has left: see `invalidate_key.lua`.
fn going_on(chunk: &Chunk<'_>) -> String {
    if chunk.after.is_none() && !chunk.spares_entries && chunk.effort == 0 {
        return String::new();
    }
    let after = chunk.after.as_ref().map_or("", |place| &*place.0);
    format!("{} {} {after}", chunk.effort, u8::from(chunk.spares_entries))
}

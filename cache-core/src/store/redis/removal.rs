//! Invalidations: each chunk or page is one script.

use std::time::Duration;

use super::resp::Reply;
use super::scripts::{self, Script};
use super::{RedisStore, StripeKey, closing_text, reply};
use crate::clock::{Instant, millis};
use crate::config::CLOSED_NAMES_MAX;
use crate::error::Error;
use crate::name::Name;
use crate::store::{ClosingId, Intent, Removal, too_many_closed};

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
        let reply = self.pool.run(script, StripeKey::new(&declared), &[&declared], &args, until).await?;
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
        names: &[Name],
        last: &[&[u8]],
        until: Instant,
    ) -> Result<Removal, Error> {
        let names = names.iter().map(|name| name.as_str().as_bytes());
        let rest: Vec<&[u8]> = names.chain(last.iter().copied()).collect();
        let drained = reply::drained(&self.run_invalidation(script, &rest, until).await?)?;
        self.wake_reaper();
        Ok(drained)
    }

    /// One chunk of an operation.
    pub(super) async fn chunk(&self, names: &[Name], intent: Intent, until: Instant) -> Result<Removal, Error> {
        match intent {
            Intent::Invalidate => self.invalidate_by(&scripts::INVALIDATE, names, &[], until).await,
            Intent::Close { by, lasts } => self.close_names(names, by, lasts, until).await,
            Intent::Open { by } => {
                self.invalidate_by(&scripts::OPEN, names, &[closing_text(by).as_bytes()], until).await
            }
        }
    }

    /// Removes what a write does not replace.
    pub(super) async fn remove(&self, key: &str, opens: Option<ClosingId>, until: Instant) -> Result<Removal, Error> {
        self.chunk(&[Name::key(key)?], opens.map_or(Intent::Invalidate, |by| Intent::Open { by }), until).await
    }

    /// Takes note of what the reply to an invalidation or a write says beside its outcome.
    pub(super) fn heed(&self, reply: &Reply) -> Result<(), Error> {
        self.losses.saw(reply::seq(reply)?);
        self.losses.note_replaced(reply::replaced(reply)?);
        Ok(())
    }

    async fn close_names(
        &self,
        names: &[Name],
        by: ClosingId,
        lasts: Duration,
        until: Instant,
    ) -> Result<Removal, Error> {
        let (lasts_ms, marks_max) = (millis(lasts).max(1).to_string(), CLOSED_NAMES_MAX.to_string());
        let by = closing_text(by);
        let last = [&by, &lasts_ms, &marks_max].map(|text| text.as_bytes());
        self.invalidate_by(&scripts::CLOSE, names, &last, until).await
    }
}

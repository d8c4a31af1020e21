//! Fills and writes: each is one script, after others for a large value and for many names.

use std::time::Duration;

use super::resp::{Command, Reply};
use super::scripts::{self, Script};
use super::{RedisStore, closing_text, reply, token_text};
use crate::clock::{Instant, millis};
use crate::config::{FILL_NAMES_PER_STEP, LEARNED_TTL_MAX, STAGED_BYTES_MIN};
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::store::{ClosingId, Fill, FillReply, Refusal, Store, VisitReply};

/// How long a staged value may wait for the script that puts it in its place.
const STAGING_TTL: Duration = Duration::from_secs(10);

/// What one script of a fill or a write does.
#[derive(Clone, Copy)]
enum FillStep {
    /// Registers a slice of many names.
    Register,
    /// Stores the value, and registers the names after those that are registered already.
    Store { registered: usize, is_staged: bool },
}

impl RedisStore {
    /// Runs `fill.lua` or `write.lua`. Before it, a large value is staged and many names are
    /// registered, in round trips of their own. The last script checks every fence and puts the
    /// value in its place. It is given `last` behind the names. `homes`: where the load has
    /// registered its names, each as the home's mark in the clock (see `partitions.lua`).
    pub(super) async fn run_fill(
        &self,
        script: &'static Script,
        fill: &Fill<'_>,
        homes: &[String],
        last: &[&[u8]],
        until: Instant,
    ) -> Result<Reply, Error> {
        self.large.note(fill.key, fill.value.len());
        let is_staged = fill.value.len() >= STAGED_BYTES_MIN;
        if is_staged {
            let (staging, ttl) = (self.layout.staging(fill.token), millis(STAGING_TTL));
            let set = Command::new("SET").arg(&staging).arg(&fill.value).arg("PX").number(ttl);
            self.pool.command(self.stripe(fill.key), set, until).await?;
        }
        let mut registered = 0;
        while fill.names.len() - registered > FILL_NAMES_PER_STEP {
            let slice = &fill.names[registered..registered + FILL_NAMES_PER_STEP];
            let last = self.told_of(&[]);
            let last: Vec<&[u8]> = last.iter().map(String::as_bytes).collect();
            let reply = self.run_fill_step(&scripts::FILL, FillStep::Register, fill, slice, &last, until).await?;
            self.losses.note_replaced(reply::replaced_by_fill(&reply));
            if reply::fill(&reply)? != FillReply::Stored {
                break; // a fence, or age: the last step finds the same, and gives the lease back
            }
            registered += FILL_NAMES_PER_STEP;
        }
        let told = self.told_of(homes);
        let last: Vec<&[u8]> = told.iter().map(String::as_bytes).chain(last.iter().copied()).collect();
        self.run_fill_step(script, FillStep::Store { registered, is_staged }, fill, fill.names, &last, until).await
    }

    /// What the script of a partition is told of homes.
    fn told_of(&self, homes: &[String]) -> Vec<String> {
        if !self.layout.is_in_slot() {
            return Vec::new();
        }
        homes.iter().cloned().chain([homes.len().to_string()]).collect()
    }

    /// A fill, by a load that has registered its names at these homes.
    pub(super) async fn fill_from(&self, fill: Fill<'_>, homes: &[String], until: Instant) -> Result<FillReply, Error> {
        if self.is_too_old(fill.clock) {
            return Ok(self.refuse(&fill, Refusal::TooOld, until).await);
        }
        let reply = self.run_fill(&scripts::FILL, &fill, homes, &[], until).await?;
        self.losses.note_replaced(reply::replaced_by_fill(&reply));
        self.wake_reaper();
        reply::fill(&reply)
    }

    /// Gives back the lease of a fill that is not sent. One that cannot be given back ends by
    /// itself.
    pub(super) async fn refuse(&self, fill: &Fill<'_>, refusal: Refusal, until: Instant) -> FillReply {
        let _ = self.release_lease(fill.key, fill.token, until).await;
        FillReply::Refused(refusal)
    }

    /// A write, likewise: whether the value was stored, and what was removed.
    pub(super) async fn write_from(
        &self,
        fill: Fill<'_>,
        homes: &[String],
        opens: Option<ClosingId>,
        until: Instant,
    ) -> Result<(FillReply, VisitReply), Error> {
        if self.is_too_old(fill.clock) {
            return Ok((FillReply::Refused(Refusal::TooOld), self.remove(fill.key, opens, until).await?));
        }
        let by = opens.map_or_else(String::new, closing_text);
        let written = match self.run_fill(&scripts::WRITE, &fill, homes, &[by.as_bytes()], until).await {
            // The script that removes has not run: there was no room to stage the value, or to
            // register its names.
            Err(error) if error.kind() == ErrorKind::Limit => {
                (FillReply::Refused(Refusal::OutOfMemory), self.remove(fill.key, opens, until).await?)
            }
            written => {
                let written = written?;
                self.heed(&written)?;
                reply::written(&written)?
            }
        };
        self.wake_reaper();
        Ok(written)
    }

    async fn run_fill_step(
        &self,
        script: &'static Script,
        step: FillStep,
        fill: &Fill<'_>,
        names: &[Name],
        last: &[&[u8]],
        until: Instant,
    ) -> Result<Reply, Error> {
        let declared = self.layout.declared();
        let (value_key, lease) = (self.layout.value(fill.key), self.layout.lease(fill.key));
        let mut keys = vec![&*declared, &*value_key, &*lease];
        let token = token_text(fill.token);
        let (seq, read_at_ms) = (fill.clock.seq.to_string(), fill.clock.read_at_ms.to_string());
        let (retention_ms, ttl_ms) = (millis(self.fence_retention).to_string(), millis(fill.ttl).max(1).to_string());
        let (registered, value): (_, &[u8]) = match step {
            FillStep::Register => (String::new(), &[]),
            FillStep::Store { registered, is_staged: true } => (registered.to_string(), &[]),
            FillStep::Store { registered, is_staged: false } => (registered.to_string(), &fill.value),
        };
        // In the order of `filling.lua`, which has a name for each.
        let mut args: Vec<&[u8]> = vec![
            self.layout.root().as_bytes(),
            fill.key.as_bytes(),
            token.as_bytes(),
            fill.clock.incarnation.as_bytes(),
            seq.as_bytes(),
            read_at_ms.as_bytes(),
            retention_ms.as_bytes(),
            ttl_ms.as_bytes(),
            registered.as_bytes(),
            value,
        ];
        let learned = fill.learned.as_ref().map(|(learned, ttl)| {
            (self.layout.learned(fill.key), learned, millis((*ttl).min(LEARNED_TTL_MAX)).max(1).to_string())
        });
        if let Some((key, learned, ttl_ms)) = &learned {
            keys.push(key);
            args.extend([&learned[..], ttl_ms.as_bytes()]);
        }
        args.extend(names.iter().map(|name| name.as_str().as_bytes()));
        args.extend(last);
        self.pool.run(script, self.stripe(fill.key), &keys, &args, until).await
    }
}

//! Fills and writes: each is one script, after others for a large value and for many names.

use std::time::Duration;

use super::resp::{Command, Reply};
use super::scripts::{self, Script};
use super::{RedisStore, reply, token_text};
use crate::clock::{Instant, millis};
use crate::config::{FILL_NAMES_PER_STEP, LEARNED_TTL_MAX, STAGED_BYTES_MIN};
use crate::error::Error;
use crate::name::Name;
use crate::store::{Fill, FillReply};

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
    /// value in its place. It is given `last` behind the names.
    pub(super) async fn run_fill(
        &self,
        script: &'static Script,
        fill: &Fill<'_>,
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
            let reply = self.run_fill_step(&scripts::FILL, FillStep::Register, fill, slice, &[], until).await?;
            self.losses.note_replaced(reply::replaced_by_fill(&reply));
            if reply::fill(&reply)? != FillReply::Stored {
                break; // a fence, or age: the last step finds the same, and gives the lease back
            }
            registered += FILL_NAMES_PER_STEP;
        }
        self.run_fill_step(script, FillStep::Store { registered, is_staged }, fill, fill.names, last, until).await
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

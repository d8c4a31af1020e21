//! What all connections of a pool have in common: where they lead, what is loaded, and which primary is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::OnNewPrimary;
use super::breaker::Breaker;
use super::connection::Connection;
use super::dial::Dial;
use super::fault::Fault;
use super::primary::Primary;
use super::url::Target;
use crate::config::Config;
use crate::store::redis::scripts::Script;

/// Shared by all connections of a pool.
pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) dial: Dial,
    pub(super) scripts: &'static [&'static Script],
    pub(super) operation_deadline: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) breaker: Breaker,
    on_new_primary: OnNewPrimary,
    /// The primary that was talked to last. The last and not every one ever met: a primary that comes back after another one
    /// took over may have missed what the other one was told.
    pub(super) primary: watch::Sender<Option<Arc<Primary>>>,
    evicts_any_key: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        target: Target,
        dial: Dial,
        config: &Config,
        scripts: &'static [&'static Script],
        on_new_primary: OnNewPrimary,
    ) -> Self {
        Self {
            target,
            dial,
            scripts,
            operation_deadline: config.operation_deadline,
            connect_timeout: config.connect_timeout,
            breaker: Breaker::new(config.breaker_failures),
            on_new_primary,
            primary: watch::Sender::new(None),
            evicts_any_key: AtomicBool::new(false),
        }
    }

    /// Makes the server the known primary, prepared by the hook if another one was known before. It was asked at `asked_at`
    /// whether it is one. Without a lock, which a runtime that stands still would keep: several connections may prepare the
    /// same primary.
    pub(super) async fn adopt_primary(
        &self,
        connection: &Connection,
        run_id: &str,
        asked_at: Instant,
    ) -> Result<Arc<Primary>, Fault> {
        loop {
            let known = self.primary.borrow().clone();
            match &known {
                Some(known) if known.has_run_id(run_id) => {
                    known.confirm(asked_at);
                    return Ok(known.clone());
                }
                Some(_) => self.prepare(connection).await?,
                None => {}
            }
            let met = Primary::new(run_id, asked_at);
            // If yet another one became known meanwhile, this one is prepared once more: it may have missed something.
            let adopted = self.primary.send_if_modified(|primary| {
                let unchanged = primary.as_ref().map(Arc::as_ptr) == known.as_ref().map(Arc::as_ptr);
                if unchanged {
                    *primary = Some(met.clone());
                }
                unchanged
            });
            if adopted {
                return Ok(met);
            }
        }
    }

    async fn prepare(&self, connection: &Connection) -> Result<(), Fault> {
        tracing::info!(address = %self.target.address, "another Redis primary took over");
        (self.on_new_primary)(connection.clone())
            .await
            .map_err(|error| Fault::new(error.kind(), format!("the new primary was not prepared: {error}")))
    }

    pub(super) fn note_eviction(&self, evicts_any_key: bool) {
        let before = self.evicts_any_key.swap(evicts_any_key, Ordering::Relaxed);
        if evicts_any_key && !before {
            tracing::warn!(
                address = %self.target.address,
                "Redis may evict any key (maxmemory-policy allkeys-*): the cache's clock and indexes among them, and then \
                 invalidations miss entries; use volatile-* or noeviction"
            );
        }
    }

    pub(super) fn evicts_any_key(&self) -> bool {
        self.evicts_any_key.load(Ordering::Relaxed)
    }
}

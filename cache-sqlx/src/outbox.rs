//! The outbox: what a change makes untrue, written down in the transaction of the change, for
//! whoever finds it if the process dies.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use cache_core::{Cache, Invalidation};
use sqlx::Pool;

use crate::commit::Committed;
use crate::dialect::{Dialect, Which};
use crate::error::Error;
use crate::limits::{BACKOFF_MIN, RELAY_INTERVAL};
use crate::transaction::Transaction;

/// The table `cache_outbox`, and the pool of the database that it lies in.
///
/// All processes that relay it use one store and one namespace: a row is deleted when the cache of
/// one of them has done it.
pub struct Outbox<DB: Dialect> {
    pool: Pool<DB>,
}

/// What a relay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relayed {
    /// Rows that were done and deleted.
    pub done: u64,
    /// Rows that this version of the library cannot read. They stay.
    pub unreadable: u64,
}

impl<DB: Dialect> Outbox<DB> {
    /// Of this database.
    pub fn new(pool: Pool<DB>) -> Self {
        Self { pool }
    }

    /// Makes the table if it is not there. Whoever runs migrations with a tool takes
    /// [`Dialect::MIGRATION`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn migrate(&self) -> Result<(), Error> {
        Ok(DB::migrate(&mut *self.pool.acquire().await?).await?)
    }

    /// Begins a transaction that writes what it has collected into the outbox when it commits, and
    /// takes it out again once it is done.
    ///
    /// # Errors
    /// As for [`Transactions::begin`](crate::Transactions::begin).
    pub async fn begin(&self, cache: &Cache) -> Result<Transaction<'static, DB>, Error> {
        self.adopt(cache, self.pool.begin().await?)
    }

    /// Takes a transaction over that sqlx has begun.
    ///
    /// # Errors
    /// As for [`Transactions::adopt`](crate::Transactions::adopt).
    pub fn adopt<'c>(&self, cache: &Cache, begun: sqlx::Transaction<'c, DB>) -> Result<Transaction<'c, DB>, Error> {
        Transaction::outermost(begun, cache.clone(), Some(self.clone()))
    }

    /// Does all that is written down, once: to be called before a process serves. To do a row twice
    /// does no harm, so any number of processes may relay.
    ///
    /// # Cost
    /// A `SELECT`, an invalidation and a `DELETE` for every
    /// [`RELAY_ROWS_MAX`](crate::limits::RELAY_ROWS_MAX) rows.
    ///
    /// # Errors
    /// Those of the database and of the cache; what is not done stays. A row that cannot be read is
    /// no error: it is logged at ERROR, stays, and keeps no other from being done.
    pub async fn relay(&self, cache: &Cache) -> Result<Relayed, Error> {
        self.relay_rows(cache, Which::All).await
    }

    /// As [`relay`](Self::relay); a living process does what it has taken itself.
    pub(crate) async fn relay_rows(&self, cache: &Cache, which: Which) -> Result<Relayed, Error> {
        let (mut relayed, mut last) = (Relayed::default(), Some(0));
        while let Some(after) = last {
            last = self.relay_page(cache, which, after, &mut relayed).await?;
        }
        if relayed.unreadable > 0 {
            tracing::error!(rows = relayed.unreadable, "rows of cache_outbox cannot be read and stay");
        }
        Ok(relayed)
    }

    /// Relays at once and every [`RELAY_INTERVAL`], until it is dropped.
    pub async fn relay_forever(&self, cache: &Cache) -> Infallible {
        let mut wait = Wait::default();
        loop {
            let outcome = self.relay_rows(cache, Which::Due).await;
            tokio::time::sleep(wait.after(&outcome)).await;
        }
    }

    /// The number of the last row that was read; `None`: there are no more.
    async fn relay_page(
        &self,
        cache: &Cache,
        which: Which,
        after: i64,
        relayed: &mut Relayed,
    ) -> Result<Option<i64>, Error> {
        let mut claim = if DB::CLAIMS { Some(self.pool.begin().await?) } else { None };
        let last = self.relay_claimed(&mut claim, cache, which, after, relayed).await;
        // Ended now, either way. A claim that is dropped keeps its rows from other relays until the
        // pool has ended it.
        match (claim, &last) {
            (Some(claim), Ok(_)) => claim.commit().await?,
            // If that fails, the connection is gone, and the claim with it.
            (Some(claim), Err(_)) => _ = claim.rollback().await,
            (None, _) => {}
        }
        last
    }

    async fn relay_claimed(
        &self,
        claim: &mut Option<sqlx::Transaction<'static, DB>>,
        cache: &Cache,
        which: Which,
        after: i64,
        relayed: &mut Relayed,
    ) -> Result<Option<i64>, Error> {
        let rows = match claim {
            Some(claim) => DB::page(claim, after, which).await?,
            None => DB::page(&mut *self.pool.acquire().await?, after, which).await?,
        };
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let last = *last;
        let (mut untrue, mut ids) = (Invalidation::new(), Vec::with_capacity(rows.len()));
        for (id, intent) in rows {
            match Invalidation::from_json(&intent) {
                Ok(intent) => {
                    untrue = untrue.and(intent);
                    ids.push(id);
                }
                Err(error) => {
                    tracing::debug!(id, %error, "a row of cache_outbox cannot be read");
                    relayed.unreadable += 1;
                }
            }
        }
        cache.invalidate(untrue).await?;
        match claim {
            Some(claim) => DB::strike(claim, &ids).await?,
            None => DB::strike(&mut *self.pool.acquire().await?, &ids).await?,
        }
        relayed.done += ids.len() as u64;
        Ok(Some(last))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Takes the rows of a transaction out, if they are done.
    pub(crate) async fn strike_if_done(&self, ids: &[i64], committed: &Committed) {
        if committed.invalidation.is_err() {
            return;
        }
        let striking = async { DB::strike(&mut *self.pool.acquire().await?, ids).await };
        if let Err(error) = striking.await {
            tracing::warn!(%error, "what is done stays in cache_outbox until it is relayed");
        }
    }
}

// Derived, it would ask for a `DB` that can be cloned.
impl<DB: Dialect> Clone for Outbox<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<DB: Dialect> fmt::Debug for Outbox<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// How long to wait before the next pass.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    failures: u32,
}

impl Wait {
    /// After a pass; says a failure.
    pub(crate) fn after<T>(&mut self, outcome: &Result<T, Error>) -> Duration {
        let Err(error) = outcome else {
            self.failures = 0;
            return RELAY_INTERVAL;
        };
        tracing::error!(%error, "cache_outbox is not relayed now, and will be tried again");
        let wait = BACKOFF_MIN.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        wait.min(RELAY_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_double_the_wait_up_to_the_interval() {
        let mut wait = Wait::default();
        let failure = || Err::<(), _>(Error::misuse("a failure"));
        let waits: Vec<u128> = (0..8).map(|_| wait.after(&failure()).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(wait.after(&Ok(())), RELAY_INTERVAL);
        assert_eq!(wait.after(&failure()), BACKOFF_MIN);
    }
}

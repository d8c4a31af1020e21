//! A database transaction that carries its invalidations.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};

use cache_core::{Cache, CollectInvalidations, ErrorKind, Invalidation};
use sqlx::Acquire;
use sqlx_core::transaction::TransactionManager;

use crate::commit::{Committed, IfUnclosed, Pending};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::outbox::Outbox;

/// Transactions of a [`Cache`].
pub trait Transactions {
    /// Begins a transaction on a pool or a connection.
    ///
    /// # Errors
    /// Those of the database, and [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the connection
    /// is in a transaction already.
    fn begin<'c, A>(&self, on: A) -> impl Future<Output = Result<Transaction<'c, A::Database>, Error>> + Send
    where
        A: Acquire<'c> + Send,
        A::Database: Dialect;

    /// Takes a transaction over that sqlx has begun, such as one with an isolation level of its
    /// own.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) for a savepoint.
    fn adopt<'c, DB: Dialect>(&self, begun: sqlx::Transaction<'c, DB>) -> Result<Transaction<'c, DB>, Error>;
}

impl Transactions for Cache {
    async fn begin<'c, A>(&self, on: A) -> Result<Transaction<'c, A::Database>, Error>
    where
        A: Acquire<'c> + Send,
        A::Database: Dialect,
    {
        self.adopt(on.begin().await?)
    }

    fn adopt<'c, DB: Dialect>(&self, begun: sqlx::Transaction<'c, DB>) -> Result<Transaction<'c, DB>, Error> {
        Transaction::outermost(begun, self.clone(), None)
    }
}

/// A transaction, or a savepoint in one, with what it makes untrue.
///
/// It is used as sqlx's own is: `query.execute(&mut *tx)`. Dropped, it is rolled back, and what it
/// has collected is forgotten.
#[must_use = "dropped, it is rolled back"]
pub struct Transaction<'c, DB: Dialect> {
    begun: sqlx::Transaction<'c, DB>,
    collected: Invalidation,
    level: Level<'c, DB>,
}

enum Level<'c, DB: Dialect> {
    Outermost {
        cache: Cache,
        outbox: Option<Outbox<DB>>,
    },
    /// Of the transaction or savepoint around it: what that has collected.
    Savepoint {
        around: &'c mut Invalidation,
    },
}

impl<'c, DB: Dialect> Transaction<'c, DB> {
    pub(crate) fn outermost(
        begun: sqlx::Transaction<'c, DB>,
        cache: Cache,
        outbox: Option<Outbox<DB>>,
    ) -> Result<Self, Error> {
        if DB::TransactionManager::get_transaction_depth(&begun) > 1 {
            let message = "the connection is in a transaction already, so this would be a savepoint: begin it \
                           with `begin` of the cache's transaction around it";
            return Err(Error::misuse(message));
        }
        Ok(Self { begun, collected: Invalidation::new(), level: Level::Outermost { cache, outbox } })
    }

    /// Adds what the transaction makes untrue. Nothing is removed before the commit. The option
    /// `after = tx` of `#[invalidates]` calls it.
    pub fn invalidates(&mut self, invalidation: Invalidation) {
        self.collected.invalidates(invalidation);
    }

    /// Begins a savepoint. What it collects counts only if it is [committed](Self::commit), that is
    /// released.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        let begun = Acquire::begin(&mut self.begun).await?;
        let level = Level::Savepoint { around: &mut self.collected };
        Ok(Transaction { begun, collected: Invalidation::new(), level })
    }

    /// sqlx's transaction, for code that wants it by its type.
    pub fn as_sqlx(&mut self) -> &mut sqlx::Transaction<'c, DB> {
        &mut self.begun
    }

    /// Closes what was collected, commits, and opens it again: no value that was loaded before the
    /// `COMMIT` is stored after it. Of a savepoint: releases it, and hands what it has collected to
    /// the transaction around it.
    ///
    /// # Consistency
    /// After `Ok` no call that starts later, in any process, returns a value of these entries whose
    /// load began before the `COMMIT`, if [`Committed::invalidation`] is `Ok` as well. If that is
    /// an error, the change is committed, and the invalidation is retried in the background.
    ///
    /// # Cancel safety
    /// If the future is dropped, nobody knows whether the transaction was committed: the names are
    /// opened in the background as if it was.
    ///
    /// # Cost
    /// Two round trips to the store for every 256 names and every 300 entries that they reach, one
    /// of them while the transaction holds its locks. Nothing, if nothing was collected. With an
    /// [`Outbox`] also one `INSERT` and one `DELETE`, and on PostgreSQL one `UPDATE`, which takes
    /// what triggers wrote: it reads the outbox, which is small unless relays lag behind.
    ///
    /// # Errors
    /// [`ErrorKind::Cache`](crate::ErrorKind::Cache): the names could not be closed, or this
    /// process stood still for so long that they did not stay closed, and the transaction was
    /// rolled back. A pattern cannot be closed, nor can more than 4,096 names: a tag can stand for
    /// them.
    /// [`ErrorKind::Database`](crate::ErrorKind::Database): the `COMMIT` failed or its outcome is
    /// unknown; the names are opened as if it was done.
    pub async fn commit(self) -> Result<Committed, Error> {
        self.end(IfUnclosed::RollBack).await
    }

    /// As [`commit`](Self::commit), but commits also if the names could not be closed, because the
    /// cache is away, or because they are patterns. Then they are invalidated after the `COMMIT`:
    /// until that is done, and for a load that was under way meanwhile, other processes may serve
    /// old values.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn commit_regardless(self) -> Result<Committed, Error> {
        self.end(IfUnclosed::Commit).await
    }

    /// Rolls back, and forgets what was collected.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.begun.rollback().await?)
    }

    async fn end(mut self, if_unclosed: IfUnclosed) -> Result<Committed, Error> {
        match self.level {
            Level::Savepoint { around } => {
                // Before it is released: if nobody learns the outcome, it counts as released.
                *around = std::mem::take(around).and(self.collected);
                self.begun.commit().await?;
                Ok(Committed::of_nothing())
            }
            Level::Outermost { outbox: None, .. } if self.collected.is_empty() => {
                self.begun.commit().await?;
                Ok(Committed::of_nothing())
            }
            Level::Outermost { cache, outbox: None } => {
                Pending::close(&cache, self.collected, if_unclosed)
                    .await?
                    .around(if_unclosed, self.begun.commit())
                    .await
            }
            Level::Outermost { cache, outbox: Some(outbox) } => {
                let (pending, ids) = note::<DB>(&mut self.begun, &cache, self.collected, if_unclosed).await?;
                let committed = pending.around(if_unclosed, self.begun.commit()).await?;
                outbox.strike_if_done(&ids, &committed).await;
                Ok(committed)
            }
        }
    }
}

/// Writes down what was collected, and closes it with what triggers wrote in this transaction. With
/// the numbers of the rows that are done after the `COMMIT`.
async fn note<DB: Dialect>(
    connection: &mut DB::Connection,
    cache: &Cache,
    collected: Invalidation,
    if_unclosed: IfUnclosed,
) -> Result<(Pending, Vec<i64>), Error> {
    let taken = DB::take(connection).await?;
    let own = collected.to_json()?;
    let mut ids = Vec::new();
    if !collected.is_empty() {
        ids.push(DB::note(connection, own.clone()).await?);
    }
    let mut all = collected;
    for (_, intent) in &taken {
        all = all.and(Invalidation::from_json(intent)?);
    }
    let pending = match Pending::close(cache, all, if_unclosed).await {
        // More names than can be closed, or everything: that is left to the relays.
        Err(error) if !taken.is_empty() && matches!(error.kind(), ErrorKind::Limit | ErrorKind::Config) => {
            DB::leave(connection).await?;
            Pending::close(cache, Invalidation::from_json(&own)?, if_unclosed).await?
        }
        pending => {
            ids.extend(taken.iter().map(|(id, _)| *id));
            pending?
        }
    };
    Ok((pending, ids))
}

impl<DB: Dialect> CollectInvalidations for Transaction<'_, DB> {
    fn invalidates(&mut self, invalidation: Invalidation) {
        self.collected.invalidates(invalidation);
    }
}

impl<DB: Dialect> Deref for Transaction<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.begun
    }
}

impl<DB: Dialect> DerefMut for Transaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.begun
    }
}

impl<DB: Dialect> fmt::Debug for Transaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("collected", &self.collected).finish_non_exhaustive()
    }
}

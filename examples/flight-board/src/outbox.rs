//! The outbox: what a change makes untrue is noted in the transaction of the change, so that a
//! crash between the commit and the invalidation leaves a note, and not an old value in the
//! cache for the rest of its lifetime.
//!
//! Notes are struck once they are done. To do one twice does no harm, so several
//! processes may relay the same file.

use std::error::Error;
use std::time::Duration;

use cache_core::{Cache, Invalidation};
use rusqlite::Connection;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::db::Db;
use crate::error::Result;

/// `AUTOINCREMENT`: the number of a struck note is never used again, or a slow
/// process would strike another one's.
pub(crate) const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, intent TEXT NOT NULL) STRICT";

/// How long a note of a process that died stays, as long as any other lives.
const RELAY_INTERVAL: Duration = Duration::from_secs(5);
/// Notes read in one query.
const NOTES_PER_PAGE: u32 = 100;

type Settlement = std::result::Result<(), Box<dyn Error + Send + Sync>>;

/// What a relay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// Done and struck.
    pub done: u64,
    /// Left: the store could not be reached, or this version cannot read them.
    pub left: u64,
}

/// Makes a change, and notes in the same transaction what it makes untrue; then invalidates that,
/// and strikes the note. `None` changed nothing.
pub(crate) async fn change<T: Send + 'static>(
    db: &Db,
    change: impl FnOnce(&Connection) -> rusqlite::Result<Option<(T, Invalidation)>> + Send + 'static,
) -> Result<Option<T>> {
    let committed = db.query(move |connection| {
        let transaction = connection.unchecked_transaction()?;
        let Some((value, untrue)) = change(&transaction)? else { return Ok(None) };
        let intent = untrue.to_json().map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        transaction.execute("INSERT INTO outbox (intent) VALUES (?)", [intent])?;
        let id = transaction.last_insert_rowid();
        transaction.commit()?;
        Ok(Some((value, untrue, id)))
    });
    let Some((value, untrue, id)) = committed.await? else { return Ok(None) };
    // The change is made, whatever becomes of this.
    if let Err(error) = settle(db, &Cache::global(), id, untrue).await {
        tracing::error!(id, %error, "an invalidation is left in the outbox; a relay does it");
    }
    Ok(Some(value))
}

/// Does what is noted: before this process serves, and every few seconds after that.
///
/// # Errors
/// SQLite's. A note that cannot be done is no error: it is reported, stays, and keeps no other from
/// being done.
pub async fn relay(db: &Db, cache: &Cache) -> Result<RelayReport> {
    let (mut relayed, mut last) = (RelayReport::default(), 0);
    loop {
        let notes = db.query_unseen(move |connection| {
            let mut page =
                connection.prepare_cached("SELECT id, intent FROM outbox WHERE id > ? ORDER BY id LIMIT ?")?;
            let notes = page.query_map((last, NOTES_PER_PAGE), |row| Ok((row.get(0)?, row.get(1)?)))?;
            notes.collect::<rusqlite::Result<Vec<(i64, String)>>>()
        });
        let notes = notes.await?;
        let Some((id, _)) = notes.last() else { return Ok(relayed) };
        last = *id;
        for (id, intent) in notes {
            let settled = match Invalidation::from_json(&intent) {
                Ok(untrue) => settle(db, cache, id, untrue).await,
                Err(error) => Err(error.into()),
            };
            match settled {
                Ok(()) => relayed.done += 1,
                Err(error) => {
                    // One says it for all: if the store is away, thousands may be waiting.
                    if relayed.left == 0 {
                        tracing::error!(id, %error, "a note stays in the outbox, and maybe others");
                    }
                    relayed.left += 1;
                }
            }
        }
    }
}

/// Relays until it is dropped, beginning after one interval.
pub async fn relay_forever(db: Db, cache: Cache) {
    let mut due = interval_at(Instant::now() + RELAY_INTERVAL, RELAY_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if let Err(error) = relay(&db, &cache).await {
            tracing::error!(%error, "the outbox cannot be read");
        }
    }
}

/// Invalidates, then strikes the note. If the store is away this process bypasses what the note
/// names, until it has caught up.
async fn settle(db: &Db, cache: &Cache, id: i64, untrue: Invalidation) -> Settlement {
    cache.invalidate(untrue).await?;
    db.query_unseen(move |connection| connection.execute("DELETE FROM outbox WHERE id = ?", [id])).await?;
    Ok(())
}

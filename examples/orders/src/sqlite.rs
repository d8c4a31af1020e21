//! The shop on SQLite, for which no server is needed.

use cache_core::Cache;
use cache_sqlx::{Error, Outbox};

use crate::schema;

pub(crate) type Db = sqlx::Sqlite;

#[path = "held.rs"]
#[expect(clippy::duplicate_mod, reason = "one tour on two databases")]
pub(crate) mod held;
#[path = "shop.rs"]
#[expect(clippy::duplicate_mod, reason = "one shop, written once, on two databases")]
pub(crate) mod shop;

/// Makes the tables and the outbox.
pub(crate) async fn prepare(outbox: &Outbox<Db>, pool: &sqlx::SqlitePool) -> Result<(), Error> {
    schema::make(pool, "INTEGER PRIMARY KEY AUTOINCREMENT").await?;
    outbox.migrate().await
}

/// Applies what is in the outbox, for ever.
pub(crate) async fn follow(outbox: Outbox<Db>, cache: Cache) {
    outbox.relay_forever(&cache).await;
}

//! SQLite.

use sqlx::{Sqlite, SqliteConnection};

use super::{Dialect, Which, common, private};
use crate::limits::RELAY_ROWS_MAX;

impl private::Sealed for Sqlite {}

impl Dialect for Sqlite {
    const MIGRATION: &'static str = include_str!("../../migrations/sqlite.sql");
    /// There is one writer at a time, and nobody may hold it up while the cache is asked.
    const CLAIMS: bool = false;

    common!(Sqlite, SqliteConnection);

    async fn note(connection: &mut SqliteConnection, intent: String) -> Result<i64, sqlx::Error> {
        let insert = sqlx::query_scalar("INSERT INTO cache_outbox (intent) VALUES (?) RETURNING id");
        insert.bind(intent).fetch_one(connection).await
    }

    async fn page(connection: &mut SqliteConnection, after: i64, _: Which) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let page = "SELECT id, intent FROM cache_outbox WHERE id > ? ORDER BY id LIMIT ?";
        sqlx::query_as(page).bind(after).bind(RELAY_ROWS_MAX).fetch_all(connection).await
    }

    async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(Self::MIGRATION).execute(connection).await.map(drop)
    }

    async fn take(_: &mut SqliteConnection) -> Result<Vec<(i64, String)>, sqlx::Error> {
        Ok(Vec::new())
    }

    async fn leave(_: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

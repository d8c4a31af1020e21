//! MySQL and MariaDB.

use sqlx::{MySql, MySqlConnection};

use super::{Dialect, Which, common, private};
use crate::limits::RELAY_ROWS_MAX;

impl private::Sealed for MySql {}

impl Dialect for MySql {
    const MIGRATION: &'static str = include_str!("../../migrations/mysql.sql");
    /// A lock on the end of the table would keep writers from adding rows.
    const CLAIMS: bool = false;

    common!(MySql, MySqlConnection);

    async fn note(connection: &mut MySqlConnection, intent: String) -> Result<i64, sqlx::Error> {
        let insert = sqlx::query("INSERT INTO cache_outbox (intent) VALUES (?)").bind(intent);
        let id = insert.execute(connection).await?.last_insert_id();
        i64::try_from(id).map_err(|_| sqlx::Error::RowNotFound)
    }

    async fn page(connection: &mut MySqlConnection, after: i64, _: Which) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let page = "SELECT id, intent FROM cache_outbox WHERE id > ? ORDER BY id LIMIT ?";
        sqlx::query_as(page).bind(after).bind(RELAY_ROWS_MAX).fetch_all(connection).await
    }

    async fn migrate(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(Self::MIGRATION).execute(connection).await.map(drop)
    }

    async fn take(_: &mut MySqlConnection) -> Result<Vec<(i64, String)>, sqlx::Error> {
        Ok(Vec::new())
    }

    async fn leave(_: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

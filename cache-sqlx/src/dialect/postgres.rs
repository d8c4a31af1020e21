//! PostgreSQL.

use sqlx::{Connection, PgConnection, Postgres};

use super::{Dialect, Which, common, private};
use crate::limits::{CLAIM_MAX, GRACE, RELAY_ROWS_MAX};

/// The advisory lock of whoever changes the schema: `cache_ob` in ASCII.
const SCHEMA_LOCK: i64 = i64::from_be_bytes(*b"cache_ob");

impl private::Sealed for Postgres {}

impl Dialect for Postgres {
    const MIGRATION: &'static str = include_str!("../../migrations/postgres.sql");
    const CLAIMS: bool = true;

    common!(Postgres, PgConnection);

    async fn note(connection: &mut PgConnection, intent: String) -> Result<i64, sqlx::Error> {
        let insert = "INSERT INTO cache_outbox (intent, due) \
                      VALUES ($1, clock_timestamp() + $2 * interval '1 second') RETURNING id";
        sqlx::query_scalar(insert).bind(intent).bind(GRACE.as_secs_f64()).fetch_one(connection).await
    }

    async fn page(connection: &mut PgConnection, after: i64, which: Which) -> Result<Vec<(i64, String)>, sqlx::Error> {
        // The rows are locked until the transaction ends, so processes that were notified share the
        // work. A process that was stopped with its locks held loses them.
        let timeout = sqlx::query("SELECT set_config('idle_in_transaction_session_timeout', $1, true)");
        timeout.bind(CLAIM_MAX.as_millis().to_string()).execute(&mut *connection).await?;
        let page = "SELECT id, intent FROM cache_outbox WHERE id > $1 AND ($3 OR due <= clock_timestamp()) \
                    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
        let page = sqlx::query_as(page).bind(after).bind(i64::from(RELAY_ROWS_MAX)).bind(which == Which::All);
        page.fetch_all(connection).await
    }

    async fn take(connection: &mut PgConnection) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let taken = "UPDATE cache_outbox SET due = clock_timestamp() + $1 * interval '1 second' \
                     WHERE xact = pg_current_xact_id_if_assigned() RETURNING id, intent";
        sqlx::query_as(taken).bind(GRACE.as_secs_f64()).fetch_all(connection).await
    }

    async fn leave(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let left = "UPDATE cache_outbox SET due = now() WHERE xact = pg_current_xact_id_if_assigned()";
        sqlx::query(left).execute(connection).await.map(drop)
    }

    async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tx = connection.begin().await?;
        lock_schema(&mut tx).await?;
        sqlx::raw_sql(Self::MIGRATION).execute(&mut *tx).await?;
        tx.commit().await
    }
}

/// Lets one process after the other make tables and functions, until its transaction ends: they may
/// all start at the same time, and `IF NOT EXISTS` and `OR REPLACE` fail then.
pub(crate) async fn lock_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK);
    lock.execute(connection).await.map(drop)
}

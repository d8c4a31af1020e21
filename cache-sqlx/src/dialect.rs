//! What databases differ in: how the outbox is spelled.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::future::Future;

use sqlx::Database;

/// A database that has an outbox: PostgreSQL, MySQL or MariaDB, SQLite, each with its feature.
#[diagnostic::on_unimplemented(
    message = "`cache-sqlx` has no transactions for `{Self}`",
    note = "turn the feature of your database on: `postgres`, `mysql` (for MariaDB too) or `sqlite`"
)]
pub trait Dialect: Database + private::Sealed {
    /// The migration that makes the outbox: one statement, for those who run migrations with a tool
    /// of their own.
    const MIGRATION: &'static str;

    /// Whether a relay locks the rows that it takes, so that others leave them alone.
    #[doc(hidden)]
    const CLAIMS: bool;

    /// Writes an intent; the number of its row.
    #[doc(hidden)]
    fn note(connection: &mut Self::Connection, intent: String)
    -> impl Future<Output = Result<i64, sqlx::Error>> + Send;

    /// The rows after a number, in order, [`RELAY_ROWS_MAX`](crate::limits::RELAY_ROWS_MAX) at
    /// most.
    #[doc(hidden)]
    fn page(
        connection: &mut Self::Connection,
        after: i64,
        which: Which,
    ) -> impl Future<Output = Result<Vec<(i64, String)>, sqlx::Error>> + Send;

    /// The rows that triggers wrote in this transaction, which it does itself within a grace.
    #[doc(hidden)]
    fn take(connection: &mut Self::Connection) -> impl Future<Output = Result<Vec<(i64, String)>, sqlx::Error>> + Send;

    /// Leaves to the relays what was taken.
    #[doc(hidden)]
    fn leave(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Deletes rows.
    #[doc(hidden)]
    fn strike(connection: &mut Self::Connection, ids: &[i64]) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Makes the outbox if it is not there.
    #[doc(hidden)]
    fn migrate(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Which rows a relay reads.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that no living transaction has taken.
    Due,
}

pub(crate) mod private {
    /// Not for other crates: methods may come.
    pub trait Sealed {}
}

/// The part that is spelled alike.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
macro_rules! common {
    ($database:ty, $connection:ty) => {
        async fn strike(connection: &mut $connection, ids: &[i64]) -> Result<(), sqlx::Error> {
            if ids.is_empty() {
                return Ok(());
            }
            let mut delete = sqlx::QueryBuilder::<$database>::new("DELETE FROM cache_outbox WHERE id IN (");
            let mut list = delete.separated(", ");
            for id in ids {
                list.push_bind(*id);
            }
            delete.push(")").build().execute(connection).await?;
            Ok(())
        }
    };
}
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
use common;

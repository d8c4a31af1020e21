//! A database for each test.

#![allow(dead_code, unused_macros, unused_imports, unreachable_pub)]

use std::path::Path;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlPool, PgPool, SqlitePool};

/// More than any test holds at once.
const CONNECTIONS: u32 = 8;

fn required(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, which starts the servers")
    })
}

fn fresh_name() -> String {
    format!("t{:016x}", fastrand::u64(..))
}

/// PostgreSQL, with a database of this test's own.
pub async fn postgres() -> PgPool {
    let options: PgConnectOptions = required("CACHE_TEST_POSTGRES_URL").parse().expect("a URL of PostgreSQL");
    let name = fresh_name();
    let mut admin = options.clone().database("postgres").connect().await.expect("PostgreSQL is there");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options.database(&name)).await.unwrap()
}

/// MariaDB, with a database of this test's own.
pub async fn mariadb() -> MySqlPool {
    let options: MySqlConnectOptions = required("CACHE_TEST_MARIADB_URL").parse().expect("a URL of MariaDB");
    let name = fresh_name();
    let mut admin = options.connect().await.expect("MariaDB is there");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    MySqlPoolOptions::new().max_connections(CONNECTIONS).connect_with(options.database(&name)).await.unwrap()
}

/// SQLite in a file of this test's own, which lives as long as the pool.
pub async fn sqlite() -> SqlitePool {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(fresh_name());
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::from_secs(60));
    SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap()
}

/// Runs each test on PostgreSQL, MariaDB and SQLite. `Db` is the database's type.
macro_rules! each_database {
    ($(async fn $name:ident($pool:ident: Pool) $body:block)*) => {
        each_database! { @on postgres, sqlx::Postgres, $($name, $pool, $body;)* }
        each_database! { @on mariadb, sqlx::MySql, $($name, $pool, $body;)* }
        each_database! { @on sqlite, sqlx::Sqlite, $($name, $pool, $body;)* }
    };
    (@on $database:ident, $db:ty, $($name:ident, $pool:ident, $body:block;)*) => {
        mod $database {
            use super::*;
            #[allow(dead_code)]
            type Db = $db;
            $(
                #[test]
                fn $name() {
                    cache_tests::run(0, async {
                        let $pool = databases::$database().await;
                        $body
                    });
                }
            )*
        }
    };
}
pub(crate) use each_database;

//! Databases, caches and processes.

use std::error::Error;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use cache_core::Cache;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::{postgres, sqlite};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// No store answers that slowly, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where the processes of one tour keep their entries.
const NAMESPACE: &str = "ORDERS_NAMESPACE";

/// The value of `DATABASE_URL`; `None`: SQLite.
pub(crate) fn database_url() -> Option<String> {
    std::env::var("DATABASE_URL").ok()
}

/// The cache at `CACHE_URL`, else one of this process alone, in a namespace of its own.
pub(crate) async fn open_cache(namespace: &str) -> Outcome<(Cache, bool)> {
    let url = std::env::var("CACHE_URL").ok();
    let builder = Cache::builder().namespace(namespace).operation_deadline(PATIENCE).lease_wait(PATIENCE);
    let cache = builder.url(url.as_deref().unwrap_or("memory://")).build()?;
    cache.ready(PATIENCE).await?;
    Ok((cache, url.is_some()))
}

pub(crate) async fn open_postgres(url: &str, cache: Cache) -> Outcome<postgres::shop::Shop> {
    let shop = postgres::shop::Shop::new(PgPool::connect(url).await?, cache);
    Ok(shop)
}

/// A database of a tour's own on the server of `DATABASE_URL`.
pub(crate) struct ScratchDatabase {
    server: String,
    name: String,
    pub(crate) url: String,
}

impl ScratchDatabase {
    pub(crate) async fn create(server: &str) -> Outcome<Self> {
        let name = format!("orders_{:016x}", fastrand::u64(..));
        let options: PgConnectOptions = server.parse()?;
        // Without the settings of this driver, for psql is given it too.
        let mut url = options.clone().database(&name).to_url_lossy();
        url.set_query(None);
        let url = url.to_string();
        let scratch = Self { server: server.to_owned(), name, url };
        scratch.execute("CREATE DATABASE").await?;
        Ok(scratch)
    }

    pub(crate) async fn remove(self) -> Outcome<()> {
        self.execute("DROP DATABASE").await
    }

    async fn execute(&self, statement: &str) -> Outcome<()> {
        let mut server = self.server.parse::<PgConnectOptions>()?.connect().await?;
        let force = if statement.starts_with("DROP") { " WITH (FORCE)" } else { "" };
        sqlx::raw_sql(AssertSqlSafe(format!("{statement} {}{force}", self.name))).execute(&mut server).await?;
        Ok(())
    }
}

/// SQLite in a file that goes with the process.
pub(crate) struct ScratchFile(PathBuf);

impl ScratchFile {
    pub(crate) async fn open(cache: Cache) -> Outcome<(Self, sqlite::shop::Shop)> {
        let file = std::env::temp_dir().join(format!("orders-{:016x}.sqlite", fastrand::u64(..)));
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(PATIENCE);
        let shop = sqlite::shop::Shop::new(SqlitePool::connect_with(options).await?, cache);
        Ok((Self(file), shop))
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.0.clone().into_os_string();
            file.push(suffix);
            // SQLite may have removed it already.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Runs the shop until the process is killed. Before it serves, it does what others have left in
/// the outbox.
pub(crate) async fn serve() -> Outcome<bool> {
    let namespace = std::env::var(NAMESPACE).unwrap_or_else(|_| "orders".to_owned());
    let (cache, _) = open_cache(&namespace).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, router): (_, Router) = (
        listener.local_addr()?,
        match database_url() {
            Some(url) => {
                let shop = open_postgres(&url, cache).await?;
                postgres::prepare(&shop.outbox, &shop.pool).await?;
                shop.outbox.relay(&shop.cache).await?;
                tokio::spawn(postgres::follow(shop.outbox.clone(), shop.cache.clone()));
                shop.router()
            }
            None => {
                let (_, shop) = ScratchFile::open(cache).await?;
                sqlite::prepare(&shop.outbox, &shop.pool).await?;
                tokio::spawn(sqlite::follow(shop.outbox.clone(), shop.cache.clone()));
                shop.router()
            }
        },
    );
    println!("{address}");
    axum::serve(listener, router).await?;
    Ok(true)
}

/// Another process that serves the shop; dropped, it is killed.
pub(crate) struct Process {
    _child: Child,
    pub(crate) client: Client,
}

impl Process {
    pub(crate) async fn start(database: &str, namespace: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").env("DATABASE_URL", database).env(NAMESPACE, namespace);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("its output is piped")?).lines();
        let address = lines.next_line().await?.ok_or("the other process did not start")?;
        Ok(Self { _child: child, client: Client::new(address) })
    }
}

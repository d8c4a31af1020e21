//! SQLite, and the count of what it was asked.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::data;
use crate::error::Result;
use crate::outbox;

/// Drawn once in the life of a database. A cache that outlives the file
/// must not answer for the next one.
const IDENTITY: &str = "CREATE TABLE IF NOT EXISTS identity AS SELECT lower(hex(randomblob(16)))";

tokio::task_local! {
    static QUERIES: Cell<u64>;
}

/// Runs `request` and says how many database queries it ran. A value that
/// another request loaded costs it none.
pub async fn count_queries<F: Future>(request: F) -> (F::Output, u64) {
    let counted = async {
        let output = request.await;
        (output, QUERIES.with(Cell::get))
    };
    QUERIES.scope(Cell::new(0), counted).await
}

/// Counts queries that ran elsewhere for this request. Outside of a request nobody counts.
pub(crate) fn add_queries(more: u64) {
    let _ = QUERIES.try_with(|queries| queries.set(queries.get() + more));
}

/// The database. What can be asked of it is in `queries.rs`.
///
/// One connection behind a mutex on tokio's blocking threads: a query takes microseconds, so
/// a pool would only add a crate.
#[derive(Clone)]
pub struct Db {
    connection: Arc<Mutex<Connection>>,
    identity: Arc<str>,
    gate: Arc<Mutex<Option<Gate>>>,
}

impl Db {
    /// A database of its own, gone with the process.
    pub fn in_memory() -> Result<Self> {
        Self::new(Connection::open_in_memory()?)
    }

    /// A file, filled if it is new, which several processes may share.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Self::new(connection)
    }

    fn new(mut connection: Connection) -> Result<Self> {
        data::load(&mut connection)?;
        connection.execute_batch(outbox::SCHEMA)?;
        connection.execute_batch(IDENTITY)?;
        let identity: String = connection.query_row("SELECT * FROM identity", [], |row| row.get(0))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), identity: identity.into(), gate: Arc::default() })
    }

    /// What the cache's keys begin with: the same for all processes that use this
    /// file, and another for another file.
    pub fn namespace(&self) -> String {
        format!("flight-board-{}", self.identity)
    }

    /// Runs one query off the async threads, and counts it for the request that it runs in.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        add_queries(1);
        let gate = self.gate_of_this_query();
        let answer = self.query_unseen(query).await;
        if let Some(gate) = gate {
            gate.pass().await;
        }
        answer
    }

    /// Runs one query that belongs to no request: neither counted nor held.
    pub(crate) async fn query_unseen<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        let answer = spawn_blocking(move || query(&connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .expect("a query neither panics nor is cancelled: the closures only read and write rows");
        Ok(answer?)
    }

    /// Holds the `nth` query from now, 1 being the next, after it has read its rows and before its
    /// caller sees them: the moment in which a cache without fences goes stale.
    pub fn hold_query(&self, nth: u32) -> HeldQuery {
        let (has_read, reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(Gate { nth, has_read, released });
        HeldQuery { reached, release }
    }

    fn gate_of_this_query(&self) -> Option<Gate> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.as_mut()?.nth -= 1;
        gate.take_if(|gate| gate.nth == 0)
    }
}

struct Gate {
    nth: u32,
    has_read: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl Gate {
    async fn pass(self) {
        // If the holder is gone there is nobody to wait for.
        let _ = self.has_read.send(());
        let _ = self.released.await;
    }
}

/// The other end of [`Db::hold_query`].
pub struct HeldQuery {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl HeldQuery {
    /// Waits until a query has read its rows, and stands.
    pub async fn has_read(&mut self) {
        (&mut self.reached).await.expect("the query stands at the gate that it took");
    }

    /// Lets it go on.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}

//! A relay that is woken when a trigger has written something.

use std::convert::Infallible;

use cache_core::Cache;
use sqlx::Postgres;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::dialect::Which;
use crate::error::Error;
use crate::limits::RELAY_INTERVAL;
use crate::outbox::{Outbox, Wait};
use crate::triggers::ddl::CHANNEL;

impl Outbox<Postgres> {
    /// Relays what is there, then whatever [`Triggers`](crate::Triggers) write, until it is
    /// dropped.
    ///
    /// A notification only wakes it: the table is the truth. So lost notifications, lost
    /// connections and restarts lose nothing. Without a notification it looks every
    /// [`RELAY_INTERVAL`](crate::limits::RELAY_INTERVAL). Any number of processes may listen; they
    /// share the rows.
    ///
    /// # Consistency
    /// Bounded, and not exact: between a writer's `COMMIT` and the end of the invalidation that
    /// this makes, old values are served. That takes milliseconds (`cargo run -p orders --
    /// staleness` measures it), after a lost notification up to `RELAY_INTERVAL`, and if every
    /// listener or the store is away, until one is back, or for the value's TTL.
    ///
    /// # Cost
    /// One connection of its own besides the pool's.
    pub async fn listen(&self, cache: &Cache) -> Infallible {
        let mut wait = Wait::default();
        loop {
            let outcome = self.listen_once(cache, &mut wait).await;
            // The connection may be what failed: the table is read all the same.
            let pause = wait.after(&outcome);
            if let Err(error) = self.relay_rows(cache, Which::Due).await {
                tracing::debug!(%error, "cache_outbox is not relayed either");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Listens on one connection until that is lost.
    async fn listen_once(&self, cache: &Cache, wait: &mut Wait) -> Result<Infallible, Error> {
        // Not of the pool, which may be busy or small.
        let one = PgPoolOptions::new().max_connections(1);
        let pool = one.connect_lazy_with((*self.pool().connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            // After the `LISTEN`: what was committed before it is here, what comes later wakes us.
            self.relay_rows(cache, Which::Due).await?;
            *wait = Wait::default();
            match tokio::time::timeout(RELAY_INTERVAL, listener.try_recv()).await {
                Ok(Ok(Some(_))) | Err(_) => {}
                // It would connect again by itself, and what came meanwhile would be late.
                Ok(Ok(None)) => return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()).into()),
                Ok(Err(error)) => return Err(error.into()),
            }
        }
    }
}

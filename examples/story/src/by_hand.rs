//! A cache as it is often written by hand, without fences.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::db::{Db, Flight};
use crate::process::TTL;

/// What all processes see.
#[derive(Clone)]
pub(crate) enum SharedStore {
    /// Stands for Redis where time is virtual: it answers at once, as the embedded store does.
    Map(Arc<Mutex<HashMap<u32, (Flight, Instant)>>>),
    Redis {
        connection: MultiplexedConnection,
        prefix: String,
    },
}

impl SharedStore {
    pub(crate) async fn redis(url: &str, prefix: &str) -> Self {
        let client = redis::Client::open(url).expect("a Redis URL");
        let connection = client.get_multiplexed_async_connection().await.expect("a Redis at CACHE_URL");
        Self::Redis { connection, prefix: format!("story-by-hand:{prefix}") }
    }

    async fn get(&self, id: u32) -> Option<Flight> {
        match self {
            Self::Map(map) => {
                let (flight, expires) = lock(map).get(&id).copied()?;
                (Instant::now() < expires).then_some(flight)
            }
            Self::Redis { connection, prefix } => {
                let found: Option<String> =
                    connection.clone().get(format!("{prefix}:{id}")).await.expect("Redis answers");
                found.map(|json| serde_json::from_str(&json).expect("what was stored"))
            }
        }
    }

    async fn set_ex(&self, id: u32, flight: Flight) {
        match self {
            Self::Map(map) => _ = lock(map).insert(id, (flight, Instant::now() + TTL)),
            Self::Redis { connection, prefix } => {
                let json = serde_json::to_string(&flight).expect("two numbers");
                let mut connection = connection.clone();
                let () = connection.set_ex(format!("{prefix}:{id}"), json, TTL.as_secs()).await.expect("Redis answers");
            }
        }
    }

    pub(crate) async fn del(&self, id: u32) {
        match self {
            Self::Map(map) => _ = lock(map).remove(&id),
            Self::Redis { connection, prefix } => {
                let () = connection.clone().del(format!("{prefix}:{id}")).await.expect("Redis answers");
            }
        }
    }
}

type Loads = Arc<Mutex<HashMap<u32, Arc<OnceCell<Flight>>>>>;

/// `GET`, load, `SETEX`, and `DEL` when something has changed. A load that began before a change is
/// stored after its `DEL`, and stays for the TTL.
#[derive(Clone)]
pub(crate) struct ByHand {
    pub(crate) stored: SharedStore,
    /// Of this process: who finds a load there waits for it.
    loading: Option<Loads>,
    db: Db,
    pub(crate) deletes: bool,
}

impl ByHand {
    pub(crate) fn new(stored: SharedStore, db: &Db, deletes: bool) -> Self {
        Self { stored, loading: None, db: db.clone(), deletes }
    }

    pub(crate) fn single_flight(self) -> Self {
        Self { loading: Some(Arc::default()), ..self }
    }

    pub(crate) async fn flight(&self, id: u32) -> Flight {
        if let Some(flight) = self.stored.get(id).await {
            return flight;
        }
        let Some(loading) = &self.loading else { return self.load(id).await };
        let flight = lock(loading).entry(id).or_default().clone();
        let load = async || {
            let flight = self.load(id).await;
            lock(loading).remove(&id);
            flight
        };
        *flight.get_or_init(load).await
    }

    async fn load(&self, id: u32) -> Flight {
        let flight = self.db.flights(&[id]).await[0];
        self.stored.set_ex(id, flight).await;
        flight
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

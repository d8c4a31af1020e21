//! A cache as it is often written by hand, without fences.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Cmd;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::db::{Db, Flight};
use crate::process::TTL;
use crate::redis_by_hand::Redis;

/// What all processes see.
#[derive(Clone)]
pub(crate) enum SharedStore {
    /// Stands for Redis where time is virtual: it answers at once, as the embedded store does.
    Map(Arc<Mutex<HashMap<u32, (Flight, Instant)>>>),
    Redis {
        redis: Redis,
        prefix: String,
    },
}

impl SharedStore {
    pub(crate) async fn redis(url: &str, prefix: &str) -> Self {
        Self::Redis { redis: Redis::connect(url).await, prefix: format!("story-by-hand:{prefix}") }
    }

    async fn get(&self, id: u32) -> Option<Flight> {
        match self {
            Self::Map(map) => {
                let (flight, expires) = lock(map).get(&id).copied()?;
                (Instant::now() < expires).then_some(flight)
            }
            Self::Redis { redis, prefix } => {
                let found: Option<String> = redis.ask(Cmd::get(format!("{prefix}:{id}"))).await;
                found.map(|json| serde_json::from_str(&json).expect("what was stored"))
            }
        }
    }

    async fn set_ex(&self, id: u32, flight: Flight) {
        match self {
            Self::Map(map) => _ = lock(map).insert(id, (flight, Instant::now() + TTL)),
            Self::Redis { redis, prefix } => {
                let json = serde_json::to_string(&flight).expect("two numbers");
                redis.ask(Cmd::set_ex(format!("{prefix}:{id}"), json, TTL.as_secs())).await
            }
        }
    }

    pub(crate) async fn del(&self, id: u32) {
        match self {
            Self::Map(map) => _ = lock(map).remove(&id),
            Self::Redis { redis, prefix } => redis.ask(Cmd::del(format!("{prefix}:{id}"))).await,
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

//! How a process of the application reads flights: through the library, or through a cache as it is often written by hand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Cache, cached};
use tokio::time::Instant;

use crate::db::{Db, Flight};

/// Of every cache here.
const TTL: Duration = Duration::from_secs(60);

/// One process. What clones share, the processes of one service share.
#[derive(Clone)]
pub(crate) enum Process {
    Ours(Ours),
    Contrast(Contrast),
}

/// Reads through `#[cached]`.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) cache: Cache,
    pub(crate) db: Db,
    /// A page is one call of [`get_flights`], not one of [`get_flight`] for each flight.
    pub(crate) batch: bool,
}

#[cached(prefix = "flight", ttl = TTL, cache = ours.cache, skip(ours))]
async fn get_flight(ours: &Ours, id: u32) -> Flight {
    ours.db.flights(&[id]).await[0]
}

#[cached(prefix = "flight", ttl = TTL, cache = ours.cache, skip(ours), each = ids)]
pub(crate) async fn get_flights(ours: &Ours, ids: &[u32]) -> Result<HashMap<u32, Flight>, Infallible> {
    Ok(ids.iter().copied().zip(ours.db.flights(ids).await).collect())
}

/// A map with lifetimes: look, load, store. Nothing holds a second load of the same key back, and nothing stops a load that
/// began before an invalidation from being stored after it.
#[derive(Clone)]
pub(crate) struct Contrast {
    entries: Arc<Mutex<HashMap<u32, (Flight, Instant)>>>,
    db: Db,
    invalidates: bool,
}

impl Contrast {
    pub(crate) fn new(db: &Db, invalidates: bool) -> Self {
        Self { entries: Arc::default(), db: db.clone(), invalidates }
    }

    async fn flight(&self, id: u32) -> Flight {
        let found = self.entries().get(&id).copied();
        if let Some((flight, expires)) = found
            && Instant::now() < expires
        {
            return flight;
        }
        let flight = self.db.flights(&[id]).await[0];
        self.entries().insert(id, (flight, Instant::now() + TTL));
        flight
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u32, (Flight, Instant)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// The flights of a page, in its order.
    pub(crate) async fn page(&self, ids: &[u32]) -> Vec<Flight> {
        if let Self::Ours(ours) = self
            && ours.batch
        {
            let Ok(flights) = get_flights(ours, ids).await;
            return ids.iter().map(|id| flights[id]).collect();
        }
        let mut page = Vec::with_capacity(ids.len());
        for &id in ids {
            page.push(match self {
                Self::Ours(ours) => get_flight(ours, id).await,
                Self::Contrast(contrast) => contrast.flight(id).await,
            });
        }
        page
    }

    pub(crate) async fn invalidate(&self, id: u32) {
        match self {
            Self::Ours(ours) => {
                ours.cache.invalidate_key(get_flight::key(&id)).await.expect("the embedded store does not fail");
            }
            Self::Contrast(contrast) if contrast.invalidates => _ = contrast.entries().remove(&id),
            Self::Contrast(_) => {}
        }
    }
}

//! How a process of the application reads flights: through the library, or through a cache as it is often written by hand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Cache, cached};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::db::{Db, Flight};

/// Of every cache here.
pub(crate) const TTL: Duration = Duration::from_secs(60);
/// How long after its TTL a flight is shown while it is loaded again.
const STALE: Duration = Duration::from_secs(5 * 60);

/// One process of the service.
#[derive(Clone)]
pub(crate) enum Process {
    Library(Library),
    ByHand(ByHand),
}

/// What the library is asked to do. Each step has what those before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// `#[cached]` with a TTL: single flight, lease and fences are there unasked.
    Lease,
    /// Stale-while-revalidate and early refresh.
    Refresh,
    /// The flights beside the one that was looked for are one call.
    Batch,
    /// The flights of most interest are loaded before they are looked for.
    Warm,
}

/// Reads through `#[cached]`.
#[derive(Clone)]
pub(crate) struct Library {
    pub(crate) cache: Cache,
    pub(crate) db: Db,
    pub(crate) step: Step,
}

#[cached(prefix = "flight", ttl = TTL, cache = library.cache, skip(library))]
async fn get_flight(library: &Library, id: u32) -> Flight {
    library.db.flights(&[id]).await[0]
}

#[cached(
    prefix = "flight", ttl = TTL, stale_while_revalidate = STALE, early_refresh, cache = library.cache, skip(library)
)]
async fn get_refreshed(library: &Library, id: u32) -> Flight {
    library.db.flights(&[id]).await[0]
}

/// Shares its entries with the two for one flight, and keeps to the TTL: `each` does not go with the options of freshness.
#[cached(prefix = "flight", ttl = TTL, cache = library.cache, skip(library), each = ids)]
pub(crate) async fn get_flights(library: &Library, ids: &[u32]) -> Result<HashMap<u32, Flight>, Infallible> {
    Ok(ids.iter().copied().zip(library.db.flights(ids).await).collect())
}

impl Library {
    async fn page(&self, ids: &[u32]) -> Vec<Flight> {
        let mut page = Vec::with_capacity(ids.len());
        if self.step >= Step::Batch {
            let (looked_for, beside) = (ids[0], &ids[1..]);
            page.push(get_refreshed(self, looked_for).await);
            let Ok(flights) = get_flights(self, beside).await;
            page.extend(beside.iter().map(|id| flights[id]));
            return page;
        }
        for &id in ids {
            page.push(match self.step {
                Step::Lease => get_flight(self, id).await,
                _ => get_refreshed(self, id).await,
            });
        }
        page
    }
}

type Loading = Arc<Mutex<HashMap<u32, Arc<OnceCell<Flight>>>>>;

/// `GET`, load, `SETEX`, and `DEL` when something has changed. A load that began before a change is stored after its `DEL`, and
/// stays for the TTL.
#[derive(Clone)]
pub(crate) struct ByHand {
    /// Stands for Redis: all processes see it, and it answers at once, as the embedded store does.
    stored: Arc<Mutex<HashMap<u32, (Flight, Instant)>>>,
    /// Of this process: who finds a load there waits for it.
    loading: Option<Loading>,
    db: Db,
    deletes: bool,
}

impl ByHand {
    pub(crate) fn new(db: &Db, deletes: bool) -> Self {
        Self { stored: Arc::default(), loading: None, db: db.clone(), deletes }
    }

    pub(crate) fn single_flight(self) -> Self {
        Self { loading: Some(Arc::default()), ..self }
    }

    async fn flight(&self, id: u32) -> Flight {
        let found = lock(&self.stored).get(&id).copied();
        if let Some((flight, expires)) = found
            && Instant::now() < expires
        {
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
        lock(&self.stored).insert(id, (flight, Instant::now() + TTL));
        flight
    }
}

impl Process {
    /// The flights of a page, in its order.
    pub(crate) async fn page(&self, ids: &[u32]) -> Vec<Flight> {
        match self {
            Self::Library(library) => library.page(ids).await,
            Self::ByHand(by_hand) => {
                let mut page = Vec::with_capacity(ids.len());
                for &id in ids {
                    page.push(by_hand.flight(id).await);
                }
                page
            }
        }
    }

    /// As the library counts them.
    pub(crate) fn loads(&self) -> Option<u64> {
        match self {
            Self::Library(library) => Some(library.cache.stats().total().loads),
            Self::ByHand(_) => None,
        }
    }

    /// The flight has changed.
    pub(crate) async fn invalidate(&self, id: u32) {
        match self {
            Self::Library(library) => {
                let invalidated = library.cache.invalidate_key(get_flight::key(&id)).await;
                invalidated.expect("the embedded store does not fail");
            }
            Self::ByHand(by_hand) if by_hand.deletes => _ = lock(&by_hand.stored).remove(&id),
            Self::ByHand(_) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

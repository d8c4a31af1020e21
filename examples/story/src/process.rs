//! How a process of the application reads flights: through the library, or through a
//! cache that is written by hand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, cached};

use crate::by_hand::ByHand;
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

/// Shares its entries with the two for one flight, and keeps to the TTL: `each` does not go
/// with the options of freshness.
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
                invalidated.expect("the store answers");
            }
            Self::ByHand(by_hand) if by_hand.deletes => by_hand.stored.del(id).await,
            Self::ByHand(_) => {}
        }
    }
}

//! Stale-while-revalidate and early refresh: a few seconds of real time, for they go by the wall clock, which cannot be paused.

use std::future::Future;
use std::time::Duration;

use cache_core::{Cache, cached};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::db::{Db, Flight};
use crate::process::Ours;

const FLIGHTS: u32 = 20;
const VISITS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);
/// A hit of the embedded store takes much less, a load more.
const WAIT: Duration = Duration::from_millis(20);

#[cached(prefix = "plain", ttl = "400ms", cache = ours.cache, skip(ours))]
async fn plain(ours: Ours, id: u32) -> Flight {
    ours.db.flights(&[id]).await[0]
}

#[cached(
    prefix = "fresh", ttl = "400ms", stale_while_revalidate = "400ms", early_refresh, cache = ours.cache, skip(ours)
)]
async fn fresh(ours: Ours, id: u32) -> Flight {
    ours.db.flights(&[id]).await[0]
}

/// What the same visits cost without the two options, and with them: queries, and visits that waited.
pub(crate) fn compare(seed: u64) -> [(u64, u64); 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (plain, fresh) = runtime.block_on(async { tokio::join!(visits(seed, plain), visits(seed, fresh)) });
    [plain, fresh]
}

async fn visits<F>(seed: u64, look: fn(Ours, u32) -> F) -> (u64, u64)
where
    F: Future<Output = Flight> + Send + 'static,
{
    let mut random = fastrand::Rng::with_seed(seed);
    let ours = Ours { cache: Cache::in_memory(), db: Db::new(FLIGHTS as usize, seed), batch: false };
    let mut tasks = JoinSet::new();
    for _ in 0..VISITS {
        let call = look(ours.clone(), random.u32(..FLIGHTS));
        tasks.spawn(async move {
            let begun = Instant::now();
            call.await;
            u64::from(begun.elapsed() >= WAIT)
        });
        sleep(PAUSE).await;
    }
    let waited = tasks.join_all().await.into_iter().sum();
    (ours.db.by_hour().iter().sum(), waited)
}

//! How long a change of another program stays unseen.

use std::time::{Duration, Instant};

use cache_core::key;
use sqlx::{ConnectOptions, Connection};

use crate::postgres;
use crate::setup::{Outcome, PATIENCE, ScratchDatabase, database_url, open_cache, open_postgres};

const CHANGES: usize = 1_000;

/// Prints what it has measured; false if an interval of the relay was needed.
pub(crate) async fn run() -> Outcome<bool> {
    let server = database_url().ok_or("DATABASE_URL names no PostgreSQL: triggers need one")?;
    let database = ScratchDatabase::create(&server).await?;
    let mut windows = measure(&database, CHANGES).await?;
    database.remove().await?;
    windows.sort_unstable();
    let at = |part: f64| windows[((windows.len() - 1) as f64 * part) as usize];
    println!(
        "from the writer's COMMIT until no process is served the old value, {CHANGES} changes: \
         p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(at(1.0) < cache_sqlx::limits::RELAY_INTERVAL)
}

/// One window for each change.
pub(crate) async fn measure(database: &ScratchDatabase, changes: usize) -> Outcome<Vec<Duration>> {
    let (cache, _) = open_cache(&format!("staleness-{:016x}", fastrand::u64(..))).await?;
    let shop = open_postgres(&database.url, cache).await?;
    postgres::prepare(&shop.outbox, &shop.pool).await?;
    let following = tokio::spawn(postgres::follow(shop.outbox.clone(), shop.cache.clone()));
    let mut writer = shop.pool.connect_options().connect().await?;
    let mut windows = Vec::with_capacity(changes);
    for _ in 0..changes {
        postgres::shop::product(&shop, 1).await?;
        sqlx::raw_sql("UPDATE stock SET units = units + 1 WHERE product = 1").execute(&mut writer).await?;
        let committed = Instant::now();
        while shop.cache.peek::<Option<postgres::shop::Product>>(key!("product:1")).await?.is_some() {
            if committed.elapsed() > PATIENCE {
                return Err("a change was never seen".into());
            }
            tokio::task::yield_now().await;
        }
        windows.push(committed.elapsed());
    }
    following.abort();
    writer.close().await?;
    shop.cache.clear().await?;
    shop.pool.close().await;
    Ok(windows)
}

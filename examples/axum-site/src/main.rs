//! Serves the site on port 3000, and shows the purges that a CDN would get. It needs no server:
//! without `CACHE_URL` the cache is in this process.
//!
//! ```text
//! cargo run --package axum-site
//! curl --include --request PUT --data 'an article' localhost:3000/articles/7
//! curl --include localhost:3000/articles/7
//! ```

use articles::Articles;
use axum_site::{cdn, router};
use cache_core::Cache;
use cache_http::{Purge, PurgeError, Purger};

/// Stands for a CDN. The guide of cache-http has what purges Varnish.
struct ShownPurge;

impl Purge for ShownPurge {
    async fn purge(&self, keys: &[String]) -> Result<(), PurgeError> {
        println!("purge {}", keys.join(" "));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CACHE_URL").unwrap_or_else(|_| "memory://".to_owned());
    let cache = Cache::builder().url(url).namespace("axum-site").build()?;
    let purger = Purger::start(&cache, &cdn(), ShownPurge);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await?;
    axum::serve(listener, router(Articles::new(cache), &purger)).await?;
    Ok(())
}

//! Which cache, and how the server runs.

use std::env;
use std::future::Future;
use std::io;
use std::time::Duration;

use cache_core::{Builder, Cache};
use tokio::net::TcpListener;

use crate::api::{self, App};

/// The data class of everything that is counted over many flights.
pub const STATISTICS: &str = "statistics";

/// The embedded store, or the server that `CACHE_URL` names; installed for the cached functions of
/// this process. With the name of the store.
///
/// # Errors
/// A wrong URL. A server that is not there is none: cached functions do without it until it is.
pub fn install_cache(settings: Builder) -> Result<(Cache, &'static str), cache_core::Error> {
    let builder = settings.ttl_class(STATISTICS, Duration::from_secs(300));
    let (builder, store) = match env::var("CACHE_URL") {
        Ok(url) if !url.starts_with("memory:") => (builder.url(url), "Redis (the server of CACHE_URL)"),
        _ => (builder, "the embedded store"),
    };
    Ok((builder.build()?.install()?, store))
}

/// Serves until `stop`, then lets the requests that are under way finish.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    axum::serve(listener, api::router(app)).with_graceful_shutdown(stop).await
}

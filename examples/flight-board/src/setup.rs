//! Which cache, and how the server runs.

use std::env;
use std::future::Future;
use std::io;
use std::time::Duration;

use cache_admin::Admin;
use cache_core::{Builder, Cache};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::{self, App};
use crate::warm;

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

/// Serves the board, and at `/cache` the page for whoever operates its cache, until `stop`; then
/// lets the requests that are under way finish.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let (ends, ended) = oneshot::channel::<()>();
    // Whoever reaches this board may change its flights as well. A board on the internet would put
    // a login before the page, or leave the actions out.
    let warmer = warm::warmer(&app.db, &app.cache);
    let admin = Admin::new("flights", &app.cache).warmer(&warmer).allow_actions().until(async { drop(ended.await) });
    let router = api::router(app).nest("/cache", admin.router());
    let stop = async move {
        stop.await;
        drop(ends);
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

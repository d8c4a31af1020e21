//! The router, and what it is made from.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use cache_core::{Cache, Warmer};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::answer::Failure;
use crate::cost::{self, Cost};
use crate::desk::{Desk, End, Watched};
use crate::limits::{BODY_BYTES_MAX, PREVIEWS_MAX, STREAMS_MAX, WARM_RUNS_MAX};
use crate::{actions, events, health, looking, page, stats};

/// The page and its interface, for one cache or several.
///
/// The router holds handles of the caches: what they do in the background goes on while it lives,
/// or until [`Cache::end_refreshes`].
///
/// # Cost
/// Nothing while nobody looks. An open page asks for the counters every two seconds, without a
/// round trip, and shows in its footer how much work that is. [The interface](crate#interface)
/// says what each request costs the store.
#[must_use = "nothing is served before its router is nested"]
pub struct Admin {
    caches: Vec<Watched>,
    allows_actions: bool,
    end: End,
}

impl Admin {
    /// For this cache, under a name for people. It is the one that is shown first.
    pub fn new(name: impl Into<String>, cache: &Cache) -> Self {
        let never: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future::pending());
        Self { caches: Vec::new(), allows_actions: false, end: never.shared() }.cache(name, cache)
    }

    /// Adds a cache. One of the same name is replaced.
    pub fn cache(mut self, name: impl Into<String>, cache: &Cache) -> Self {
        let watched = Watched { name: name.into(), cache: cache.clone(), warmer: None };
        match self.caches.iter_mut().find(|known| known.name == watched.name) {
            Some(known) => *known = watched,
            None => self.caches.push(watched),
        }
        self
    }

    /// What can be warmed in the cache that was added last.
    pub fn warmer(mut self, warmer: &Warmer) -> Self {
        if let Some(last) = self.caches.last_mut() {
            last.warmer = Some(warmer.clone());
        }
        self
    }

    /// Whoever reaches the page may invalidate and warm. Without this they may look.
    pub fn allow_actions(self) -> Self {
        Self { allows_actions: true, ..self }
    }

    /// Event streams end when `stop` does. A server that shuts down gracefully waits for its
    /// answers, and an event stream is an answer without an end: give this what the server's
    /// `with_graceful_shutdown` is given.
    pub fn until(self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let end: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(stop);
        Self { end: end.shared(), ..self }
    }

    /// The router, to be nested at any path: `Router::new().nest("/cache", admin.router())`.
    /// `/cache` leads to the page, which is `/cache/page`.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let Self { caches, allows_actions, end } = self;
        let cost = Arc::<Cost>::default();
        let desk = Desk {
            caches,
            allows_actions,
            end,
            cost: cost.clone(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            previews: Semaphore::new(PREVIEWS_MAX),
            warm_runs: Arc::new(Semaphore::new(WARM_RUNS_MAX)),
        };
        Router::new()
            .route("/", get(page::entrance))
            .route("/page", get(page::index))
            .route("/page/{file}", get(page::file))
            .route("/api/caches", get(list))
            .route("/api/stats", get(stats::stats))
            .route("/api/health", get(health::health))
            .route("/api/events", get(events::events))
            .route("/api/explain", get(looking::explain))
            .route("/api/preview", get(looking::preview))
            .route("/api/keys", get(looking::keys))
            .route("/api/invalidate", post(actions::invalidate))
            .route("/api/warm", post(actions::warm))
            .fallback(elsewhere)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(cost, cost::count))
            .layer(from_fn(page::protect))
            .with_state(Arc::new(desk))
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.caches.iter().map(|watched| &watched.name).collect();
        f.debug_struct("Admin").field("caches", &names).finish_non_exhaustive()
    }
}

async fn list(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let warm = |warmer: &Warmer| json!({ "warmers": warmer.names(), "prefixes": warmer.prefixes() });
    let told = |watched: &Watched| json!({ "name": watched.name, "warm": watched.warmer.as_ref().map(warm) });
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "actions": desk.allows_actions,
        "caches": desk.caches.iter().map(told).collect::<Vec<_>>(),
    }))
}

async fn elsewhere() -> Failure {
    Failure::not_found("there is no such path")
}

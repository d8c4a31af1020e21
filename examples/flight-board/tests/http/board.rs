//! A board of one test's own, asked without a network.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use cache_core::Cache;
use flight_board::api::{self, App, DATABASE_QUERIES, SERVED_FROM};
use flight_board::db::Db;
use flight_board::setup::STATISTICS;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tower::ServiceExt;

/// The one with most departures: 21 flights.
pub(crate) const BOARD: &str = "/airports/DFW/departures?day=2001-03-09";

pub(crate) const STATISTICS_TTL: Duration = Duration::from_secs(300);

/// A fresh database and an empty cache. The cached functions use the one cache that is installed in
/// a process, so one test at a time has it.
pub(crate) struct Board {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) db: Db,
    pub(crate) cache: Cache,
    _turn: MutexGuard<'static, ()>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) served_from: String,
    pub(crate) database_queries: u64,
    pub(crate) body: Value,
}

impl Board {
    pub(crate) async fn new() -> Self {
        Self::of(Db::in_memory().unwrap()).await
    }

    pub(crate) async fn of(db: Db) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static CACHE: OnceCell<Cache> = OnceCell::const_new();
        let turn = TURN.lock().await;
        let cache = CACHE.get_or_init(async || Cache::in_memory().install().unwrap()).await.clone();
        cache.clear().await.unwrap();
        cache.set_ttl_class(STATISTICS, STATISTICS_TTL);
        let app = App::new(db.clone(), cache.clone());
        Self { router: api::router(app.clone()), app, db, cache, _turn: turn }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.router.clone(), Method::GET, path, None).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        ask(self.router.clone(), method, path, Some(body)).await
    }

    pub(crate) async fn invalidate(&self, target: Value) -> Answer {
        self.send(Method::POST, "/admin/invalidate", target).await
    }
}

pub(crate) async fn ask(router: Router, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .unwrap();
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let header = |name| head.headers[name].to_str().unwrap();
    Answer {
        status: head.status.as_u16(),
        served_from: header(SERVED_FROM).to_owned(),
        database_queries: header(DATABASE_QUERIES).parse().unwrap(),
        body: serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap(),
    }
}

//! Warming the board: at the start, and over HTTP.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use cache_core::Cache;
use flight_board::api::{self, App, SERVED_FROM};
use flight_board::db::Db;
use flight_board::warm;
use serde_json::{Value, json};
use tower::ServiceExt;

const BUSIEST: &str = "/airports/DFW/departures?day=2001-03-09";

async fn ask(app: &App, request: axum::http::request::Builder, body: Body) -> (u16, String, Value) {
    let request = request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
    let (head, body) = api::router(app.clone()).oneshot(request).await.unwrap().into_parts();
    let served_from = head.headers[SERVED_FROM].to_str().unwrap().to_owned();
    (head.status.as_u16(), served_from, serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap())
}

async fn get(app: &App, path: &str) -> (u16, String) {
    let (status, served_from, _) = ask(app, Request::get(path), Body::empty()).await;
    (status, served_from)
}

async fn warm_up(app: &App, wanted: Value) -> (u16, Value) {
    let (status, _, body) = ask(app, Request::post("/admin/warm"), Body::from(wanted.to_string())).await;
    (status, body)
}

// One test: the cached functions use the one cache that is installed in a process.
#[tokio::test]
async fn what_was_warmed_is_served_from_the_cache() {
    let cache = Cache::in_memory().install().unwrap();
    let app = App { db: Db::in_memory().unwrap(), cache: cache.clone() };

    let warmed = warm::at_start(&app.db, &cache).await;
    assert_eq!((warmed.total, warmed.done), (100, 100), "{:?}", warmed.errors());
    assert_eq!(cache.stats().prefix("board").fills, 100);
    // Known from the data: more flights leave here than anywhere else on any day.
    assert_eq!(get(&app, BUSIEST).await, (200, "cache".to_owned()));

    cache.clear().await.unwrap();
    let keys = ["flight:42", "flight:one", "airport:LAX", "board:DFW:2001-03-09", "board:DFW", "itinerary:1"];
    let (status, answer) = warm_up(&app, json!({ "keys": keys })).await;
    assert_eq!((status, &answer["total"], &answer["done"], &answer["failed"]), (200, &json!(6), &json!(3), &json!(3)));
    let failed: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["name"].as_str().unwrap()).collect();
    assert!(["flight:one", "board:DFW", "itinerary:1"].iter().all(|key| failed.contains(key)), "{answer}");
    for path in ["/flights/42", "/airports/LAX", "/airports/DFW/departures?day=2001-03-09"] {
        assert_eq!(get(&app, path).await, (200, "cache".to_owned()), "{path}");
    }

    let (_, answer) = warm_up(&app, json!({ "names": [warm::BUSIEST_BOARDS, "boards"] })).await;
    assert_eq!((&answer["done"], &answer["errors"][0]["name"]), (&json!(100), &json!("boards")));
    assert_eq!(warm_up(&app, json!({})).await.0, 422);
    assert_eq!(warm_up(&app, json!({ "key": "flight:42" })).await.0, 422);
}

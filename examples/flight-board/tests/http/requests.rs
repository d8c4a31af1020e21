//! What is asked, what is changed, and what bad input gets. What the
//! tour claims is tested by the tour.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use cache_tests::until;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::board::{BOARD, Board, ask};

const ITINERARY: &str = "/itineraries?flights=14714,14740";
const ROUTE: &str = "/statistics/routes/DFW/ORD";
const BUSIEST: &str = "/statistics/busiest-origins?limit=3";

#[tokio::test]
async fn second_read_of_every_class_runs_no_query() {
    let board = Board::new().await;
    for path in ["/airports/LAX", "/flights/42", BOARD, "/itineraries?flights=1,2", ROUTE, BUSIEST] {
        let first = board.get(path).await;
        assert_eq!((first.status, first.served_from.as_str()), (200, "database"), "{path}: {}", first.body);
        let second = board.get(path).await;
        assert_eq!((second.served_from.as_str(), second.database_queries), ("cache", 0), "{path}");
        assert_eq!(first.body, second.body, "{path}");
    }
}

#[tokio::test]
async fn a_code_in_small_letters_shares_the_entry() {
    let board = Board::new().await;
    assert_eq!(board.get("/airports/dfw").await.body["city"], "Dallas-Fort Worth");
    assert_eq!(board.get("/airports/DFW").await.served_from, "cache");
}

#[tokio::test]
async fn a_deleted_flight_is_gone_from_everything() {
    let board = Board::new().await;
    for path in ["/flights/14714", BOARD, ITINERARY, ROUTE, BUSIEST] {
        board.get(path).await;
    }
    assert_eq!(board.send(Method::DELETE, "/flights/14714", Value::Null).await.status, 200);
    assert_eq!(board.get("/flights/14714").await.status, 404);
    assert_eq!(board.get(ITINERARY).await.status, 404);
    assert_eq!(board.get(BOARD).await.body["departures"].as_array().unwrap().len(), 20);
    assert_eq!(board.get(ROUTE).await.body["flights"], 37);
    assert_eq!(board.get(BUSIEST).await.body[0]["flights"], 1_102);
}

#[tokio::test]
async fn admin_invalidation_says_how_many_entries_it_removed() {
    let board = Board::new().await;
    board.get(BOARD).await;
    board.get(ITINERARY).await;
    // Flight 14714, the board and the itinerary.
    assert_eq!(board.invalidate(json!({ "key": "flight:14714" })).await.body, json!({ "removed": 3 }));
    assert_eq!(board.invalidate(json!({ "key": "flight:14714" })).await.body, json!({ "removed": 0 }));
    board.get(BOARD).await;
    // 21 flights and the board.
    assert_eq!(board.invalidate(json!({ "tag": "airport:DFW" })).await.body, json!({ "removed": 22 }));
    board.get(BOARD).await;
    assert_eq!(board.invalidate(json!({ "pattern": "board:*" })).await.body, json!({ "removed": 1 }));
    board.get(BOARD).await;
    let several = json!({ "key": "airport:LFT", "tag": "state:CA", "pattern": "flight:1471?" });
    // LFT; LAX, ONT and SFO; flight 14714; the board.
    assert_eq!(board.invalidate(several).await.body, json!({ "removed": 6 }));
}

#[tokio::test]
async fn stats_count_hits_and_misses_of_each_class() {
    let board = Board::new().await;
    let before = board.get("/admin/stats").await.body["prefixes"]["flight"].clone();
    for _ in 0..4 {
        board.get("/flights/7").await;
    }
    let after = board.get("/admin/stats").await.body["prefixes"]["flight"].clone();
    let more = |counter: &str| after[counter].as_u64().unwrap() - before[counter].as_u64().unwrap_or(0);
    assert_eq!((more("hits"), more("misses"), more("loads"), more("fills")), (3, 1, 1, 1));
}

#[tokio::test]
async fn prometheus_is_told_what_was_counted() {
    let board = Board::new().await;
    board.get("/flights/8").await;
    let answer = board.router.clone().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/plain; version=0.0.4");
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert_eq!(std::str::from_utf8(&text).unwrap(), board.cache.stats().to_prometheus());
}

#[tokio::test]
async fn bad_input_gets_its_status_and_a_json_error() {
    let board = Board::new().await;
    let airport =
        json!({ "iata": "LAX", "name": "", "city": "", "state": "", "country": "", "latitude": 0.0, "longitude": 0.0 });
    let cases = [
        (Method::GET, "/flights/soon", Value::Null, 400),
        (Method::GET, "/flights/-1", Value::Null, 400),
        (Method::GET, "/airports/DALLAS", Value::Null, 400),
        (Method::GET, "/airports/D%2AW", Value::Null, 400),
        (Method::GET, "/airports/ZZZ", Value::Null, 404),
        (Method::GET, "/airports/ZZZ/departures?day=2001-03-09", Value::Null, 404),
        (Method::GET, "/airports/DFW/departures", Value::Null, 400),
        (Method::GET, "/airports/DFW/departures?day=%25", Value::Null, 400),
        (Method::GET, "/itineraries?flights=", Value::Null, 400),
        (Method::GET, "/itineraries?flights=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", Value::Null, 400),
        (Method::GET, "/statistics/busiest-origins?limit=1000", Value::Null, 400),
        (Method::GET, "/nowhere", Value::Null, 404),
        (Method::PUT, "/airports/DFW", airport, 422),
        (Method::PUT, "/flights/1/delay", json!({}), 422),
        (Method::PUT, "/flights/1/delay", json!({ "delay_min": 10_081 }), 422),
        (Method::PUT, "/flights/99999/delay", json!({ "delay_min": 1 }), 404),
        (Method::PUT, "/flights/1/departure", json!({ "scheduled_departure": "2001-03-10 24:00" }), 422),
        (Method::PUT, "/flights/1/departure", json!({ "scheduled_departure": "tomorrow" }), 422),
        (Method::PUT, "/flights/99999/departure", json!({ "scheduled_departure": "2001-03-10 18:05" }), 404),
        (Method::DELETE, "/flights/99999", Value::Null, 404),
        (Method::DELETE, "/admin/stats", Value::Null, 405),
        (Method::POST, "/admin/invalidate", json!({}), 422),
        (Method::POST, "/admin/invalidate", json!({ "tag": "" }), 422),
    ];
    for (method, path, body, status) in cases {
        let answer = board.send(method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.body["error"].is_string(), "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_leave_a_change_half_done() {
    let board = Board::new().await;
    board.get("/flights/14714").await;
    board.get(ROUTE).await;
    let before = board.cache.stats().total().invalidated;
    let mut held = board.db.hold_query(1);
    let body = json!({ "delay_min": 999 });
    let client = tokio::spawn(ask(board.router.clone(), Method::PUT, "/flights/14714/delay", Some(body)));
    held.has_read().await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    held.release();
    // The change goes on in a task of its own, which nobody waits for any more.
    until(async || board.cache.stats().total().invalidated >= before + 2).await;
    assert_eq!(board.get(ROUTE).await.body["worst_delay_min"], 999);
}

//! Warming the board: at the start, and on demand.

use axum::body::Body;
use axum::http::{Method, Request, header};
use flight_board::warm;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::board::{Answer, BOARD, Board, ask};

const WARM: &str = "/admin/warm";

async fn warm_up(board: &Board, wanted: Value) -> Answer {
    board.send(Method::POST, WARM, wanted).await
}

#[tokio::test]
async fn the_busiest_boards_are_warm_after_the_start() {
    let board = Board::new().await;
    let before = board.cache.stats().prefix("board").fills;
    let warmed = warm::at_start(&board.app).await;
    assert_eq!((warmed.total, warmed.done), (100, 100), "{:?}", warmed.errors());
    assert_eq!(board.cache.stats().prefix("board").fills - before, 100);
    // Known from the data: more flights leave here than anywhere else on any day.
    let answer = board.get(BOARD).await;
    assert_eq!((answer.status, answer.served_from.as_str()), (200, "cache"));
}

#[tokio::test]
async fn keys_that_cannot_be_warmed_are_told_and_the_others_are_warm() {
    let board = Board::new().await;
    let keys =
        ["flight:42", "flight:one", "flight:7", "airport:LAX", "board:DFW:2001-03-09", "board:DFW", "itinerary:1"];
    let Answer { status, body, .. } = warm_up(&board, json!({ "names": ["boards"], "keys": keys })).await;
    assert_eq!((status, &body["total"], &body["done"], &body["failed"]), (200, &json!(8), &json!(4), &json!(4)));
    let mut failed: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| error.to_string()).collect();
    failed.sort();
    let expected = [
        json!({ "name": "board:DFW", "failed": 1, "error": "a board is `board:AIRPORT:DAY`" }),
        json!({ "name": "boards", "failed": 1, "error": "no warmer of this name is registered" }),
        json!({ "name": "flight:one", "failed": 1, "error": "invalid digit found in string" }),
        json!({ "name": "itinerary:1", "failed": 1, "error": "no loader is registered for the prefix `itinerary`" }),
    ];
    let mut expected = expected.map(|error| error.to_string());
    expected.sort();
    assert_eq!(failed, expected);
    for path in ["/flights/42", "/flights/7", "/airports/LAX", BOARD] {
        assert_eq!(board.get(path).await.served_from, "cache", "{path}");
    }
}

#[tokio::test]
async fn one_warm_up_runs_at_a_time_and_ends_with_its_client() {
    let board = Board::new().await;
    let wanted = json!({ "keys": ["flight:1"] });
    let mut held = board.db.hold_query(1);
    let first = tokio::spawn(ask(board.router.clone(), Method::POST, WARM, Some(wanted.clone())));
    held.has_read().await;
    let second = warm_up(&board, wanted.clone()).await;
    assert_eq!((second.status, &second.body["error"]), (409, &json!("a warm-up is under way")));
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(warm_up(&board, wanted).await.body["done"], 1);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let board = Board::new().await;
    let many: Vec<_> = (0..1_001).map(|id| format!("flight:{id}")).collect();
    for (wanted, status) in [
        (json!({ "keys": many }), 422),
        (json!({ "key": "flight:42" }), 422),
        (json!({ "keys": "flight:42" }), 422),
        (json!(["flight:42"]), 422),
    ] {
        let answer = warm_up(&board, wanted).await;
        assert_eq!(answer.status, status);
        assert!(answer.body["error"].is_string(), "{}", answer.body);
    }
    for (kind, status) in [("application/json", 400), ("text/plain", 415)] {
        let request = Request::post(WARM).header(header::CONTENT_TYPE, kind).body(Body::from("{keys")).unwrap();
        assert_eq!(board.router.clone().oneshot(request).await.unwrap().status(), status);
    }
}

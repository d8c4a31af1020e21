//! Many at once, written through, and what happens around the end of a lifetime.

use std::time::Duration;

use axum::http::Method;
use flight_board::db::Db;
use flight_board::setup::STATISTICS;
use serde_json::json;

use crate::board::{Answer, BOARD, Board};

const NEXT_DAY: &str = "/airports/DFW/departures?day=2001-03-10";
const ROUTE: &str = "/statistics/routes/DFW/ORD";
const BUSIEST: &str = "/statistics/busiest-origins?limit=3";

fn shows(board: &Answer, flight: u64) -> bool {
    board.body["departures"].as_array().unwrap().iter().any(|line| line["flight"]["id"] == flight)
}

#[tokio::test]
async fn a_board_loads_its_flights_and_airports_in_one_query_each() {
    let board = Board::new().await;
    board.get("/flights/14725").await;
    let fills = || board.cache.stats().prefix("flight").fills;
    let before = fills();
    let first = board.get(BOARD).await;
    assert_eq!(first.database_queries, 4, "its airport, its list, its flights, their destinations");
    assert_eq!(fills() - before, 20, "one of its 21 flights was there");
    assert!(shows(&first, 14_725) && shows(&first, 14_714));
    for path in ["/flights/14714", "/airports/ORD", "/itineraries?flights=14714,14725"] {
        assert_eq!(board.get(path).await.served_from, "cache", "{path}");
    }
}

#[tokio::test]
async fn a_rescheduled_flight_is_cached_already_and_changes_boards() {
    let board = Board::new().await;
    for path in ["/flights/14714", BOARD, NEXT_DAY] {
        assert_eq!(board.get(path).await.status, 200);
    }
    let to = json!({ "scheduled_departure": "2001-03-10 06:00" });
    let rescheduled = board.send(Method::PUT, "/flights/14714/departure", to).await;
    assert_eq!((rescheduled.status, rescheduled.database_queries), (200, 1));
    let flight = board.get("/flights/14714").await;
    assert_eq!((flight.database_queries, &flight.body), (0, &rescheduled.body));
    assert_eq!(flight.body["scheduled_departure"], "2001-03-10 06:00");
    let (left, joined) = (board.get(BOARD).await, board.get(NEXT_DAY).await);
    assert_eq!((left.database_queries, joined.database_queries), (1, 1), "the lists, and no flight");
    assert!(!shows(&left, 14_714) && shows(&joined, 14_714));
}

#[tokio::test]
async fn old_statistics_are_served_while_they_are_counted_anew() {
    let board = Board::new().await;
    board.cache.set_ttl_class(STATISTICS, Duration::from_millis(50));
    let first = board.get(ROUTE).await;
    let loads = || board.cache.stats().prefix("route").loads;
    let before = loads();
    let counted_anew = async {
        while loads() == before {
            let answer = board.get(ROUTE).await;
            assert_eq!((answer.database_queries, &answer.body), (0, &first.body), "nobody waits for the database");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted_anew).await.expect("they get old, and are counted anew");
}

#[tokio::test]
async fn an_old_ranking_is_served_if_the_database_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("board.sqlite");
    let board = Board::of(Db::open(&file).unwrap()).await;
    board.cache.set_ttl_class(STATISTICS, Duration::from_millis(50));
    let first = board.get(BUSIEST).await;
    rusqlite::Connection::open(&file).unwrap().execute_batch("ALTER TABLE flights RENAME TO elsewhere").unwrap();
    assert_eq!(board.get("/flights/1").await.status, 500);
    let failed = board.cache.stats().prefix("busiest").hidden_failures;
    let served_old = async {
        while board.cache.stats().prefix("busiest").hidden_failures == failed {
            let answer = board.get(BUSIEST).await;
            assert_eq!((answer.status, &answer.body), (200, &first.body));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), served_old).await.expect("it gets old, and the load fails");
}

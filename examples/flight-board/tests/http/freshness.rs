//! Many at once, and what happens around the end of a lifetime.

use std::time::Duration;

use cache_tests::until;
use flight_board::db::Db;

use crate::board::{Answer, BOARD, Board, STATISTICS_TTL};

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

/// Lets the lifetime of what is cached end, and lets the clock go on from there.
async fn pass(lifetime: Duration) {
    tokio::time::pause();
    tokio::time::advance(lifetime).await;
    tokio::time::resume();
}

#[tokio::test]
async fn old_statistics_are_served_while_they_are_counted_anew() {
    let board = Board::new().await;
    let first = board.get(ROUTE).await;
    pass(STATISTICS_TTL).await;
    let fills = || board.cache.stats().prefix("route").fills;
    let before = fills();
    let mut counting = board.db.hold_query(1);
    for _ in 0..2 {
        let answer = board.get(ROUTE).await;
        assert_eq!((answer.database_queries, &answer.body), (0, &first.body), "nobody waits for the database");
    }
    counting.has_read().await;
    counting.release();
    until(async || fills() > before).await;
}

#[tokio::test]
async fn an_old_ranking_is_served_if_the_database_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("board.sqlite");
    let board = Board::of(Db::open(&file).unwrap()).await;
    let first = board.get(BUSIEST).await;
    rusqlite::Connection::open(&file).unwrap().execute_batch("ALTER TABLE flights RENAME TO elsewhere").unwrap();
    assert_eq!(board.get("/flights/1").await.status, 500);
    pass(STATISTICS_TTL).await;
    let failed = board.cache.stats().prefix("busiest").hidden_failures;
    let answer = board.get(BUSIEST).await;
    assert_eq!((answer.status, &answer.body), (200, &first.body));
    assert_eq!(board.cache.stats().prefix("busiest").hidden_failures - failed, 1);
}

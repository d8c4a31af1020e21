//! What is loaded, what is served from the cache, and what bad input gets.

use axum::http::Method;
use serde_json::json;

use super::client::Reply;
use super::{Outcome, Tour, board};

pub(super) async fn run(tour: &mut Tour) -> Outcome {
    tour.chapter("The same question twice");
    let (flights, airports) = tour.db.sizes().await?;
    tour.claim_count("the database holds 20,000 flights", flights, 20_000);
    tour.claim_count("and 3,376 airports", airports, 3_376);
    let busiest = twice(tour, "/statistics/busiest-origins?limit=3", 1).await?;
    tour.claim(
        "DFW is the busiest origin with 1,103 flights",
        busiest.body[0]["iata"] == "DFW" && busiest.body[0]["flights"] == 1_103,
    );
    let route = twice(tour, "/statistics/routes/dfw/ord", 1).await?;
    tour.claim("38 flights went from DFW to ORD", route.body["flights"] == 38);

    tour.chapter("A departures board is made of cached flights and airports");
    for (iata, lines) in [("DFW", 21), ("ORD", 21), ("LAX", 8)] {
        let known = tour.cache.stats().prefix("flight").fills;
        let first = tour.get(&board(iata)).await?;
        let departures = first.body["departures"].as_array().cloned().unwrap_or_default();
        tour.claim_count(&format!("{lines} flights left {iata} on that day"), departures.len() as u64, lines);
        let filled = tour.cache.stats().prefix("flight").fills - known;
        tour.claim_count("each of them is cached by itself", filled, lines);
        // DFW itself is the first airport of all; the others are on its board.
        let (queries, what) = match iata {
            "DFW" => (4, "4 queries: the airport, the list, all its flights, all their destinations"),
            _ => (3, "3 queries: the list, all its flights, those destinations that are not cached yet"),
        };
        tour.claim_count(what, first.database_queries, queries);
        let second = tour.get(&board(iata)).await?;
        tour.claim("asked again: the same answer, no query", second.is_cached() && second.body == first.body);
    }
    let flight = tour.get("/flights/14714").await?;
    tour.claim("a flight on a board is cached by itself", flight.is_cached());
    let itinerary = tour.get("/itineraries?flights=14714,14740").await?;
    tour.claim("an itinerary of two such flights needs no query either", itinerary.is_cached());
    tour.claim("DFW to LGA by way of ORD connects", itinerary.body["connected"] == true);

    tour.chapter("Unknown things and bad input");
    let unknown = tour.get("/flights/99999").await?;
    tour.claim("an unknown flight is looked up once", unknown.status == 404 && unknown.database_queries == 1);
    let again = tour.get("/flights/99999").await?;
    tour.claim("that it is unknown is cached, for ten seconds", again.status == 404 && again.is_cached());
    bad_input(tour).await
}

/// Asks twice, and claims that only the first time costs queries.
async fn twice(tour: &mut Tour, path: &str, queries: u64) -> Outcome<Reply> {
    let first = tour.get(path).await?;
    let second = tour.get(path).await?;
    let same = first.status == 200 && first.body == second.body;
    tour.claim(
        "the second answer is the same, and cost no query",
        same && first.database_queries == queries && second.is_cached(),
    );
    Ok(first)
}

async fn bad_input(tour: &mut Tour) -> Outcome {
    let requests = [
        (Method::GET, "/flights/soon", None, 400),
        (Method::GET, "/airports/DALLAS", None, 400),
        (Method::GET, "/airports/DFW/departures", None, 400),
        (Method::GET, "/airports/DFW/departures?day=today", None, 400),
        (Method::GET, "/itineraries?flights=1,,2", None, 400),
        (Method::GET, "/itineraries?flights=1,99999", None, 404),
        (Method::GET, "/statistics/routes/DFW/00M", None, 404),
        (Method::GET, "/nowhere", None, 404),
        (Method::DELETE, "/airports/DFW", None, 405),
        (Method::DELETE, "/flights/99999", None, 404),
        (Method::PUT, "/flights/1/delay", Some(json!({ "delay_min": "soon" })), 422),
        (Method::PUT, "/flights/1/delay", Some(json!({ "delay_min": 1_000_000 })), 422),
        (Method::POST, "/admin/invalidate", Some(json!({ "everything": true })), 422),
        (Method::POST, "/admin/invalidate", Some(json!({ "key": "~clock" })), 422),
    ];
    let asked = requests.len();
    let mut wrong = Vec::new();
    for (method, path, body, status) in requests {
        let answer = tour.client.ask(method.clone(), path, body.as_ref()).await?;
        if answer.status != status || !answer.body["error"].is_string() {
            wrong.push(format!("{method} {path}: {} {}", answer.status, answer.body));
        }
    }
    tour.claim(format!("{asked} bad requests got their 4xx and a JSON error"), wrong.is_empty());
    wrong.iter().for_each(|wrong| println!("     but {wrong}"));
    Ok(())
}

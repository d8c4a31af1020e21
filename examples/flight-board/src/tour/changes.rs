//! What each change removes, and what it leaves alone.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;

use super::{Outcome, PATIENCE, Tour, board, shown_delay};
use crate::setup::STATISTICS;

const ITINERARY: &str = "/itineraries?flights=14714,14740";
const ROUTE: &str = "/statistics/routes/DFW/ORD";
const BUSIEST: &str = "/statistics/busiest-origins?limit=3";

pub(super) async fn run(tour: &mut Tour) -> Outcome {
    a_delay(tour).await?;
    an_airport(tour).await?;
    by_hand(tour).await?;
    a_deletion(tour).await?;
    another_time(tour).await?;
    a_class(tour).await
}

async fn a_delay(tour: &mut Tour) -> Outcome {
    tour.chapter("A delay changes: what shows the flight falls, in one step, and nothing else");
    let (_, removed) = tour.delay(14_714, 95).await?;
    tour.claim_count("4 entries fell: the flight, its board, its itinerary, the statistics of its route", removed, 4);
    let other = tour.get(&board("ORD")).await?;
    tour.claim("the board of ORD, where it lands, was left alone", other.is_cached());
    let itinerary = tour.get(ITINERARY).await?;
    tour.claim_count(
        "the itinerary is made anew, from one query for its changed flight",
        itinerary.database_queries,
        1,
    );
    tour.claim("it shows the new delay", shown_delay(&itinerary.body["flights"], 14_714) == Some(95));
    let dallas = tour.get(&board("DFW")).await?;
    tour.claim_count(
        "the board costs one query for its list; all flights and airports are cached",
        dallas.database_queries,
        1,
    );
    tour.claim("it shows the new delay", shown_delay(&dallas.body["departures"], 14_714) == Some(95));
    let route = tour.get(ROUTE).await?;
    tour.claim("the worst delay from DFW to ORD is read anew", route.database_queries == 1);
    Ok(())
}

async fn an_airport(tour: &mut Tour) -> Outcome {
    tour.chapter("An airport gets another name: dependents that nobody declared fall with it");
    let mut chicago = tour.get("/airports/ORD").await?.body;
    tour.claim("the airport was cached when the boards were loaded", chicago["city"] == "Chicago");
    chicago["name"] = json!("Orchard Field");
    let (_, removed) = tour.change(Method::PUT, "/airports/ORD", Some(chicago)).await?;
    tour.claim_count(
        "5 fell: the airport, two boards that show it, a route and a ranking that depend on it",
        removed,
        5,
    );
    let itinerary = tour.get(ITINERARY).await?;
    tour.claim("the itinerary, which shows no airport's name, was left alone", itinerary.is_cached());
    let dallas = tour.get(&board("DFW")).await?;
    let line =
        dallas.body["departures"].as_array().and_then(|lines| lines.iter().find(|line| line["flight"]["id"] == 14_714));
    tour.claim("the board of DFW shows the new name", line.is_some_and(|line| line["to"] == "Orchard Field"));
    for path in [board("ORD").as_str(), ROUTE, BUSIEST] {
        tour.get(path).await?;
    }
    Ok(())
}

async fn by_hand(tour: &mut Tour) -> Outcome {
    tour.chapter("By hand: tags and patterns, each with its exact count");
    let removed = tour.invalidate("tag", "airport:DFW").await?;
    tour.claim_count("23 fell: 21 flights that leave DFW, the board and the itinerary that show them", removed, 23);
    let dallas = tour.get(&board("DFW")).await?;
    tour.claim_count("the board reads its list and its flights; the airports stayed", dallas.database_queries, 2);

    let removed = tour.invalidate("tag", "state:TX").await?;
    tour.claim_count(
        "9 fell: DFW, AUS, CRP and SAT, three boards, a route and a ranking that show one of them",
        removed,
        9,
    );
    for iata in ["DFW", "ORD", "LAX"] {
        tour.get(&board(iata)).await?;
    }
    let removed = tour.invalidate("pattern", "board:DFW:*").await?;
    tour.claim_count("a pattern removed the one board of DFW", removed, 1);
    let removed = tour.invalidate("pattern", "board:*").await?;
    tour.claim_count("and the other two", removed, 2);
    let removed = tour.invalidate("key", "flight:14714").await?;
    tour.claim_count("a key removed its flight", removed, 1);
    Ok(())
}

async fn a_deletion(tour: &mut Tour) -> Outcome {
    tour.chapter("A flight is deleted");
    for path in [board("DFW").as_str(), BUSIEST] {
        tour.get(path).await?;
    }
    let (deleted, removed) = tour.change(Method::DELETE, "/flights/14714", None).await?;
    tour.claim("it existed", deleted.status == 200 && deleted.body["origin"] == "DFW");
    tour.claim_count("3 fell: the flight, its board, the ranking, which counts flights", removed, 3);
    let gone = tour.get("/flights/14714").await?;
    tour.claim("it is gone", gone.status == 404);
    let dallas = tour.get(&board("DFW")).await?;
    let lines = dallas.body["departures"].as_array().map_or(0, Vec::len);
    tour.claim_count("20 flights are left on the board", lines as u64, 20);
    let busiest = tour.get(BUSIEST).await?;
    tour.claim("DFW still is the busiest origin, with 1,102 flights", busiest.body[0]["flights"] == 1_102);
    Ok(())
}

async fn another_time(tour: &mut Tour) -> Outcome {
    tour.chapter("A flight leaves on another day: the change writes it into the cache");
    let next_day = "/airports/DFW/departures?day=2001-03-10";
    tour.get(next_day).await?;
    let to = json!({ "scheduled_departure": "2001-03-10 18:05" });
    let (_, removed) = tour.change(Method::PUT, "/flights/14725/departure", Some(to)).await?;
    tour.claim_count("3 fell: the old time, the board that it was on, the board that it joins", removed, 3);
    let flight = tour.get("/flights/14725").await?;
    tour.claim(
        "the flight is cached already, with its new time",
        flight.is_cached() && flight.body["scheduled_departure"] == "2001-03-10 18:05",
    );
    for (path, is_shown) in [(board("DFW").as_str(), false), (next_day, true)] {
        let board = tour.get(path).await?;
        let as_claimed = shown_delay(&board.body["departures"], 14_725).is_some() == is_shown;
        let claim = if is_shown { "it is on the board of its new day" } else { "it is off the board of its old day" };
        tour.claim(format!("{claim}, for the query of the list"), as_claimed && board.database_queries == 1);
    }
    Ok(())
}

async fn a_class(tour: &mut Tour) -> Outcome {
    tour.chapter("The lifetime of a data class changes while the program runs");
    tour.cache.set_ttl_class(STATISTICS, Duration::from_secs(1));
    tour.invalidate("tag", "traffic").await?;
    let filled = Instant::now();
    tour.get(BUSIEST).await?;
    let mut expired = false;
    while !expired && filled.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = tour.client.ask(Method::GET, BUSIEST, None).await?;
        expired = answer.database_queries == 1;
    }
    // Jitter shortens a lifetime by up to a twentieth. Before, it was five minutes.
    tour.claim(
        "the ranking, now of one second, was loaded anew after about one",
        expired && filled.elapsed() > Duration::from_millis(900),
    );
    tour.cache.set_ttl_class(STATISTICS, Duration::from_secs(300));
    Ok(())
}

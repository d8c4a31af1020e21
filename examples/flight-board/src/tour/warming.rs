//! What is loaded before anybody asks for it.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Outcome, Tour, board, report};

const WARM: &str = "/admin/warm";

pub(super) async fn run(tour: &mut Tour) -> Outcome {
    tour.chapter("Warm before the first visitor: the busiest boards, and single keys");
    tour.invalidate("pattern", "*").await?;
    let warmed = warm(tour, None).await?;
    tour.claim("the 100 busiest boards were loaded", warmed["done"] == 100 && warmed["failed"] == 0);
    for iata in ["DFW", "ORD"] {
        let first = tour.get(&board(iata)).await?;
        tour.claim(format!("the first visitor of {iata}'s board waits for no query"), first.is_cached());
    }
    tour.invalidate("key", "flight:42").await?;
    let warmed = warm(tour, Some(json!({ "keys": ["flight:42", "flight:soon", "gate:7"] }))).await?;
    tour.claim("of three keys one was loaded", warmed["done"] == 1 && warmed["total"] == 3);
    let told = |name: &str| warmed["errors"].as_array().into_iter().flatten().any(|error| error["name"] == name);
    tour.claim(
        "one that is no flight, and one of a kind that nobody loads, are told",
        told("flight:soon") && told("gate:7"),
    );
    let flight = tour.get("/flights/42").await?;
    tour.claim("flight 42 is warm", flight.is_cached());
    Ok(())
}

async fn warm(tour: &Tour, wanted: Option<Value>) -> Outcome<Value> {
    let answer = tour.client.ask(Method::POST, WARM, wanted.as_ref()).await?;
    let wanted = wanted.map(|wanted| wanted.to_string()).unwrap_or_default();
    report("POST", &format!("{WARM} {wanted}"), &answer);
    Ok(answer.body)
}

//! Many clients at once, who change and read; then the table.

use axum::http::Method;
use fastrand::Rng;
use serde_json::json;

use super::client::Client;
use super::{DAY, Outcome, Tour, shown_delay};

const CLIENTS: u64 = 16;
const REQUESTS_PER_CLIENT: u64 = 150;

/// Airports by how many flights leave them on [`DAY`]; each client owns one flight of the
/// first, which it alone changes.
const AIRPORTS: [&str; 4] = ["DFW", "ORD", "LAX", "ATL"];

pub(super) async fn run(tour: &mut Tour) -> Outcome {
    tour.chapter("An evening's traffic: 16 clients read everything and change what is theirs");
    let departures = tour.get(&super::board("DFW")).await?.body["departures"].clone();
    let flights = departures.as_array().into_iter().flatten().filter_map(|line| line["flight"]["id"].as_u64());
    let mut clients = Vec::new();
    for (seed, flight) in (1..=CLIENTS).zip(flights) {
        clients.push(tokio::spawn(read_and_change(tour.client.clone(), flight, Rng::with_seed(seed))));
    }
    tour.claim_count("each of them has a flight of its own", clients.len() as u64, CLIENTS);
    let (mut answers, mut stale) = (0, 0);
    for client in clients {
        let seen = client.await??;
        answers += seen.answers;
        stale += seen.stale;
    }
    tour.claim_count("2,400 requests were answered with 200", answers, CLIENTS * REQUESTS_PER_CLIENT);
    tour.claim_count("none of them showed a delay older than a change that had returned", stale, 0);

    tour.chapter("Hit rates of this whole tour, per data class");
    let stats = tour.client.ask(Method::GET, "/admin/stats", None).await?.body;
    println!("   {:<12}{:>8}{:>8}{:>10}{:>8}{:>15}", "class", "hits", "misses", "hit rate", "loads", "refused fills");
    let prefixes = stats["prefixes"].as_object().cloned().unwrap_or_default();
    for (name, line) in prefixes.iter().chain([(&"total".to_owned(), &stats["total"])]) {
        let count = |of: &str| line[of].as_f64().unwrap_or_default();
        let rate = format!("{:.1} %", 100.0 * count("hits") / (count("hits") + count("misses")).max(1.0));
        println!(
            "   {name:<12}{:>8}{:>8}{rate:>10}{:>8}{:>15}",
            line["hits"].to_string(),
            line["misses"].to_string(),
            line["loads"].to_string(),
            line["refused_fills"].to_string()
        );
    }
    let classes = ["airport", "board", "busiest", "flight", "itinerary", "route"];
    tour.claim("six data classes were used", prefixes.keys().eq(classes));
    tour.claim(
        "the cache never failed, and was never bypassed",
        stats["total"]["errors"] == 0 && stats["total"]["bypasses"] == 0,
    );
    let page = tour.client.ask(Method::GET, "/cache/api/stats", None).await?.body;
    let now = tour.client.ask(Method::GET, "/admin/stats", None).await?.body;
    tour.claim("the page at /cache shows these counts", page["stats"] == now && page["cache"] == "flights");
    let health = tour.client.ask(Method::GET, "/cache/api/health", None).await?.body;
    tour.claim("and finds that all is well", health["good"] == true && health["findings"] == json!([]));
    Ok(())
}

#[derive(Default)]
struct Sightings {
    answers: u64,
    stale: u64,
}

/// One client: one request in ten changes its flight, the others read.
/// What is its own it knows exactly.
async fn read_and_change(
    client: Client,
    own: u64,
    mut rng: Rng,
) -> Result<Sightings, hyper_util::client::legacy::Error> {
    let mut seen = Sightings::default();
    let mut delay = None;
    for _ in 0..REQUESTS_PER_CLIENT {
        // The busier an airport, the more it is asked for.
        let iata = AIRPORTS[rng.usize(..4).min(rng.usize(..4))];
        let (method, path, body) = match rng.u8(..10) {
            0 => {
                delay = Some(rng.i64(0..600));
                (Method::PUT, format!("/flights/{own}/delay"), Some(json!({ "delay_min": delay })))
            }
            1..4 => (Method::GET, format!("/flights/{own}"), None),
            4..7 => (Method::GET, format!("/airports/{iata}/departures?day={DAY}"), None),
            7 => (Method::GET, format!("/airports/{iata}"), None),
            8 => (Method::GET, format!("/itineraries?flights={own}"), None),
            _ => (Method::GET, "/statistics/routes/DFW/LAX".to_owned(), None),
        };
        let answer = client.ask(method, &path, body.as_ref()).await?;
        seen.answers += u64::from(answer.status == 200);
        let shown = match &answer.body {
            flight if flight["id"] == own => flight["delay_min"].as_i64(),
            list => shown_delay(&list["departures"], own).or_else(|| shown_delay(&list["flights"], own)),
        };
        seen.stale += u64::from(delay.is_some() && shown.is_some() && shown != delay);
    }
    Ok(seen)
}

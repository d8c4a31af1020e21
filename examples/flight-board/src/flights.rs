//! Everything the board shows and everything that changes it: the file to read first.
//!
//! A cached read says how long its value may live; its key is made of its parameters. A change says
//! what it makes untrue. The rest follows: a read that calls other cached reads falls with each of
//! them, and a load that was under way while something it read was changed is never stored.

use std::collections::HashMap;

use cache_core::{Invalidation, cached, invalidates, tag, write_through};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::model::{Airport, Departure, DeparturesBoard, Flight, Itinerary, Origin, RouteStatistics};
use crate::{outbox, queries};

/// One airport. TTL and tags are declared on [`Airport`]; that a code is unknown
/// is remembered for ten seconds.
#[cached(prefix = "airport", skip(db), negative_ttl = "10s")]
pub async fn get_airport(db: &Db, iata: &str) -> Result<Option<Airport>> {
    db.airport(iata).await
}

/// One flight, in the same way.
#[cached(prefix = "flight", skip(db), negative_ttl = "10s")]
pub async fn get_flight(db: &Db, id: u64) -> Result<Option<Flight>> {
    db.flight(id).await
}

/// Many airports: one look into the cache, and one query for those that are not there. The entries
/// are those of [`get_airport`]; an unknown code is left out.
#[cached(prefix = "airport", skip(db), negative_ttl = "10s", each = iatas)]
pub async fn get_airports(db: &Db, iatas: &[String]) -> Result<HashMap<String, Airport>> {
    db.airports(iatas).await
}

/// Many flights, in the same way.
#[cached(prefix = "flight", skip(db), negative_ttl = "10s", each = ids)]
pub async fn get_flights(db: &Db, ids: &[u64]) -> Result<HashMap<u64, Flight>> {
    db.flights(ids).await
}

/// What leaves an airport on one day.
///
/// No dependency is declared. The airports and flights that it reads are cached functions,
/// so the board falls with each of them, and carries their tags: `state:TX` reaches every
/// board that shows a Texan airport.
#[cached(prefix = "board", ttl = "30s", skip(db))]
pub async fn get_departures(db: &Db, iata: &str, day: &str) -> Result<DeparturesBoard> {
    let airport = get_airport(db, iata).await?.ok_or_else(|| Error::NoSuchAirport(iata.to_owned()))?;
    let ids = db.departures(iata, day).await?;
    let mut flights = get_flights(db, &ids).await?;
    let destinations: Vec<_> = flights.values().map(|flight| flight.destination.clone()).collect();
    let airports = get_airports(db, &destinations).await?;
    let departure = |flight: Flight| {
        let to = airports.get(&flight.destination).map_or(&flight.destination, |to| &to.name).clone();
        Departure { flight, to }
    };
    // A flight that is missing was deleted since the list was read: then
    // this board is not stored either.
    let departures = ids.iter().filter_map(|id| flights.remove(id)).map(departure).collect();
    Ok(DeparturesBoard { airport, day: day.to_owned(), departures })
}

/// Several flights, one after the other. An unknown one is an error, which is not cached.
#[cached(prefix = "itinerary", ttl = "60s", skip(db))]
pub async fn get_itinerary(db: &Db, ids: &[u64]) -> Result<Itinerary> {
    let found = get_flights(db, ids).await?;
    let flights = ids.iter().map(|id| found.get(id).cloned().ok_or(Error::NoSuchFlight(*id)));
    let flights = flights.collect::<Result<Vec<_>>>()?;
    let distance_miles = flights.iter().map(|flight| flight.distance_miles).sum();
    let connected = flights.windows(2).all(|pair| pair[0].destination == pair[1].origin);
    Ok(Itinerary { flights, distance_miles, connected })
}

/// How a route did. Its lifetime is that of the class `statistics`, which can be
/// changed while the program runs.
///
/// One SQL query reads flights and airports past their cached functions, so what it is made
/// of is declared: its airports as dependencies, its flights as one tag, for a list of
/// hundreds of flights would say no more.
///
/// Nobody waits for statistics that have merely got old: they are served for five
/// minutes more, while one task of one process counts anew. Those that a change made
/// untrue are gone, as anything else.
#[cached(
    prefix = "route",
    class = "statistics",
    stale_while_revalidate = "5m",
    skip(db),
    tags = ["route:{origin}:{destination}"],
    depends_on = [get_airport(origin), get_airport(destination)],
)]
pub async fn get_route_statistics(db: &Db, origin: &str, destination: &str) -> Result<Option<RouteStatistics>> {
    db.route_statistics(origin, destination).await
}

/// The airports that most flights left. Depends on the airports that its value turns out to name.
/// An hour-old ranking is better than none: it is served if the database fails.
#[cached(
    prefix = "busiest",
    class = "statistics",
    stale_if_error = "1h",
    skip(db),
    tags = ["traffic"],
    depends_on = [..result.iter().map(|origin| get_airport::key(&origin.iata))],
)]
pub async fn get_busiest_origins(db: &Db, limit: u32) -> Result<Vec<Origin>> {
    db.busiest_origins(limit).await
}

/// Changes a delay. The flight takes its boards and itineraries along.
///
/// What is untrue from now on is written in the transaction of the change: also a process that dies
/// right after the commit leaves no old delay behind. Where that does not matter `#[invalidates]`
/// says the same in one line, as below.
pub async fn set_delay(db: &Db, id: u64, delay_min: i32) -> Result<Flight> {
    let changed = outbox::change(db, move |transaction| {
        let flight = queries::set_delay(transaction, id, delay_min)?;
        Ok(flight.map(|flight| (flight.clone(), shows(&flight))))
    });
    changed.await?.ok_or(Error::NoSuchFlight(id))
}

/// Removes a flight and returns it. The number of flights changes too,
/// so whatever counts them falls.
pub async fn delete_flight(db: &Db, id: u64) -> Result<Flight> {
    let deleted = outbox::change(db, move |transaction| {
        let flight = queries::delete_flight(transaction, id)?;
        Ok(flight.map(|flight| (flight.clone(), shows(&flight).tag("traffic"))))
    });
    deleted.await?.ok_or(Error::NoSuchFlight(id))
}

/// All that shows a flight: its entry with what was made from it, and the statistics of its route.
fn shows(flight: &Flight) -> Invalidation {
    Invalidation::new().key(get_flight::key(&flight.id)).tag(tag!("route:{flight.origin}:{flight.destination}"))
}

/// Gives a flight another time of departure; `None`: there is no such flight.
///
/// What this returns is the flight as [`get_flight`] would load it, so it becomes the cached one
/// at once, and the board it was on falls. The board of the day that it moves to knows nothing
/// of it yet, so that one is named.
#[write_through(get_flight(id))]
#[invalidates(keys = [get_departures(result.origin, result.day())])]
pub async fn reschedule(db: &Db, id: u64, departure: String) -> Result<Option<Flight>> {
    db.reschedule(id, departure).await
}

/// Replaces an airport. Every board, route and ranking that shows its name falls with
/// it; the flights stay. Should the process die between the change and the invalidation,
/// the old name lives for its hour.
#[invalidates(keys = [get_airport(new.iata)])]
pub async fn replace_airport(db: &Db, new: Airport) -> Result<Airport> {
    let iata = new.iata.clone();
    db.replace_airport(new).await?.ok_or(Error::NoSuchAirport(iata))
}

//! The SQL, a function each. Nothing here knows that there is a cache.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::db::Db;
use crate::error::Result;
use crate::model::{Airport, Flight, Origin, RouteStatistics};

impl Db {
    /// How many flights and airports there are.
    pub(crate) async fn sizes(&self) -> Result<(u64, u64)> {
        self.query(|db| {
            let sizes = "SELECT (SELECT count(*) FROM flights), (SELECT count(*) FROM airports)";
            db.query_row(sizes, [], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    pub(crate) async fn airport(&self, iata: &str) -> Result<Option<Airport>> {
        let iata = iata.to_owned();
        self.query(move |db| {
            db.prepare_cached("SELECT * FROM airports WHERE iata = ?")?.query_row([iata], airport).optional()
        })
        .await
    }

    pub(crate) async fn flight(&self, id: u64) -> Result<Option<Flight>> {
        self.query(move |db| {
            db.prepare_cached("SELECT * FROM flights WHERE id = ?")?.query_row([id], flight).optional()
        })
        .await
    }

    /// Those that there are, by code.
    pub(crate) async fn airports(&self, iatas: &[String]) -> Result<HashMap<String, Airport>> {
        let iatas = json!(iatas).to_string();
        self.query(move |db| {
            let among = "SELECT * FROM airports WHERE iata IN (SELECT value FROM json_each(?))";
            let airport = |row: &Row<'_>| airport(row).map(|airport| (airport.iata.clone(), airport));
            db.prepare_cached(among)?.query_map([iatas], airport)?.collect()
        })
        .await
    }

    /// Those that there are, by number.
    pub(crate) async fn flights(&self, ids: &[u64]) -> Result<HashMap<u64, Flight>> {
        let ids = json!(ids).to_string();
        self.query(move |db| {
            let among = "SELECT * FROM flights WHERE id IN (SELECT value FROM json_each(?))";
            db.prepare_cached(among)?.query_map([ids], |row| flight(row).map(|flight| (flight.id, flight)))?.collect()
        })
        .await
    }

    /// The numbers of one day's departures, in the order of the timetable.
    pub(crate) async fn departures(&self, iata: &str, day: &str) -> Result<Vec<u64>> {
        let (iata, day) = (iata.to_owned(), format!("{day} %"));
        self.query(move |db| {
            db.prepare_cached(
                "SELECT id FROM flights WHERE origin = ? AND scheduled_departure LIKE ?
                 ORDER BY scheduled_departure, id",
            )?
            .query_map([iata, day], |row| row.get(0))?
            .collect()
        })
        .await
    }

    /// `None`: nothing flew there.
    pub(crate) async fn route_statistics(&self, origin: &str, destination: &str) -> Result<Option<RouteStatistics>> {
        let route = [origin.to_owned(), destination.to_owned()];
        self.query(move |db| {
            db.prepare_cached(
                "SELECT f.name, t.name, count(*), round(avg(delay_min), 1), max(delay_min)
                 FROM flights JOIN airports f ON f.iata = origin JOIN airports t ON t.iata = destination
                 WHERE origin = ? AND destination = ? GROUP BY f.name, t.name",
            )?
            .query_row(route, |row| {
                Ok(RouteStatistics {
                    from: row.get(0)?,
                    to: row.get(1)?,
                    flights: row.get(2)?,
                    mean_delay_min: row.get(3)?,
                    worst_delay_min: row.get(4)?,
                })
            })
            .optional()
        })
        .await
    }

    /// The airports that most flights left.
    pub(crate) async fn busiest_origins(&self, limit: u32) -> Result<Vec<Origin>> {
        self.query(move |db| {
            db.prepare_cached(
                "SELECT iata, name, count(*) FROM flights JOIN airports ON iata = origin
                 GROUP BY iata ORDER BY count(*) DESC, iata LIMIT ?",
            )?
            .query_map([limit], |row| Ok(Origin { iata: row.get(0)?, name: row.get(1)?, flights: row.get(2)? }))?
            .collect()
        })
        .await
    }

    /// The airports and days with most departures.
    pub(crate) async fn busiest_boards(&self, limit: u32) -> Result<Vec<(String, String)>> {
        self.query(move |db| {
            db.prepare_cached(
                "SELECT origin, substr(scheduled_departure, 1, 10) AS day FROM flights
                 GROUP BY origin, day ORDER BY count(*) DESC, origin, day LIMIT ?",
            )?
            .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
        })
        .await
    }

    /// The flight as it is now; `None`: there is none.
    pub(crate) async fn set_delay(&self, id: u64, delay_min: i32) -> Result<Option<Flight>> {
        self.query(move |db| set_delay(db, id, delay_min)).await
    }

    /// The flight as it is now; `None`: there is none.
    pub(crate) async fn reschedule(&self, id: u64, departure: String) -> Result<Option<Flight>> {
        self.query(move |db| {
            db.prepare_cached("UPDATE flights SET scheduled_departure = ? WHERE id = ? RETURNING *")?
                .query_row(params![departure, id], flight)
                .optional()
        })
        .await
    }

    /// The airport as it is now; `None`: there is none of that code.
    pub(crate) async fn replace_airport(&self, new: Airport) -> Result<Option<Airport>> {
        self.query(move |db| {
            db.prepare_cached(
                "UPDATE airports SET name = ?2, city = ?3, state = ?4, country = ?5, latitude = ?6, longitude = ?7
                 WHERE iata = ?1 RETURNING *",
            )?
            .query_row(
                params![new.iata, new.name, new.city, new.state, new.country, new.latitude, new.longitude],
                airport,
            )
            .optional()
        })
        .await
    }
}

/// The flight as it is now; `None`: there is none.
pub(crate) fn set_delay(db: &Connection, id: u64, delay_min: i32) -> rusqlite::Result<Option<Flight>> {
    db.prepare_cached("UPDATE flights SET delay_min = ? WHERE id = ? RETURNING *")?
        .query_row(params![delay_min, id], flight)
        .optional()
}

/// The flight as it was; `None`: there was none.
pub(crate) fn delete_flight(db: &Connection, id: u64) -> rusqlite::Result<Option<Flight>> {
    db.prepare_cached("DELETE FROM flights WHERE id = ? RETURNING *")?.query_row([id], flight).optional()
}

fn airport(row: &Row<'_>) -> rusqlite::Result<Airport> {
    Ok(Airport {
        iata: row.get("iata")?,
        name: row.get("name")?,
        city: row.get("city")?,
        state: row.get("state")?,
        country: row.get("country")?,
        latitude: row.get("latitude")?,
        longitude: row.get("longitude")?,
    })
}

fn flight(row: &Row<'_>) -> rusqlite::Result<Flight> {
    Ok(Flight {
        id: row.get("id")?,
        scheduled_departure: row.get("scheduled_departure")?,
        delay_min: row.get("delay_min")?,
        distance_miles: row.get("distance_miles")?,
        origin: row.get("origin")?,
        destination: row.get("destination")?,
    })
}

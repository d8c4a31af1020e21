//! The real flights and airports (see `data/SOURCE.md`), from CSV into SQLite.

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Deserialize;

use crate::model::Airport;

// Compiled in, so that the program runs from any directory.
const AIRPORTS: &str = include_str!("../data/airports.csv");
const FLIGHTS: &str = include_str!("../data/flights.csv");

const SCHEMA: &str = "
    CREATE TABLE airports (
        iata TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, state TEXT NOT NULL, country TEXT NOT NULL,
        latitude REAL NOT NULL, longitude REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE flights (
        id INTEGER PRIMARY KEY, scheduled_departure TEXT NOT NULL, delay_min INTEGER NOT NULL,
        distance_miles INTEGER NOT NULL, origin TEXT NOT NULL, destination TEXT NOT NULL
    );
    CREATE INDEX flights_by_departure ON flights (origin, scheduled_departure);
";

/// A line of `flights.csv`; an airport's line is an [`Airport`].
#[derive(Deserialize)]
struct FlightRow {
    flight_id: u64,
    scheduled_departure: String,
    delay_min: i32,
    distance_miles: u32,
    origin: String,
    destination: String,
}

/// Creates the tables and fills them, unless they are there. In one transaction, so a file that
/// several processes open at once is filled by one of them.
pub(crate) fn load(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // A statement, for it reads the schema anew; `table_exists` asks what the
    // connection knew before it waited here.
    if transaction.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'flights'", [], |row| row.get(0))? {
        return Ok(());
    }
    transaction.execute_batch(SCHEMA)?;
    {
        let mut insert = transaction.prepare("INSERT INTO airports VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        for row in rows::<Airport>(AIRPORTS) {
            insert.execute(params![
                row.iata,
                row.name,
                row.city,
                row.state,
                row.country,
                row.latitude,
                row.longitude
            ])?;
        }
        let mut insert = transaction.prepare("INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?)")?;
        for row in rows::<FlightRow>(FLIGHTS) {
            insert.execute(params![
                row.flight_id,
                row.scheduled_departure,
                row.delay_min,
                row.distance_miles,
                row.origin,
                row.destination
            ])?;
        }
    }
    transaction.commit()
}

fn rows<T: serde::de::DeserializeOwned>(text: &'static str) -> impl Iterator<Item = T> {
    csv::Reader::from_reader(text.as_bytes())
        .into_deserialize()
        .map(|row| row.expect("the data is part of the program, and its test reads every line"))
}

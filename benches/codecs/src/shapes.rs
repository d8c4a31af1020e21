//! Five shapes of value, from the flights and airports of the example.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const FLIGHTS: &str = include_str!("../../../examples/flight-board/data/flights.csv");
const AIRPORTS: &str = include_str!("../../../examples/flight-board/data/airports.csv");
/// Prose that stays as it is.
const TEXT: &str = include_str!("../../../LICENSE-APACHE");

/// About a day of departures of a large airport.
pub const LISTED: usize = 200;
/// Two numbers each.
pub const LOCATED: usize = 1_000;
/// What a wall of monitors asks for.
pub const MAPPED: usize = 500;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    id: u64,
    scheduled_departure: String,
    delay_min: i32,
    distance_miles: u32,
    origin: String,
    destination: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Status {
    OnTime,
    Early { minutes: u32 },
    Late(Delay),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Delay {
    Minutes(u32),
    Hours { hours: u32, minutes: u32, rebook_from: Option<String> },
}

pub fn flight() -> Flight {
    flights().next().expect("a flight")
}

pub fn list() -> Vec<Flight> {
    flights().take(LISTED).collect()
}

pub fn text() -> String {
    TEXT.to_owned()
}

/// Latitude and longitude, one after the other.
pub fn numbers() -> Vec<f64> {
    let rows = AIRPORTS.lines().skip(1).take(LOCATED);
    // A name may have a comma in it, so the columns are counted from the end.
    let located = rows.map(|row| {
        let mut columns = row.rsplitn(3, ',').map(|column| column.parse::<f64>().ok());
        let (longitude, latitude) = (columns.next().flatten(), columns.next().flatten());
        [latitude.expect("a latitude"), longitude.expect("a longitude")]
    });
    located.flatten().collect()
}

pub fn statuses() -> BTreeMap<String, Status> {
    let status = |flight: &Flight| match flight.delay_min {
        0 => Status::OnTime,
        delay @ ..0 => Status::Early { minutes: delay.unsigned_abs() },
        delay @ 1..60 => Status::Late(Delay::Minutes(delay.unsigned_abs())),
        delay => Status::Late(Delay::Hours {
            hours: delay.unsigned_abs() / 60,
            minutes: delay.unsigned_abs() % 60,
            rebook_from: (delay > 120).then(|| flight.origin.clone()),
        }),
    };
    flights().take(MAPPED).map(|flight| (format!("{}:{}", flight.origin, flight.id), status(&flight))).collect()
}

fn flights() -> impl Iterator<Item = Flight> {
    FLIGHTS.lines().skip(1).map(|row| {
        let columns: Vec<&str> = row.split(',').collect();
        let [id, scheduled_departure, delay_min, distance_miles, origin, destination] = columns[..] else {
            panic!("six columns: {row}")
        };
        Flight {
            id: id.parse().expect("an id"),
            scheduled_departure: scheduled_departure.to_owned(),
            delay_min: delay_min.parse().expect("minutes"),
            distance_miles: distance_miles.parse().expect("miles"),
            origin: origin.to_owned(),
            destination: destination.to_owned(),
        }
    })
}

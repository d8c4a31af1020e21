//! What the board shows. Each type that is cached on its own says for how
//! long, and in which groups it falls.

use cache_core::Cacheable;
use serde::{Deserialize, Serialize};

/// An airport. It hardly ever changes, so an hour; `state:TX` reaches
/// every airport of Texas at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h", tags = ["state:{self.state}"])]
pub struct Airport {
    /// The key of everything: `DFW`.
    pub iata: String,
    /// `Dallas-Fort Worth International`.
    pub name: String,
    /// `Dallas-Fort Worth`.
    pub city: String,
    /// Two letters, `NA` outside the states.
    pub state: String,
    /// `USA`, or a name.
    pub country: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// A flight. Its delay changes by the minute; `airport:DFW` reaches every flight from or to Dallas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", tags = ["airport:{self.origin}", "airport:{self.destination}"])]
pub struct Flight {
    /// Number of the flight in the data, from 1.
    pub id: u64,
    /// Local time, `2001-01-02 08:05`.
    pub scheduled_departure: String,
    /// Minutes late; negative is early.
    pub delay_min: i32,
    /// Between the two airports.
    pub distance_miles: u32,
    /// Where it leaves.
    pub origin: String,
    /// Where it lands.
    pub destination: String,
}

impl Flight {
    /// The day that it leaves on, `2001-01-02`.
    pub fn day(&self) -> &str {
        self.scheduled_departure.split(' ').next().unwrap_or_default()
    }
}

/// One day's departures of one airport, in the order of the timetable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeparturesBoard {
    /// Whose board it is.
    pub airport: Airport,
    /// `2001-03-09`.
    pub day: String,
    /// Its lines.
    pub departures: Vec<Departure>,
}

/// A line of a [`DeparturesBoard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    /// What leaves.
    pub flight: Flight,
    /// The name of where it goes.
    pub to: String,
}

/// Several flights, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Itinerary {
    /// In the order they are taken.
    pub flights: Vec<Flight>,
    /// The whole way.
    pub distance_miles: u32,
    /// Whether each flight leaves from where the one before it landed.
    pub connected: bool,
}

/// How one route did over the three months of data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteStatistics {
    /// The name of the airport at its start.
    pub from: String,
    /// The name of the airport at its end.
    pub to: String,
    /// How many flew.
    pub flights: u64,
    /// Over all of them, early ones counted as negative.
    pub mean_delay_min: f64,
    /// The worst of them.
    pub worst_delay_min: i32,
}

/// An airport and how many flights left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Its code.
    pub iata: String,
    /// Its name.
    pub name: String,
    /// How many left it.
    pub flights: u64,
}

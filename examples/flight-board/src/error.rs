//! What can go wrong below HTTP.

use std::fmt;

/// The result of every function that reads or changes the board.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the board has no answer. None of these is ever cached: an `Err` is not a value.
#[derive(Debug)]
pub enum Error {
    /// No flight has this number.
    NoSuchFlight(u64),
    /// No airport has this code.
    NoSuchAirport(String),
    /// SQLite said no.
    Database(rusqlite::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFlight(id) => write!(f, "no flight has the number {id}"),
            Self::NoSuchAirport(iata) => write!(f, "no airport has the code {iata}"),
            Self::Database(error) => write!(f, "the database failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

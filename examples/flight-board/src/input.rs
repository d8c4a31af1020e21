//! What clients may send, and the JSON they get when it is something else.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cache_core::ErrorKind;
use serde_json::json;

use crate::error::Error;

/// Most flights in one itinerary.
const ITINERARY_FLIGHTS_MAX: usize = 20;
/// A day early to a week late.
const DELAY_MIN: std::ops::RangeInclusive<i32> = -1_440..=10_080;

/// A refusal: `{"error": "…"}` with its status.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    fn bad_request(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// axum's extractors, refusing in JSON.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Refusal))]
pub(crate) struct Body<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(crate) struct Path<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchFlight(_) | Error::NoSuchAirport(_) => Self(StatusCode::NOT_FOUND, error.to_string()),
            Error::Database(_) => {
                // The client has no use for SQLite's words.
                eprintln!("{error}");
                Self(StatusCode::INTERNAL_SERVER_ERROR, "the database failed".to_owned())
            }
        }
    }
}

impl From<cache_core::Error> for Refusal {
    fn from(error: cache_core::Error) -> Self {
        match error.kind() {
            ErrorKind::Config | ErrorKind::Limit | ErrorKind::Encode => {
                Self(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            // The cache goes on trying, and does not serve what was named until it has succeeded.
            _ => Self(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; the invalidation is retried")),
        }
    }
}

/// An airport's code, in capitals however it was typed, so that `dfw` and `DFW` share an entry.
pub(crate) fn iata(text: &str) -> Result<String, Refusal> {
    if (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(Refusal::bad_request("an airport's code is three or four letters or digits"))
    }
}

/// A day as the data writes it: `2001-03-09`.
pub(crate) fn day(text: &str) -> Result<&str, Refusal> {
    let shape: Vec<_> =
        text.split('-').map(|part| (part.len(), part.bytes().all(|byte| byte.is_ascii_digit()))).collect();
    if shape == [(4, true), (2, true), (2, true)] {
        Ok(text)
    } else {
        Err(Refusal::bad_request("a day is written as in 2001-03-09"))
    }
}

/// A time of departure as the data writes it: `2001-03-09 18:05`.
pub(crate) fn departure(text: &str) -> Result<&str, Refusal> {
    let time = text.split_once(' ').filter(|(on, _)| day(on).is_ok()).and_then(|(_, time)| time.split_once(':'));
    let below = |text: &str, limit| text.len() == 2 && text.parse::<u8>().is_ok_and(|number| number < limit);
    if time.is_some_and(|(hour, minute)| below(hour, 24) && below(minute, 60)) {
        Ok(text)
    } else {
        let message = "a time of departure is written as in 2001-03-09 18:05";
        Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, message.to_owned()))
    }
}

/// Flight numbers, separated by commas.
pub(crate) fn flight_ids(text: &str) -> Result<Vec<u64>, Refusal> {
    let ids: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    match ids {
        Ok(ids) if ids.len() <= ITINERARY_FLIGHTS_MAX => Ok(ids),
        Ok(_) => Err(Refusal::bad_request(format!("an itinerary has at most {ITINERARY_FLIGHTS_MAX} flights"))),
        Err(_) => Err(Refusal::bad_request("flights are numbers separated by commas")),
    }
}

/// A believable delay.
pub(crate) fn delay_min(minutes: i32) -> Result<i32, Refusal> {
    if DELAY_MIN.contains(&minutes) {
        Ok(minutes)
    } else {
        let message = format!("a delay is from {} to {} minutes", DELAY_MIN.start(), DELAY_MIN.end());
        Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, message))
    }
}

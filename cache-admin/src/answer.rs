//! What every answer has in common: parameters, failures, JSON.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use cache_core::{Error, ErrorKind};
use serde_json::{Value, json};

pub(crate) type Answer = Result<Json<Value>, Failure>;

/// Why a request was not answered as it wished.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Failure {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_request", message: message.into() }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, kind: "forbidden", message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, kind: "not_found", message: message.into() }
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, kind: "busy", message: message.into() }
    }

    /// A body that is too large, or is not the JSON that was expected.
    pub(crate) fn of_body(status: StatusCode, message: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self { status, kind: "too_large", message },
            _ => Self::bad_request(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::Config => (StatusCode::BAD_REQUEST, "config"),
            ErrorKind::Encode => (StatusCode::BAD_REQUEST, "encode"),
            ErrorKind::Limit => (StatusCode::BAD_REQUEST, "limit"),
            ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self { status, kind, message: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, kind, message } = self;
        (status, Json(json!({ "error": { "kind": kind, "message": message } }))).into_response()
    }
}

/// The parameters of the URL. One may be there many times.
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Failure::bad_request(error.body_text())),
        }
    }
}

impl Parameters {
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.one(name).ok_or_else(|| Failure::bad_request(format!("the parameter `{name}` is missing")))
    }

    /// A number up to `most`, which is also what larger ones count as.
    pub(crate) fn count(&self, name: &str, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.one(name) else { return Ok(default) };
        let number: usize =
            text.parse().map_err(|_| Failure::bad_request(format!("the parameter `{name}` is no number")))?;
        Ok(number.min(most))
    }
}

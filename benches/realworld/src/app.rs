//! What all requests share, and how a request fails.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cache_core::Cache;
use serde_json::json;
use sqlx::PgPool;

#[derive(Clone)]
#[cfg_attr(feature = "cached", derive(cache_core::CacheContext))]
pub struct App {
    #[cfg_attr(not(feature = "cached"), expect(dead_code, reason = "the bare functions have no use for it"))]
    pub cache: Cache,
    pub db: PgPool,
}

#[derive(Debug)]
pub enum Failure {
    Unauthorized,
    Forbidden,
    NotFound,
    /// The field, and what is wrong with it.
    Invalid(&'static str, &'static str),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let taken = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if taken { Self::Invalid("name", "is taken") } else { Self::Database(error) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED.into_response(),
            Self::Forbidden => StatusCode::FORBIDDEN.into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Invalid(field, reason) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "errors": { field: [reason] } }))).into_response()
            }
            Self::Database(error) => {
                eprintln!("{error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

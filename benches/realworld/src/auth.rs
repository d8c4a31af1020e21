//! Who asks: a token is the user's id under a key of the server's.

use argon2::Argon2;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::{App, Failure};

/// A service would read it from its configuration.
const KEY: [u8; 32] = *b"a key that no one else may have!";

/// The user who sent the request.
#[derive(Clone, Copy, Debug)]
pub struct Viewer(pub i64);

pub fn token(user: i64) -> String {
    let seal = blake3::keyed_hash(&KEY, &user.to_be_bytes());
    format!("{user}.{seal}")
}

/// `None`: no token. A wrong one is a failure.
fn viewer(parts: &Parts) -> Result<Option<Viewer>, Failure> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let given = header.to_str().ok().and_then(|header| header.strip_prefix("Token ")).ok_or(Failure::Unauthorized)?;
    let (user, seal) = given.split_once('.').ok_or(Failure::Unauthorized)?;
    let user: i64 = user.parse().map_err(|_| Failure::Unauthorized)?;
    let seal = blake3::Hash::from_hex(seal).map_err(|_| Failure::Unauthorized)?;
    // Hashes are compared in constant time.
    if seal != blake3::keyed_hash(&KEY, &user.to_be_bytes()) {
        return Err(Failure::Unauthorized);
    }
    Ok(Some(Viewer(user)))
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        viewer(parts)?.ok_or(Failure::Unauthorized)
    }
}

impl OptionalFromRequestParts<App> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Option<Self>, Failure> {
        viewer(parts)
    }
}

/// What is stored of a password.
pub fn digest(password: &str, salt: &[u8]) -> Result<[u8; 32], Failure> {
    let mut digest = [0; 32];
    let made = Argon2::default().hash_password_into(password.as_bytes(), salt, &mut digest);
    made.map(|()| digest).map_err(|_| Failure::Invalid("password", "is too long"))
}

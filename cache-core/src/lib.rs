//! Attribute-driven caching on Redis that never serves what it invalidated.

#[cfg(feature = "redis")]
mod backoff;
#[cfg(feature = "redis")]
#[allow(dead_code)] // until the store uses it
mod breaker;
mod config;
mod error;
mod name;
mod store;

pub use error::{Error, ErrorKind};

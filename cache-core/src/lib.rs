//! Attribute-driven caching on Redis that never serves what it invalidated.

mod config;
mod error;
mod name;
mod store;

pub use error::{Error, ErrorKind};

//! Attribute-driven caching on Redis that never serves what it invalidated.

#[cfg(feature = "redis")]
mod backoff;
#[cfg(feature = "redis")]
#[allow(dead_code)] // until the store uses it
mod breaker;
mod cacheable;
mod codec;
mod config;
mod entry;
mod error;
mod fingerprint;
mod key;
mod name;
mod store;
mod tag;
mod ttl;

pub use cacheable::Cacheable;
pub use error::{Error, ErrorKind};
pub use key::{IntoKey, IntoKeyName, Key, TextKey, escape_glob};
pub use tag::{IntoTag, Tag};
pub use ttl::{Ttl, TtlClasses};

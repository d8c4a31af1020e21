//! Attribute-driven caching on Redis that never serves what it invalidated.

mod builder;
mod cache;
mod cacheable;
mod call;
mod clock;
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "limits of the Redis store"))]
mod config;
mod entry;
mod error;
mod freshness;
mod invalidation;
mod key;
mod name;
mod observe;
mod paths;
mod private;
mod runtime;
mod serializers;
mod store;
#[cfg(test)]
mod tests;
mod warm;

// The README's example compiles and runs, or the tests fail.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[doc(hidden)]
pub mod __private {
    pub use crate::private::*;
}

/// The decisions alone, for the simulations of this repository. No stability is promised for any of it.
#[doc(hidden)]
pub mod __freshness {
    pub use crate::freshness::*;
}

pub use builder::Builder;
pub use cache::Cache;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/cacheable.md")]
pub use cache_macros::Cacheable;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/cached.md")]
pub use cache_macros::cached;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/invalidates.md")]
pub use cache_macros::invalidates;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/write_through.md")]
pub use cache_macros::write_through;
pub use cacheable::Cacheable;
pub use error::{Error, ErrorKind};

pub use freshness::{Ttl, TtlClasses};
pub use invalidation::{Invalidated, Invalidation};
pub use key::{IntoKey, Key};
pub use name::{IntoKeyName, IntoTag, Tag, TextKey, escape_glob, unescape_part};
pub use observe::{Health, PrefixStats, Stats};
pub use runtime::provenance::in_current_load;

pub use paths::write_through::Put;
pub use warm::{WarmError, WarmProgress, WarmSchedule, Warmed, Warmer};

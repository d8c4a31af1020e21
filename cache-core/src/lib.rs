#![cfg_attr(feature = "macros", doc = include_str!("../docs/crate.md"))]
#![cfg_attr(not(feature = "macros"), doc = "Caching on Redis that never serves what was invalidated.")]
// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ablation;
mod builder;
mod cache;
mod cacheable;
mod call;
mod clock;
mod codec;
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "limits of the Redis store"))]
mod config;
mod context;
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
mod sync;
#[cfg(test)]
mod tests;
mod warm;

// The README's example compiles and runs, or the tests fail.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../docs/what-json-loses.md")]
mod what_json_loses {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/round-trips.md")]
mod round_trips {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/recipes.md")]
mod recipes {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/coming-from-fastapi.md")]
mod coming_from_fastapi {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/coming-from.md")]
mod coming_from {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/assistants.md")]
mod assistants {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/dependencies.md")]
mod dependencies {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/one-load.md")]
mod one_load {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/near.md")]
mod near {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/tenants.md")]
mod tenants {}

#[cfg(doctest)]
#[doc = include_str!("../docs/explain.md")]
mod explain {}

#[cfg(doctest)]
#[doc = include_str!("../docs/verify.md")]
mod verify {}

/// Pages about more than one item. Documentation alone: no program sees this module.
// Their code is tested elsewhere: that of `first_app` is the crate `examples/first-app`, that of
// `outbox` stands at `Invalidation::to_json`, that of `transactions` at `Cache::close`, that of
// `testing` in `tests/tests/testing_page.rs`, that of `codecs` in `tests/tests/codecs_page.rs`,
// and that of the others above.
#[cfg(all(doc, not(doctest)))]
pub mod guide {
    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/first-app.md")]
    pub mod first_app {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/how-it-works.md")]
    #[doc = include_str!("../docs/plots/way-of-a-call.svg")]
    #[doc = include_str!("../docs/plots/stale-fill.svg")]
    #[doc = include_str!("../docs/plots/cascade.svg")]
    #[doc = include_str!("../docs/plots/one-load.svg")]
    pub mod how_it_works {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/recipes.md")]
    pub mod recipes {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/coming-from-fastapi.md")]
    pub mod coming_from_fastapi {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/coming-from.md")]
    pub mod coming_from {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/comparison.md")]
    pub mod comparison {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/faq.md")]
    pub mod faq {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/assistants.md")]
    pub mod assistants {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/dependencies.md")]
    pub mod dependencies {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/one-load.md")]
    pub mod one_load {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/near.md")]
    pub mod near {}

    #[doc = include_str!("../docs/freshness.md")]
    #[doc = include_str!("../docs/plots/early-refresh.svg")]
    pub mod freshness {}

    #[doc = include_str!("../docs/adaptive-ttl.md")]
    #[doc = include_str!("../docs/plots/adaptive-following.svg")]
    #[doc = include_str!("../docs/plots/adaptive-stationary.svg")]
    #[doc = include_str!("../docs/plots/adaptive-mixed.svg")]
    #[doc = include_str!("../docs/plots/adaptive-shifting.svg")]
    #[doc = include_str!("../docs/plots/adaptive-day-and-night.svg")]
    pub mod adaptive_ttl {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/round-trips.md")]
    pub mod round_trips {}

    #[doc = include_str!("../docs/transactions.md")]
    pub mod transactions {}

    #[doc = include_str!("../docs/outbox.md")]
    pub mod outbox {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/consistency.md")]
    #[doc = include_str!("../docs/plots/stale-read.svg")]
    pub mod consistency {}

    #[doc = include_str!("../docs/codecs.md")]
    pub mod codecs {}

    #[doc = include_str!("../docs/what-json-loses.md")]
    pub mod what_json_loses {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/tenants.md")]
    pub mod tenants {}

    #[doc = include_str!("../docs/cluster.md")]
    pub mod cluster {}

    #[doc = include_str!("../docs/explain.md")]
    pub mod explain {}

    #[doc = include_str!("../docs/verify.md")]
    pub mod verify {}

    #[doc = include_str!("../docs/metrics.md")]
    pub mod metrics {}

    #[doc = include_str!("../docs/operating.md")]
    pub mod operating {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("../docs/litmus.md")]
    pub mod litmus {}

    #[doc = include_str!("../docs/story.md")]
    #[doc = include_str!("../docs/plots/story.svg")]
    pub mod story {}
}

#[doc(hidden)]
pub mod __private {
    pub use crate::private::*;
}

/// The decisions alone, for the simulations of this repository. No stability is promised.
#[doc(hidden)]
pub mod __freshness {
    pub use crate::freshness::{
        AdaptiveTtl, Decision, Freshness, Learned, Lifetime, Observation, Reason, Refill, Times,
    };
}

/// The rules that a build for experiments may leave out.
#[cfg(cache_ablation)]
#[doc(hidden)]
pub mod __ablation {
    pub use crate::store::rules_of;
}

/// The bytes of an entry alone, for the instruction counts, the comparisons and the fuzzing of this
/// repository. No stability is promised.
#[doc(hidden)]
pub mod __entry {
    pub use crate::entry::alone::{is_readable, outline_of, packed, payload_of, sample, sealed, value_of};
}

/// What reads the bytes and texts of others, alone, for the fuzzing of this repository. No
/// stability is promised.
#[doc(hidden)]
pub mod __readers {
    pub use crate::name::glob_matches;
    #[cfg(feature = "redis")]
    pub use crate::store::redis::alone::{answers, frames};
}

pub use builder::Builder;
pub use cache::Cache;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/cache_context.md")]
pub use cache_macros::CacheContext;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/cacheable.md")]
pub use cache_macros::Cacheable;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/cached.md")]
pub use cache_macros::cached;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/in_context.md")]
pub use cache_macros::in_context;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/invalidates.md")]
pub use cache_macros::invalidates;
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/write_through.md")]
pub use cache_macros::write_through;
pub use cacheable::Cacheable;
#[cfg(feature = "codec")]
pub use codec::{Codec, CodecId, TakeDecoded};
pub use codec::{CodecError, Compression, Format, OpenError, Seal, SealedValue};
pub use config::LostWrites;
pub use context::CacheContext;
#[cfg(feature = "codec")]
pub use erased_serde;
pub use error::{Error, ErrorKind};

pub use freshness::{IntoDuration, Ttl, TtlClasses};
pub use invalidation::{Cause, CollectInvalidations, Invalidated, Invalidation};
pub use key::{IntoKey, Key};
pub use name::{IntoKeyName, IntoTag, Tag, TextKey, escape_glob, unescape_part};
pub use observe::{
    BadEntryReason, CallLog, CallRecord, CallResult, Health, MemoryUse, Metric, MetricKind, MetricSample, MetricValue,
    PrefixStats, Stats, StatsIter, UnstoredReason, prometheus_text,
};
pub use runtime::feed::{InvalidationFeed, InvalidationRecord};
pub use runtime::provenance::{in_current_load, observe};
pub use runtime::trace::Trace;

pub use paths::closing::Closing;
pub use paths::explain::{
    AdaptiveExplanation, DependentExplanation, EntryExplanation, Explanation, LeaseExplanation, NameExplanation,
    NameKind, UnreadableExplanation, UnstoredExplanation,
};
pub use paths::listing::{Listing, ListingCursor};
pub use paths::preview::{Preview, PreviewEntry, PreviewLimit, PreviewStop};
pub use paths::trail::{InvalidationTrail, TrailStep};
pub use paths::write_through::Put;
#[cfg(feature = "redis")]
pub use store::redis::Credentials;
#[cfg(feature = "tls")]
pub use store::redis::Tls;
pub use store::{StoreGate, StoreKey, StoreRequest, StoreScript};
pub use warm::{WarmError, WarmProgress, WarmSchedule, Warmed, Warmer};

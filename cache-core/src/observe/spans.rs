//! What the cache does for long enough to be seen in a trace: loads, refreshes and invalidations.
//! Their fields are the namespace, the prefix, numbers and words; never a key, a tag or a value. A
//! hit has no span.
//!
//! A prefix that may be the whole of a key is not said.

use tracing::Span;
use tracing::span::Entered;

use super::stats::Counters;
use super::whole::InvalidationKind;

/// The span of one load. Boxed, or every cached function's future would be as large; not allocated
/// if nobody listens.
#[derive(Default)]
pub(crate) struct LoadSpan(Option<Box<Span>>);

impl LoadSpan {
    /// A load of so many keys that are counted there.
    pub(crate) fn new(cache: &str, counters: &Counters, keys: usize) -> Self {
        let prefix = counters.prefix();
        let span = tracing::info_span!(target: "cache_core::spans", "cache load", cache, prefix, keys);
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.0.as_ref().map(|span| span.enter())
    }
}

/// The span of a refresh in the background. It is not part of the call that found it due, which
/// ends first.
pub(crate) fn refresh_span(cache: &str, counters: &Counters) -> Span {
    let prefix = counters.prefix();
    let span = tracing::info_span!(target: "cache_core::spans", parent: None, "cache refresh", cache, prefix);
    span.follows_from(Span::current());
    span
}

/// The span of one load that verifies a hit, in a trace of its own.
pub(crate) fn verification_span(cache: &str, counters: &Counters) -> Span {
    let prefix = counters.prefix();
    tracing::info_span!(target: "cache_core::spans", parent: None, "cache verification", cache, prefix)
}

/// The span of an invalidation that names so many keys, tags and patterns.
pub(crate) fn invalidation_span(cache: &str, kind: InvalidationKind, names: usize) -> Span {
    let kind = InvalidationKind::LABELS[kind as usize];
    let entries = tracing::field::Empty;
    tracing::info_span!(target: "cache_core::spans", "cache invalidation", cache, kind, names, entries)
}

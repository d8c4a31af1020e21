//! How the entry of a key is stored. With it `put` through a companion stores what the function
//! itself would store.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::Owner;
use crate::codec::{Compression, Format};
use crate::entry::Shape;
use crate::freshness::Ttl;
use crate::freshness::{AdaptiveTtl, Freshness};
use crate::name::IntoTag;
use crate::name::{IntoKeyName, Names, Part};

/// The options of a cached function about its entries.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) prefix: Cow<'static, str>,
    /// No function made the key, so no options say anything about the entry.
    pub(crate) by_text: bool,
    /// The function that made the key. `None`: none did.
    pub(crate) owner: Option<Owner>,
    pub(crate) ttl: Ttl,
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) version: u32,
    pub(crate) jitter: Option<f64>,
    pub(crate) shape: Option<fn(&mut Shape)>,
    /// `None`: that of the cache.
    pub(crate) format: Option<Format>,
    /// `None`: that of the cache.
    pub(crate) compression: Option<Compression>,
    pub(crate) freshness: Freshness,
    /// If set, it replaces `ttl`.
    pub(crate) adaptive: Option<AdaptiveTtl>,
    /// How long calls wait for another's load, instead of the cache's `lease_wait`.
    pub(crate) wait: Option<Duration>,
    /// After this time a call no longer waits for a load, if it has a value that may stand in.
    pub(crate) load_timeout: Option<Duration>,
}

impl Policy {
    /// Default TTL, no negative entries, version 0, nothing served stale.
    pub fn new(prefix: impl Into<Cow<'static, str>>) -> Self {
        Self {
            prefix: prefix.into(),
            by_text: false,
            owner: None,
            ttl: Ttl::Default,
            negative_ttl: None,
            version: 0,
            jitter: None,
            shape: None,
            format: None,
            compression: None,
            freshness: Freshness::default(),
            adaptive: None,
            wait: None,
            load_timeout: None,
        }
    }

    /// The same for a key that no function made.
    pub(crate) fn by_text(prefix: &str) -> Self {
        Self { by_text: true, ..Self::new(prefix.to_owned()) }
    }

    /// The function whose options these are.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// How long entries live.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Ttl::Fixed(ttl);
        self
    }

    /// The data class that says how long entries live.
    pub fn class(mut self, class: impl Into<Cow<'static, str>>) -> Self {
        self.ttl = Ttl::Class(class.into());
        self
    }

    /// Stores `None` for this long.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// The `version` option.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// The share by which the TTL is shortened at random, instead of the cache's own.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Some(share);
        self
    }

    /// How values are encoded, instead of the cache's own way.
    pub fn codec(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// How large values are compressed, instead of the cache's own way.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// What the type says, where the function says nothing.
    pub(crate) fn of_type(mut self, format: Option<Format>, compression: Option<Compression>) -> Self {
        self.format = self.format.or(format);
        self.compression = self.compression.or(compression);
        self
    }

    /// After the TTL the value is served for this long, while it is refreshed in the background.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.freshness.stale_while_revalidate = window;
        self
    }

    /// After the TTL the value is served for this long if the load fails.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.freshness.stale_if_error = window;
        self
    }

    /// Refreshes in the background before the TTL ends, with this β.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.freshness.early_refresh = Some(beta);
        self
    }

    /// A TTL between these bounds, in ms, that follows the data. Bounds without `0 < min <= max`
    /// change nothing.
    pub fn adaptive_ttl(mut self, min_ms: u64, max_ms: u64) -> Self {
        self.adaptive = AdaptiveTtl::new(Duration::from_millis(min_ms), Duration::from_millis(max_ms));
        self
    }

    /// How long calls wait for another's load, instead of the cache's `lease_wait`.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// After this time a call no longer waits for a load, if it has a value that may stand in.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = Some(timeout);
        self
    }

    /// The fields of a `Cacheable` type, for the fingerprint: `<T as Cacheable>::shape`.
    pub fn shape(mut self, shape: fn(&mut Shape)) -> Self {
        self.shape = Some(shape);
        self
    }
}

/// What `tags` and `depends_on` need of the parameters, encoded before the body can move the
/// parameters.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    pub(crate) parts: Vec<Part>,
    pub(crate) names: Names,
}

impl Captured {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps an encoded parameter for names that also need the result; returned by [`at`](Self::at)
    /// in order.
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds a tag that needs only parameters.
    pub fn tag(mut self, tag: impl IntoTag) -> Self {
        self.names.tag(tag);
        self
    }

    /// Adds a dependency that needs only parameters.
    pub fn key(mut self, key: impl IntoKeyName) -> Self {
        self.names.key(key);
        self
    }

    /// Adds names that were collected elsewhere.
    pub fn names(mut self, names: Names) -> Self {
        self.names.extend(names);
        self
    }

    /// The n-th encoded parameter.
    ///
    /// # Panics
    /// If fewer were captured: a mistake of the generated code.
    pub fn at(&self, n: usize) -> &Part {
        &self.parts[n]
    }
}

/// How the entry of one key is stored.
pub(crate) struct Recipe<T> {
    pub(crate) policy: Policy,
    pub(crate) captured: Captured,
    pub(crate) declared: fn(&Captured, &T) -> Names,
    /// The `when` option: whether the value is to be stored at all.
    pub(crate) keep: fn(&T) -> bool,
}

impl<T> Recipe<T> {
    /// The recipe of a key that no function made.
    pub(super) fn plain(prefix: &str) -> Self {
        Self {
            policy: Policy::by_text(prefix),
            captured: Captured::default(),
            declared: |_, _| Names::new(),
            keep: |_| true,
        }
    }

    /// All names that the value is declared to belong to: names from parameters alone, and names
    /// that need the value.
    pub(crate) fn names(&self, value: &T) -> Names {
        let mut names = self.captured.names.clone();
        names.extend((self.declared)(&self.captured, value));
        names
    }
}

impl<T> Clone for Recipe<T> {
    fn clone(&self) -> Self {
        let Self { policy, captured, declared, keep } = self;
        Self { policy: policy.clone(), captured: captured.clone(), declared: *declared, keep: *keep }
    }
}

impl<T> fmt::Debug for Recipe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe").field("policy", &self.policy).field("captured", &self.captured).finish_non_exhaustive()
    }
}

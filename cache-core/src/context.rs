//! What brings its cache along.

use crate::cache::Cache;

/// The state that functions share, such as the one of a web server, if a cache belongs to it. The
/// option `context = app` of [`#[cached]`](macro@crate::cached) and of the other attributes has a
/// function use the cache that its parameter `app` brings.
///
#[cfg_attr(feature = "macros", doc = "Derive it, or implement its one method.")]
#[cfg_attr(not(feature = "macros"), doc = "It has one method.")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` brings no cache: it does not implement `CacheContext`",
    label = "not a `CacheContext`",
    note = "derive `cache_core::CacheContext` for it, or implement it: `fn cache(&self) -> &Cache`"
)]
pub trait CacheContext {
    /// The cache of the functions that are given this. Every call answers with the same cache.
    fn cache(&self) -> &Cache;
}

/// For functions that are given the cache itself.
impl CacheContext for Cache {
    fn cache(&self) -> &Cache {
        self
    }
}

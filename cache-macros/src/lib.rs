//! The attribute macros of `cache-core`; use them through that crate, where they are documented.
//!
//! Each attribute is parsed, checked against the item, and expanded. Every mistake is found before
//! expansion; after a mistake the item is still emitted, so that its callers compile.

mod cache_context;
mod cacheable;
mod cached;
mod context;
mod duration;
mod errors;
mod evaluate;
mod fallback;
mod in_context;
mod invalidates;
mod literal_names;
mod mentions;
mod names;
mod options;
mod outcome;
mod packing;
mod runtime_path;
mod signature;
mod template;
#[cfg(test)]
mod tests;
mod wrapper;
mod write_through;

use proc_macro::TokenStream;

/// Caches what an `async fn` returns. Documented at `cache_core::cached`.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    cached::cached(options.into(), item.into()).into()
}

/// Invalidates what an `async fn` changes. Documented at `cache_core::invalidates`.
#[proc_macro_attribute]
pub fn invalidates(options: TokenStream, item: TokenStream) -> TokenStream {
    invalidates::invalidates(options.into(), item.into()).into()
}

/// Makes what an `async fn` returns the cached value of another. Documented at
/// `cache_core::write_through`.
#[proc_macro_attribute]
pub fn write_through(options: TokenStream, item: TokenStream) -> TokenStream {
    write_through::write_through(options.into(), item.into()).into()
}

/// Has every function of a module use the cache of one context. Documented at
/// `cache_core::in_context`.
#[proc_macro_attribute]
pub fn in_context(options: TokenStream, item: TokenStream) -> TokenStream {
    in_context::in_context(options.into(), item.into()).into()
}

/// Declares how values of a type are cached. Documented at `cache_core::Cacheable`.
#[proc_macro_derive(Cacheable, attributes(cacheable))]
pub fn derive_cacheable(input: TokenStream) -> TokenStream {
    cacheable::cacheable(input.into()).into()
}

/// Makes a type bring its cache. Documented at `cache_core::CacheContext`.
#[proc_macro_derive(CacheContext, attributes(cache, cache_context))]
pub fn derive_cache_context(input: TokenStream) -> TokenStream {
    cache_context::cache_context(input.into()).into()
}

/// Behind `cache_core::key!`.
#[doc(hidden)]
#[proc_macro]
pub fn __key(input: TokenStream) -> TokenStream {
    literal_names::literal_name(names::Kind::Key, input.into()).into()
}

/// Behind `cache_core::tag!`.
#[doc(hidden)]
#[proc_macro]
pub fn __tag(input: TokenStream) -> TokenStream {
    literal_names::literal_name(names::Kind::Tag, input.into()).into()
}

//! What generated code may name, and nothing else does. No stability is promised for any of it.

mod bounds;
mod cache;
mod collect;
mod context;
#[cfg(feature = "macros")]
mod name_macros;
mod packing;
mod returns;
mod target;

pub use std::borrow::Cow;
pub use std::string::String;
pub use std::sync::OnceLock;
pub use std::time::Duration;
pub use std::vec::Vec;

#[cfg(feature = "macros")]
pub use cache_macros::{__key, __tag};

pub use crate::cache::Cache;
pub use crate::cacheable::Cacheable;
pub use crate::call::{
    BatchMap, Call, Coding, Copying, Finish, Handover, Home, Invalidating, Load, ManyCall, ManyLoad, ManyStep, Mapping,
    Mode, Refresh, Sampling, Start, Step, Writing, fill_many, lookup_many, refresh,
};
pub use crate::codec::{Compression, Format};
pub use crate::context::CacheContext;
pub use crate::entry::{OpaqueField, Shape, ShapeOf};
pub use crate::freshness::Ttl;
pub use crate::invalidation::Invalidation;
pub use crate::key::{CachedFunction, Captured, Key, KeyText, NearPlace, Owner, Policy, WalkStep};
pub use crate::name::{KeyPart, Names, Part, Tag, Template, TextKey, part, tag_part};
pub use crate::runtime::Turn;

pub use self::bounds::*;
pub use self::collect::*;
pub use self::context::*;
pub use self::packing::*;
pub use self::returns::*;
pub use self::target::*;

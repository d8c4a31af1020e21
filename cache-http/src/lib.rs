#![doc = include_str!("../docs/http.md")]
#![doc = "```vcl"]
#![doc = include_str!("../docs/cache.vcl")]
#![doc = "```"]

// The README's example compiles, or the tests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod body;
mod cdn;
mod directives;
mod headers;
mod keeping;
mod limits;
mod purger;
mod queue;
mod request;
mod responses;
mod stored;

pub use body::ResponseBody;
pub use cdn::{Cdn, CdnDialect};
pub use headers::{CacheHeaders, CacheHeadersService};
pub use limits::{BODY_BYTES_MAX, FLIGHT, KEY_HEADER_BYTES_MAX, PURGE_KEYS_MAX, PURGE_QUEUE_KEYS_MAX};
pub use purger::{Purge, PurgeError, PurgeHealth, Purger};
pub use request::RequestFacts;
pub use responses::{ResponseCache, ResponseCacheService, ResponseQuery};

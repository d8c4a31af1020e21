//! The limits, each with its reason.

use std::time::Duration;

/// Bytes of a body that is read whole, for its `ETag` or to be stored. What is longer, or of
/// unknown length, is passed on as it comes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the header that lists the keys of a response. Varnish takes lines of 8 KiB, and
/// Fastly and Cloudflare twice that.
pub const KEY_HEADER_BYTES_MAX: usize = 7 * 1024;

/// Characters of a name that is written as it is. A longer one is written as its hash.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// Characters of the name of a site: it stands before each key.
pub(crate) const SITE_CHARS_MAX: usize = 32;

/// Keys that one purge names: as a header of Varnish has room for them all.
pub const PURGE_KEYS_MAX: usize = 64;

/// Keys that wait to be purged. Beyond that everything is purged, which is one request.
pub const PURGE_QUEUE_KEYS_MAX: usize = 10_000;

/// How long a response may take from the beginning of its request until the CDN has stored it.
pub const FLIGHT: Duration = Duration::from_secs(10);

/// A longer time counts as this, a century: it is added to a clock.
pub(crate) const FLIGHT_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// How often a purger asks the store what was invalidated.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// Time for one purge. Then it counts as failed, and is sent again.
pub(crate) const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses after a purge that failed: twice as long each time.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest of them.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Characters of a path that the key of a stored response shows.
pub(crate) const SHOWN_PATH_CHARS_MAX: usize = 200;

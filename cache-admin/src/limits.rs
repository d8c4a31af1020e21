//! Every limit, each with its reason.

use std::time::Duration;

/// Event streams at once: each holds a connection, and operators are few.
pub(crate) const STREAMS_MAX: usize = 32;
/// Previews at once: one may take the store 20 s of its time, in small portions.
pub(crate) const PREVIEWS_MAX: usize = 8;
/// Warm runs at once: their loads share the warmer's permits, so more would only wait.
pub(crate) const WARM_RUNS_MAX: usize = 4;
/// Bytes of the body of an action: a thousand names of usual length.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1_024;
/// Names of one preview, invalidation or warm run.
pub(crate) const NAMES_MAX: usize = 1_000;
/// Entries of one preview that are sent: all that a preview tells.
pub(crate) const PREVIEW_ENTRIES_MAX: usize = 10_000;
/// A comment on a stream that is silent, so that proxies keep it and a client that is gone is
/// noticed.
pub(crate) const STREAM_PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long a verdict waits for a store that does not answer.
pub(crate) const READY_WAIT: Duration = Duration::from_millis(300);
/// Names that a completion offers of each kind, and the most that one may ask for.
pub(crate) const LISTED: usize = 20;
pub(crate) const LISTED_MAX: usize = 100;
/// Pages that it looks at, each a round trip and some 1,000 keys of the server: a letter that is
/// typed costs no more than 20 ms of the server's time.
pub(crate) const LISTED_PAGES_MAX: usize = 20;

//! Durations as users give them.

use std::time::Duration;

use super::ttl::parse_duration;
use crate::error::Error;

/// A duration, or a text as the attributes have it: `"250ms"`, `"2s"`, `"5m"`.
pub trait IntoDuration {
    /// The duration.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a text that is none.
    fn into_duration(self) -> Result<Duration, Error>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, Error> {
        parse_duration(self)
    }
}

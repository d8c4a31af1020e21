//! The one public error.

use std::fmt;

/// The kind of a failure, which a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL, credential, database, name or limit is wrong. The same call fails again until that is
    /// corrected.
    Config,
    /// The store cannot be reached, or the breaker is open. The same call may work later.
    Unavailable,
    /// The store did not answer within the operation deadline, and whether it acted is unknown. Or
    /// an invalidation took more than a minute, and goes on in the background. Or closed names were
    /// not renewed in time: see [`Closing::confirm`](crate::Closing::confirm).
    Timeout,
    /// A named limit was reached: a value, a name or a count is too large.
    Limit,
    /// The store's answer, or something in the store, is not what this library understands.
    Protocol,
    /// A value could not be encoded, or a name could not be made from its parts.
    Encode,
}

/// Why an operation of the cache failed.
///
/// Opaque: act on [`kind`](Error::kind). Messages never hold values, credentials or the keys of
/// hashed arguments. Cached functions never return this error: they fail open.
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into_boxed_str(), source: None }
    }

    // Used by the Redis store alone: a server answers with errors of its own.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind, which tells what the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("message", &self.message).finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

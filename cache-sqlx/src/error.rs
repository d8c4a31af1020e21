//! What can go wrong.

use std::fmt;

/// Why a transaction was not committed, an outbox not relayed, or triggers not made.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The database refused, or could not be reached. Of a `COMMIT` the outcome may be unknown.
    Database,
    /// The cache could not be reached, or can never do what it was asked. Of a commit: nothing was
    /// written.
    Cache,
    /// The call can never work as it is: a declaration with a mistake, triggers that are there
    /// already, a connection that is in a transaction already.
    Misuse,
}

impl Error {
    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Misuse, message: message.into(), source: None }
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The database's error, if it is one.
    pub fn as_database(&self) -> Option<&sqlx::Error> {
        self.source.as_deref()?.downcast_ref()
    }

    /// The cache's error, if it is one.
    pub fn as_cache(&self) -> Option<&cache_core::Error> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self { kind: ErrorKind::Database, message: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl From<cache_core::Error> for Error {
    fn from(error: cache_core::Error) -> Self {
        Self { kind: ErrorKind::Cache, message: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_deref()?)
    }
}

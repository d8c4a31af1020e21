//! A `COMMIT`, and what is done with the cache around it.

use std::future::Future;

use cache_core::{Cache, Invalidated, Invalidation};

use crate::error::Error;

/// What a commit came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Committed {
    /// What was removed from the cache. An error does not undo the commit: the invalidation is
    /// retried in the background, and until it succeeds other processes may serve old values.
    pub invalidation: Result<Invalidated, cache_core::Error>,
}

impl Committed {
    pub(crate) fn nothing_removed() -> Self {
        Self { invalidation: Ok(Invalidated::default()) }
    }
}

/// What becomes of a transaction whose names could not be closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfUnclosed {
    RollBack,
    Commit,
}

/// Closes, commits, opens.
pub(crate) async fn around_commit(
    cache: &Cache,
    invalidation: Invalidation,
    _if_unclosed: IfUnclosed,
    commit: impl Future<Output = Result<(), sqlx::Error>>,
) -> Result<Committed, Error> {
    let committed = commit.await;
    let invalidation = cache.invalidate(invalidation).await;
    committed?;
    Ok(Committed { invalidation })
}

//! A `COMMIT`, and what is done with the cache around it.

use std::future::Future;

use cache_core::{Cache, Closing, Invalidation};
use tokio::runtime::Handle;

use crate::error::Error;

/// What a commit came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Committed {
    /// Whether the names were opened, or invalidated. An error does not undo the commit: it is
    /// retried in the background.
    pub invalidation: Result<(), cache_core::Error>,
}

impl Committed {
    pub(crate) fn of_nothing() -> Self {
        Self { invalidation: Ok(()) }
    }
}

/// What becomes of a transaction whose names could not be closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfUnclosed {
    RollBack,
    Commit,
}

/// What is to be done after the `COMMIT`. It is done in the background if this is dropped.
pub(crate) enum Pending {
    Closed(Closing),
    Unclosed(Owed),
}

impl Pending {
    /// Closes, before the `COMMIT`.
    pub(crate) async fn close(
        cache: &Cache,
        invalidation: Invalidation,
        if_unclosed: IfUnclosed,
    ) -> Result<Self, cache_core::Error> {
        match if_unclosed {
            IfUnclosed::RollBack => Ok(Self::Closed(cache.close(invalidation).await?)),
            IfUnclosed::Commit => Ok(Self::close_if_possible(cache, invalidation).await),
        }
    }

    /// Commits, and opens: also if the `COMMIT` failed, for its outcome may be unknown.
    pub(crate) async fn around(
        self,
        commit: impl Future<Output = Result<(), sqlx::Error>>,
    ) -> Result<Committed, Error> {
        let committed = commit.await;
        let invalidation = self.finish().await;
        committed?;
        Ok(Committed { invalidation })
    }

    /// What cannot be closed is left to be invalidated after the `COMMIT`.
    async fn close_if_possible(cache: &Cache, invalidation: Invalidation) -> Self {
        let owed = |invalidation| Self::Unclosed(Owed { cache: cache.clone(), invalidation: Some(invalidation) });
        // A copy, for closing takes it away. What has none has a name that cannot be closed either.
        let Ok(copy) = invalidation.to_json().and_then(|text| Invalidation::from_json(&text)) else {
            return owed(invalidation);
        };
        match cache.close(invalidation).await {
            Ok(closing) => Self::Closed(closing),
            Err(error) => {
                tracing::warn!(%error, "a transaction commits although its names could not be closed");
                owed(copy)
            }
        }
    }

    async fn finish(self) -> Result<(), cache_core::Error> {
        match self {
            Self::Closed(closing) => closing.open().await.map(drop),
            Self::Unclosed(mut owed) => match owed.invalidation.take() {
                Some(invalidation) => owed.cache.invalidate(invalidation).await.map(drop),
                None => Ok(()),
            },
        }
    }
}

/// An invalidation that was not closed before.
pub(crate) struct Owed {
    cache: Cache,
    /// `None`: it is under way.
    invalidation: Option<Invalidation>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        let (cache, invalidation) = (self.cache.clone(), self.invalidation.take());
        if let (Some(invalidation), Ok(runtime)) = (invalidation, Handle::try_current()) {
            // Its failure is retried, and said, by the cache.
            runtime.spawn(async move { cache.invalidate(invalidation).await });
        }
    }
}

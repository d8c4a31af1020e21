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

    /// Commits if the names have stayed closed, and opens: also if the `COMMIT` failed, for its
    /// outcome may be unknown.
    pub(crate) async fn around(
        self,
        if_unclosed: IfUnclosed,
        commit: impl Future<Output = Result<(), sqlx::Error>>,
    ) -> Result<Committed, Error> {
        // This process may have stood still since it closed the names.
        if let Self::Closed(closing) = &self
            && let Err(error) = closing.confirm().await
        {
            match if_unclosed {
                IfUnclosed::RollBack => return Err(error.into()),
                IfUnclosed::Commit => tracing::warn!(%error, "a transaction commits although its names were open"),
            }
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    /// A runtime that has ended renews nothing, as a process that stands still.
    fn close_and_stand_still(cache: &Cache, if_unclosed: IfUnclosed) -> Pending {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Pending::close(cache, Invalidation::new().tag("t"), if_unclosed)).unwrap()
    }

    async fn commit_after(stands_still: Duration, if_unclosed: IfUnclosed) -> (Result<Committed, Error>, bool) {
        let cache = Cache::in_memory();
        let pending = tokio::task::spawn_blocking({
            let cache = cache.clone();
            move || close_and_stand_still(&cache, if_unclosed)
        });
        let pending = pending.await.unwrap();
        tokio::time::advance(stands_still).await;
        let is_committed = AtomicBool::new(false);
        let commit = async {
            is_committed.store(true, Ordering::Relaxed);
            Ok(())
        };
        let outcome = pending.around(if_unclosed, commit).await;
        (outcome, is_committed.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stood_still_for_too_long_does_not_commit() {
        let (outcome, is_committed) = commit_after(Duration::from_secs(20), IfUnclosed::RollBack).await;
        assert!(outcome.is_ok() && is_committed, "the marks are renewed");
        let (outcome, is_committed) = commit_after(Duration::from_secs(31), IfUnclosed::RollBack).await;
        assert_eq!(outcome.unwrap_err().kind(), crate::ErrorKind::Cache);
        assert!(!is_committed);
        let (outcome, is_committed) = commit_after(Duration::from_secs(31), IfUnclosed::Commit).await;
        assert!(outcome.is_ok() && is_committed);
    }
}

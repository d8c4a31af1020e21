//! Names that are closed around a change: from before it until after it, nothing that belongs to
//! them is stored, so nothing that was loaded before the change is stored after it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::drive::{Marking, drive_marking};
use super::invalidate::{Obligation, report, to_the_end};
use crate::clock::{self, Instant, timers};
use crate::config::{CLOSING_NAMES_MAX, DURATION_MIN, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::invalidation::{Invalidated, Targets};
use crate::observe::Event;
use crate::runtime::Runtime;

/// A mark is renewed so many times in its lifetime: one renewal may fail.
const RENEWALS_PER_LIFETIME: u32 = 3;

/// Names that [`Cache::close`](crate::Cache::close) has closed, until [`open`](Self::open) opens
/// them.
///
/// Dropped without that, nobody knows whether the change was made. So the names are opened as if it
/// was, in the background; a failure is logged at ERROR, and made good.
#[must_use = "dropped, the names are opened before the change is made"]
pub struct Closing {
    /// `None`: nothing is closed.
    closed: Option<Closed>,
    /// Whose change it is, for the log.
    function: Cow<'static, str>,
}

/// What has to be opened.
struct Closed {
    obligation: Obligation,
    closed_at: ClosedAt,
    /// Renews the marks while this process lives.
    renewal: Option<JoinHandle<()>>,
}

/// From when on the marks have their whole lifetime before them.
#[derive(Clone)]
struct ClosedAt(Arc<Mutex<Instant>>);

impl ClosedAt {
    fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    fn set(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closing {
    /// The names have been closed without a gap since [`Cache::close`](crate::Cache::close). Ask
    /// right before the `COMMIT`: a process that stood still in between, or was cut off from the
    /// store, has renewed nothing.
    ///
    /// After `Ok` they stay closed for half of
    /// [`closing_lifetime`](crate::Builder::closing_lifetime) at least.
    ///
    /// # Cost
    /// None, unless half of the lifetime has passed since the last renewal: then that of a renewal.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if the lifetime has passed: values that
    /// were loaded before the change may have been stored. Roll back, or commit, and
    /// [`open`](Self::open) invalidates what is reached then. As
    /// [`Cache::close`](crate::Cache::close) if the store does not answer.
    pub async fn confirm(&self) -> Result<(), Error> {
        match &self.closed {
            Some(closed) => closed.confirm().await,
            None => Ok(()),
        }
    }

    /// The change is made, or will not be: opens the names, and removes what they reach once more.
    ///
    /// # Consistency
    /// As [`Cache::invalidate`](crate::Cache::invalidate): after `Ok` no call in any process
    /// returns a value of these entries whose load began before this was called.
    ///
    /// # Cancel safety
    /// Once polled, or dropped, the names are opened in any case.
    ///
    /// # Cost
    /// One round trip for every 256 names, and one more for every 300 entries reached beyond the
    /// first 300; usually none is reached.
    ///
    /// # Errors
    /// As [`Cache::invalidate`](crate::Cache::invalidate): the invalidation is then retried in the
    /// background, and the names stay closed for the rest of
    /// [`closing_lifetime`](crate::Builder::closing_lifetime).
    pub async fn open(mut self) -> Result<Invalidated, Error> {
        match self.closed.take() {
            Some(closed) => to_the_end(closed.open()).await,
            None => Ok(Invalidated::default()),
        }
    }

    /// As [`open`](Self::open), for a caller that cannot be told of a failure. It is under way when
    /// this returns, if there is a tokio runtime.
    pub(crate) fn open_and_report(mut self) -> impl Future<Output = ()> + Send + use<> {
        let opened = self.closed.take().map(|closed| closed.open_and_report(take(&mut self.function)));
        async move {
            if let Some(opened) = opened {
                opened.await;
            }
        }
    }

    /// Hands over what has to be opened to a write that opens it after the end of the renewal.
    /// `None`: nothing is closed.
    pub(crate) fn into_write(mut self) -> Option<(Obligation, Option<JoinHandle<()>>)> {
        let mut closed = self.closed.take()?;
        let renewal = closed.end_renewal();
        Some((closed.obligation, renewal))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(closed) = self.closed.take() {
            drop(closed.open_and_report(take(&mut self.function)));
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}

impl Closed {
    async fn confirm(&self) -> Result<(), Error> {
        let lifetime = self.obligation.runtime().config.closing_lifetime;
        let closed_at = self.closed_at.get();
        if clock::since(closed_at) < lifetime / 2 {
            return Ok(());
        }
        let begun = clock::now();
        self.obligation.close(lifetime).await?;
        if clock::since(closed_at) >= lifetime {
            let message = format!("closed names were not renewed for {lifetime:?}, so they were open for a while");
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        self.closed_at.set(begun);
        Ok(())
    }

    fn open(mut self) -> impl Future<Output = Result<Invalidated, Error>> + Send + use<> {
        let renewal = self.end_renewal();
        let obligation = self.obligation;
        async move {
            end_of(renewal, obligation.runtime()).await;
            obligation.open().await
        }
    }

    fn open_and_report(self, function: Cow<'static, str>) -> impl Future<Output = ()> + Send + use<> {
        let runtime = self.obligation.runtime().clone();
        let say = move |error: &Error| {
            runtime.counted.unprefixed.note(Event::InvalidationFailed { by: &function, error });
        };
        report(self.open(), say)
    }

    /// Returns it while it may still be under way.
    fn end_renewal(&mut self) -> Option<JoinHandle<()>> {
        let renewal = take(&mut self.renewal)?;
        renewal.abort();
        Some(renewal)
    }
}

/// Waits for a renewal that was told to end: one that is under way would close the names again
/// after they are opened. On a runtime that stands still it does not end, so it is waited for as
/// long as its command may take.
pub(crate) async fn end_of(renewal: Option<JoinHandle<()>>, runtime: &Runtime) {
    if let (Some(renewal), Ok(_)) = (renewal, timers()) {
        _ = timeout(runtime.config.operation_deadline, renewal).await;
    }
}

/// Closes what an invalidation names, for a change that `function` makes. Goes on to the end if the
/// caller is dropped, and then opens again.
pub(crate) async fn close(
    runtime: &Arc<Runtime>,
    targets: Targets,
    function: impl Into<Cow<'static, str>>,
) -> Result<Closing, Error> {
    let function = function.into();
    if targets.clear || !targets.patterns.is_empty() {
        let message = "a pattern cannot be closed, nor can everything: name keys and tags, and invalidate the \
             pattern after the change";
        return Err(Error::new(ErrorKind::Config, message));
    }
    if targets.names.len() > CLOSING_NAMES_MAX {
        let message = format!("at most {CLOSING_NAMES_MAX} names are closed at once: close a tag that stands for them");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    if targets.names.is_empty() || runtime.store.is_none() {
        return Ok(Closing { closed: None, function });
    }
    let lifetime = runtime.config.closing_lifetime;
    let obligation = Obligation::new(runtime, targets);
    let close = async move {
        let begun = clock::now();
        if let Err(error) = obligation.close(lifetime).await {
            // Of many names, some may be closed before there is no room any more.
            if error.kind() == ErrorKind::Limit && obligation.targets().names.len() > INVALIDATE_NAMES_PER_CHUNK {
                let open = Marking::Open { by: obligation.by() };
                _ = drive_marking(obligation.runtime(), obligation.targets(), open).await;
            }
            // The change is not made: nothing is owed. What may be closed opens by itself.
            obligation.fulfilled();
            return Err(error);
        }
        let closed_at = ClosedAt::new(begun);
        let renewal = renew(&obligation, &closed_at, lifetime);
        Ok(Closing { closed: Some(Closed { obligation, closed_at, renewal }), function })
    };
    to_the_end(close).await
}

/// Renews the marks until it is ended. What was lost meanwhile, with the clock for example, is
/// closed again. `None` on a runtime without timers: then the marks end with their lifetime.
fn renew(obligation: &Obligation, closed_at: &ClosedAt, lifetime: Duration) -> Option<JoinHandle<()>> {
    let (runtime, targets, by) = (obligation.runtime().clone(), obligation.targets().clone(), obligation.by());
    let closed_at = closed_at.clone();
    let pause = (lifetime / RENEWALS_PER_LIFETIME).max(DURATION_MIN);
    let renewals = async move {
        loop {
            tokio::time::sleep(pause).await;
            let begun = clock::now();
            // If it fails, the next renewal may still be in time. What comes too late does not make
            // up for the gap.
            let renewed = drive_marking(&runtime, &targets, Marking::Close { by, lasts: lifetime }).await;
            if renewed.is_ok() && clock::since(closed_at.get()) < lifetime {
                closed_at.set(begun);
            }
        }
    };
    Some(timers().ok()?.spawn(renewals))
}

//! Invalidation: by key, by tag, by pattern, of everything; driven until nothing is pending.

mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::cache::Inner;
use crate::clock::{Instant, within};
use crate::config::{INVALIDATE_DEADLINE, INVALIDATE_NAMES_PER_CHUNK};
use crate::error::{Error, ErrorKind};
use crate::name::IntoKeyName;
use crate::name::IntoTag;
use crate::name::{Name, check_name_text, prefix_of};
use crate::store::{Drained, SweepScope};

/// What is to be removed: entries by key, by tag and by pattern, each with all that depends on it.
///
/// Names are taken at their word: a `&str` is a literal key or tag. One that can never name anything (empty, too long, with
/// control characters) does not keep the others from being invalidated; it makes [`Cache::invalidate`](crate::Cache::invalidate)
/// return an error after that.
///
/// # Example
/// ```
/// # use cache_core::{Cache, Invalidation};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_core::Error> {
/// # let cache = Cache::in_memory();
/// cache.invalidate(Invalidation::new().key("flight:42").tag("airport:DFW").pattern("board:*")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is removed before it is given to `Cache::invalidate`"]
pub struct Invalidation {
    names: BTreeSet<Name>,
    patterns: BTreeSet<String>,
    clear: bool,
    invalid: Option<Error>,
}

impl Invalidation {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One entry, and what depends on it.
    pub fn key(mut self, key: impl IntoKeyName) -> Self {
        self.add(key.into_key_name().map(|key| key.name()));
        self
    }

    /// Every entry with this tag, and what depends on them.
    pub fn tag(mut self, tag: impl IntoTag) -> Self {
        self.add(tag.into_tag().map(|tag| tag.name()));
        self
    }

    /// Many keys at once.
    pub fn keys<K: IntoKeyName>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, Self::key)
    }

    /// Many tags at once.
    pub fn tags<T: IntoTag>(self, tags: impl IntoIterator<Item = T>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Every entry whose logical key matches a Redis glob (`*`, `?`, `[a-z]`, `\`), and what depends on it. Text from a user
    /// must go through [`escape_glob`](crate::escape_glob) first.
    ///
    /// # Cost
    /// One round trip for every 300 keys in the store, of any namespace, in each of two walks: prefer a tag. No fill that is
    /// under way is accepted.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        match check_name_text(&pattern) {
            Ok(()) => _ = self.patterns.insert(pattern),
            Err(error) => self.invalid = Some(error),
        }
        self
    }

    /// This one and another.
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.patterns.extend(other.patterns);
        self.clear |= other.clear;
        self.invalid = self.invalid.or(other.invalid);
        self
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && !self.clear && self.invalid.is_none()
    }

    pub(crate) fn everything() -> Self {
        Self { clear: true, ..Self::default() }
    }

    /// A name that could not be encoded names nothing: there is nothing to remove.
    fn add(&mut self, name: Result<Option<Name>, Error>) {
        match name {
            Ok(name) => self.names.extend(name),
            Err(error) => self.invalid = Some(error),
        }
    }

    pub(crate) fn into_parts(self) -> (Targets, Option<Error>) {
        let targets = Targets {
            names: self.names.into_iter().collect(),
            patterns: self.patterns.into_iter().collect(),
            clear: self.clear,
        };
        (targets, self.invalid)
    }
}

/// What an invalidation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// Live entries removed, dependents included.
    pub entries: u64,
}

/// The part of an invalidation that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) names: Vec<Name>,
    pub(crate) patterns: Vec<String>,
    pub(crate) clear: bool,
}

impl Targets {
    pub(crate) fn of(name: Name) -> Self {
        Self { names: vec![name], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && !self.clear
    }

    /// The prefix that all of it belongs to, if there is one.
    fn prefix(&self) -> Option<&str> {
        let mut prefixes = self.names.iter().map(|name| name.as_key().map(prefix_of));
        let first = prefixes.next()??;
        let alone = self.patterns.is_empty() && !self.clear && prefixes.all(|prefix| prefix == Some(first));
        alone.then_some(first)
    }
}

/// Owes the targets to the recovery, unless they are settled first: so does an invalidation whose runtime ends under it.
pub(crate) struct Unsettled {
    inner: Arc<Inner>,
    targets: Option<Targets>,
}

impl Unsettled {
    pub(crate) fn new(inner: &Arc<Inner>, targets: Targets) -> Self {
        Self { inner: inner.clone(), targets: Some(targets) }
    }

    /// Drives the targets to the end; what fails is owed.
    pub(crate) async fn drive(self) -> Result<Invalidated, Error> {
        let Some(targets) = &self.targets else { return Ok(Invalidated::default()) };
        let entries = drive(&self.inner, targets).await?;
        match targets.prefix() {
            Some(prefix) => self.inner.counted.prefix(prefix).invalidated(entries),
            None => self.inner.counted.unprefixed.invalidated(entries),
        }
        self.settled();
        Ok(Invalidated { entries })
    }

    /// Nothing is owed.
    pub(crate) fn settled(mut self) {
        self.targets = None;
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(targets) = self.targets.take() {
            self.inner.counted.unprefixed.failed_invalidations(1);
            self.inner.recovery.owe(&self.inner, targets);
        }
    }
}

/// Invalidates in a task of its own, so that a caller who is dropped while waiting does not stop it.
pub(crate) async fn invalidate(inner: &Arc<Inner>, targets: Targets) -> Result<Invalidated, Error> {
    if targets.is_empty() || inner.store.is_none() {
        return Ok(Invalidated::default());
    }
    let work = Unsettled::new(inner, targets).drive();
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn(work).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the runtime ended before the invalidation did"))
        }),
        Err(_) => work.await,
    }
}

/// Sends everything and goes on until nothing is pending. Returns the number of live entries removed.
pub(crate) async fn drive(inner: &Inner, targets: &Targets) -> Result<u64, Error> {
    // Before: a call that comes now may not join a load that began before. After: nor one that began while it ran.
    inner.flights.close_epoch();
    let result = Drive::new(inner).all(targets).await;
    inner.flights.close_epoch();
    result
}

/// Goes on with what is pending until nothing is. Returns the number of live entries removed.
pub(crate) async fn drain(inner: &Inner) -> Result<u64, Error> {
    let mut drive = Drive::new(inner);
    drive.drain().await?;
    Ok(drive.removed)
}

/// Begins an invalidation whose caller has no way to learn of a failure, and says failures at ERROR. It is under way when
/// this returns, as far as there is a runtime; the future waits for its end.
pub(crate) fn begin_and_report(
    inner: &Arc<Inner>,
    invalidation: Invalidation,
) -> impl Future<Output = ()> + Send + use<> {
    let (targets, invalid) = invalidation.into_parts();
    if let Some(error) = invalid {
        inner.counted.unprefixed.failed_invalidations(1);
        tracing::error!(%error, "a function invalidates something that can never name an entry");
    }
    let wanted = !targets.is_empty() && inner.store.is_some();
    let done = wanted.then(|| begin(Unsettled::new(inner, targets).drive()));
    async move {
        if let Some(done) = done {
            done.await;
        }
    }
}

/// Begins work that owes an invalidation if it fails, and says so at ERROR; as [`begin_and_report`].
pub(crate) fn begin<T: 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let work = async move {
        if let Err(error) = work.await {
            tracing::error!(%error, "an invalidation failed; it is retried in the background");
        }
    };
    let task = match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn(work)),
        Err(_) => Err(work),
    };
    async move {
        match task {
            // Its end is all that matters: if its runtime ended first, the recovery owes it.
            Ok(task) => _ = task.await,
            Err(work) => work.await,
        }
    }
}

struct Drive<'a> {
    inner: &'a Inner,
    until: Instant,
    removed: u64,
}

impl<'a> Drive<'a> {
    fn new(inner: &'a Inner) -> Self {
        Self { inner, until: Instant::now() + INVALIDATE_DEADLINE, removed: 0 }
    }

    async fn all(mut self, targets: &Targets) -> Result<u64, Error> {
        let mut pending = false;
        for chunk in targets.names.chunks(INVALIDATE_NAMES_PER_CHUNK) {
            let drained = self.chunk(chunk).await?;
            pending = self.count(drained);
        }
        if pending {
            self.drain().await?;
        }
        if targets.clear {
            self.sweep("*", SweepScope::Values).await?;
            self.sweep("*", SweepScope::AllIndexes).await?;
        } else {
            for pattern in &targets.patterns {
                // In this order: an index gains a stale dependent only while its entry is there for the first walk to meet.
                self.sweep(pattern, SweepScope::Values).await?;
                self.sweep(pattern, SweepScope::Dependents).await?;
            }
        }
        Ok(self.removed)
    }

    async fn sweep(&mut self, pattern: &str, scope: SweepScope) -> Result<(), Error> {
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            self.check_time()?;
            let page =
                within(self.inner.config.operation_deadline, self.inner.store()?.sweep(pattern, scope, at)).await?;
            if self.count(page.drained) {
                self.drain().await?;
            }
            cursor = page.next;
            // The embedded store never waits: let others run between two pages.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Error> {
        loop {
            let drained = self.chunk(&[]).await?;
            if !self.count(drained) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn chunk(&self, names: &[Name]) -> Result<Drained, Error> {
        self.check_time()?;
        within(self.inner.config.operation_deadline, self.inner.store()?.invalidate(names)).await
    }

    /// Whether something is still pending.
    fn count(&mut self, drained: Drained) -> bool {
        self.removed += drained.removed;
        drained.pending > 0
    }

    fn check_time(&self) -> Result<(), Error> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "the invalidation took too long; it goes on in the background"))
    }
}

//! `put` and `#[write_through]`: the writer's value replaces the entry, unless somebody else may know better.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::clock::within;
use crate::entry::codec;
use crate::entry::fingerprint;
use crate::error::{Error, ErrorKind};
use crate::invalidation::Targets;
use crate::key::Key;
use crate::name::Names;
use crate::name::{Name, prefix_of};
use crate::observe::Counters;
use crate::paths::invalidate::{self, Unsettled};
use crate::paths::stamp::{self, Refilled, Stamped, Unstorable};
use crate::runtime::Runtime;
use crate::runtime::provenance::{Collected, Scope};
use crate::store::{ClockReading, Fill, FillReply, Recall, Token};

/// What a [`put`](crate::Cache::put) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// Whether the value is in the cache now. If not: something that it belongs to was invalidated meanwhile, by another
    /// writer for example, or it is `None` without a negative lifetime.
    pub stored: bool,
    /// Live entries removed, dependents and the old value included.
    pub entries: u64,
}

pub(crate) async fn put<T: Serialize + DeserializeOwned>(
    runtime: &Arc<Runtime>,
    key: Result<Key<T>, Error>,
    value: &T,
) -> Result<Put, Error> {
    let Ok(store) = runtime.store() else { return Ok(Put::default()) };
    let key = key?;
    let Some((logical, name)) = key.entry() else {
        return Err(Error::new(ErrorKind::Encode, "the key has an argument that cannot be encoded"));
    };
    // Before anything else is done: an invalidation from here on makes the value that the caller holds an old one.
    let reading = store.read_clock(&logical, stamp::recall(&key.policy()));
    let clock = match within(runtime.config.operation_deadline, reading).await {
        Ok(clock) => clock,
        Err(error) => {
            // The old value must not stay, and nothing else says so.
            drop(Unsettled::new(runtime, Targets::of(name)));
            return Err(error);
        }
    };
    let ready = match ready(runtime, &key, &name, value, Collected::default(), clock) {
        Ok(ready) => ready,
        Err(reason) => {
            let invalidated = invalidate::invalidate(runtime, Targets::of(name)).await?;
            return match reason {
                Unstorable::NotWanted => Ok(Put { stored: false, entries: invalidated.entries }),
                Unstorable::TooLarge => Err(Error::new(ErrorKind::Limit, "the value is larger than value_bytes_max")),
                Unstorable::Unencodable => Err(Error::new(ErrorKind::Encode, "the value cannot be encoded")),
                Unstorable::Unreachable => Err(Error::new(
                    ErrorKind::Limit,
                    "the value has too many tags, one that cannot be written, or one that the key alone cannot tell",
                )),
            };
        }
    };
    let work = write(Unsettled::new(runtime, Targets::of(name.clone())), runtime.clone(), name, ready);
    match Handle::try_current() {
        // In a task of its own: a write that is under way must be driven to its end.
        Ok(handle) => handle
            .spawn(work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the runtime ended before the write did"))),
        Err(_) => work.await,
    }
}

/// A value that is ready for the store.
pub(crate) struct Ready {
    names: Vec<Name>,
    stamped: Stamped,
    /// Read before the write.
    clock: ClockReading,
}

fn ready<T: Serialize + DeserializeOwned>(
    runtime: &Runtime,
    key: &Key<T>,
    name: &Name,
    value: &T,
    inherited: Collected,
    clock: ClockReading,
) -> Result<Ready, Unstorable> {
    let policy = key.policy();
    let declared = match key.recipe() {
        Some(recipe) if !(recipe.keep)(value) => return Err(Unstorable::NotWanted),
        Some(recipe) => recipe.names(value),
        None => Names::new(),
    };
    let names = stamp::names(runtime, name, declared, inherited)?;
    let encoded = codec::encode(value).map_err(|_| Unstorable::Unencodable)?;
    let fingerprint = fingerprint::<T>(policy.version, policy.shape);
    // A write says nothing of what was there before it: the payload alone tells whether the data changed.
    let refilled = Refilled { clock: &clock, replaces: true };
    let stamped = stamp::stamp(runtime, &policy, fingerprint, &names, encoded, Duration::ZERO, refilled)?;
    Ok(Ready { names, stamped, clock })
}

async fn write(unsettled: Unsettled, runtime: Arc<Runtime>, key: Name, ready: Ready) -> Result<Put, Error> {
    let Ready { names, stamped: Stamped { value, ttl, learned }, clock } = ready;
    let logical = key.as_key().unwrap_or_default();
    let counters = counters_of(&runtime, &key);
    runtime.flights.close_epoch();
    let fill = Fill { key: logical, value, names: &names, ttl, clock: &clock, token: Token::new(), learned };
    let written = within(runtime.config.operation_deadline, runtime.store()?.write(fill)).await;
    runtime.flights.close_epoch();
    let written = written.inspect_err(|_| counters.errors(1))?;
    let mut removed = written.drained.removed;
    if written.drained.pending > 0 {
        removed += invalidate::drain(&runtime).await?;
    }
    counters.invalidated(removed);
    let stored = written.fill == FillReply::Stored;
    if stored {
        counters.fills(1);
    } else {
        counters.refused_fills(1);
    }
    unsettled.settled();
    Ok(Put { stored, entries: removed })
}

/// A function that writes through, from before its body to the end of its write.
///
/// Dropped before [`finish`](Self::finish) or [`disarm`](Self::disarm), its body was cancelled or panicked, and nobody knows
/// whether it wrote: the entry is removed.
pub(crate) struct Writer {
    runtime: Arc<Runtime>,
    /// `None`: there is nothing to do, or no longer.
    key: Option<Name>,
    /// `None`: the store did not say, so the value cannot be proved current.
    clock: Option<ClockReading>,
    scope: Arc<Scope>,
}

impl Writer {
    /// Reads the clock. Dropped meanwhile, the body has not begun, and nothing was written.
    pub(crate) async fn begin(runtime: Arc<Runtime>, key: Option<Name>, recall: Recall) -> Self {
        let mut clock = None;
        if let (Some(key), Ok(store)) = (&key, runtime.store()) {
            let reading = store.read_clock(key.as_key().unwrap_or_default(), recall);
            match within(runtime.config.operation_deadline, reading).await {
                Ok(reading) => clock = Some(reading),
                Err(_) => counters_of(&runtime, key).errors(1),
            }
        }
        // Not as the load of the key: calls of the target inside the body are calls like any other.
        let scope = Scope::new(runtime.id, None, runtime.config.names_max);
        Self { runtime, key, clock, scope }
    }

    /// Runs the body: the entry will belong to what the cached calls inside it belong to. Boxed, as the body of a load is.
    pub(crate) fn run<F: Future>(&self, body: F) -> impl Future<Output = F::Output> + use<F> {
        Box::pin(self.scope.clone().run(body))
    }

    /// The body returned a value, or that there is none; `key` is the one that this began with. What happens then is under way
    /// when this returns, as far as there is a runtime; the future waits for its end.
    pub(crate) fn finish<T: Serialize + DeserializeOwned>(
        mut self,
        key: &Key<T>,
        value: Option<&T>,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let work = self.key.take().filter(|_| self.runtime.store.is_some()).map(|name| {
            let ready = match (value, self.clock.take()) {
                (Some(value), Some(clock)) => self.ready(key, &name, value, clock),
                // Without a reading nothing proves the value current.
                _ => Err(Unstorable::NotWanted),
            };
            self.settle(name, ready)
        });
        async move {
            if let Some(work) = work {
                work.await;
            }
        }
    }

    fn ready<T: Serialize + DeserializeOwned>(
        &self,
        key: &Key<T>,
        name: &Name,
        value: &T,
        clock: ClockReading,
    ) -> Result<Ready, Unstorable> {
        let inherited = self.scope.take();
        // Made from the entry that it replaces, or from something made from it: a read after the write may have been answered
        // with the old value, and nothing tells it from a read before.
        if inherited.names.contains(name) {
            return Err(Unstorable::Unreachable);
        }
        ready(&self.runtime, key, name, value, inherited, clock)
    }

    fn settle(&self, name: Name, ready: Result<Ready, Unstorable>) -> impl Future<Output = ()> + Send + use<> {
        let unsettled = Unsettled::new(&self.runtime, Targets::of(name.clone()));
        if ready.as_ref().is_err_and(|reason| *reason != Unstorable::NotWanted) {
            counters_of(&self.runtime, &name).unstored(1);
        }
        let runtime = self.runtime.clone();
        invalidate::begin(async move {
            match ready {
                Ok(ready) => _ = write(unsettled, runtime, name, ready).await?,
                Err(_) => _ = unsettled.drive().await?,
            }
            Ok(())
        })
    }

    /// The function failed: nothing was written.
    pub(crate) fn disarm(mut self) {
        self.key = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(key) = self.key.take().filter(|_| self.runtime.store.is_some()) {
            drop(invalidate::begin(Unsettled::new(&self.runtime, Targets::of(key)).drive()));
        }
    }
}

fn counters_of(runtime: &Runtime, key: &Name) -> Arc<Counters> {
    runtime.counted.prefix(prefix_of(key.as_key().unwrap_or_default()))
}

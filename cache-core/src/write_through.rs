//! `put`: the caller's value replaces the entry, unless somebody else may know better.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::cache::Inner;
use crate::clock::within;
use crate::codec;
use crate::error::{Error, ErrorKind};
use crate::fingerprint::fingerprint;
use crate::invalidate::{self, Targets, Unsettled};
use crate::key::{Key, Names};
use crate::name::Name;
use crate::provenance::Collected;
use crate::stamp::{self, Stamped, Unstorable};
use crate::store::{ClockReading, Fill, FillReply, Token};

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
    inner: &Arc<Inner>,
    key: Result<Key<T>, Error>,
    value: &T,
) -> Result<Put, Error> {
    let Ok(store) = inner.store() else { return Ok(Put::default()) };
    // Before anything else: an invalidation from here on makes the value that the caller holds an old one.
    let reading = within(inner.config.operation_deadline, store.read_clock()).await;
    let key = key?;
    let Some(name) = key.name() else {
        return Err(Error::new(ErrorKind::Encode, "the key has an argument that cannot be encoded"));
    };
    let clock = match reading {
        Ok(clock) => clock,
        Err(error) => {
            // The old value must not stay, and nothing else says so.
            drop(Unsettled::new(inner, Targets::of(name)));
            return Err(error);
        }
    };
    let (names, stamped) = match stamped(inner, &key, &name, value) {
        Ok(ready) => ready,
        Err(reason) => {
            let invalidated = invalidate::invalidate(inner, Targets::of(name)).await?;
            return match reason {
                Unstorable::NotWanted => Ok(Put { stored: false, entries: invalidated.entries }),
                Unstorable::TooLarge => Err(Error::new(ErrorKind::Limit, "the value is larger than value_bytes_max")),
                Unstorable::Unencodable => Err(Error::new(ErrorKind::Encode, "the value cannot be encoded")),
                Unstorable::Unreachable => {
                    Err(Error::new(ErrorKind::Limit, "the value has a tag that cannot be written, or too many"))
                }
            };
        }
    };
    let work = write(Unsettled::new(inner, Targets::of(name.clone())), inner.clone(), name, names, stamped, clock);
    match Handle::try_current() {
        // In a task of its own: a write that is under way must be driven to its end.
        Ok(runtime) => runtime
            .spawn(work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the runtime ended before the write did"))),
        Err(_) => work.await,
    }
}

fn stamped<T: Serialize + DeserializeOwned>(
    inner: &Inner,
    key: &Key<T>,
    name: &Name,
    value: &T,
) -> Result<(Vec<Name>, Stamped), Unstorable> {
    let policy = key.policy();
    let declared = key.recipe().map_or_else(Names::new, |recipe| recipe.names(value));
    let names = stamp::names(inner, name, declared, Collected::default())?;
    let encoded = codec::encode(value).map_err(|_| Unstorable::Unencodable)?;
    let fingerprint = fingerprint::<T>(policy.version, policy.shape);
    let stamped = stamp::stamp(inner, &policy, fingerprint, &names, encoded, std::time::Duration::ZERO)?;
    Ok((names, stamped))
}

async fn write(
    unsettled: Unsettled,
    inner: Arc<Inner>,
    key: Name,
    names: Vec<Name>,
    Stamped { value, ttl }: Stamped,
    clock: ClockReading,
) -> Result<Put, Error> {
    let logical = key.as_key().unwrap_or_default();
    let counters = inner.counted.prefix(invalidate::prefix_of(logical));
    inner.flights.close_epoch();
    let fill = Fill { key: logical, value, names: &names, ttl, clock: &clock, token: Token::new() };
    let written = within(inner.config.operation_deadline, inner.store()?.write(fill)).await;
    inner.flights.close_epoch();
    let written = written.inspect_err(|_| counters.errors(1))?;
    let mut removed = written.drained.removed;
    if written.drained.pending > 0 {
        removed += invalidate::drain(&inner).await?;
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

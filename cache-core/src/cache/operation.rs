//! What whoever runs a process asks of its cache, from its start to its end.

use std::time::Duration;

use super::Cache;
use crate::error::Error;
use crate::invalidation::Invalidation;
use crate::observe::{CacheState, Health, MemoryUse, Stats};
use crate::paths::recovery;
use crate::runtime::Runtime;
use crate::store::Store;

impl Cache {
    /// Asks the store, and waits until the store answers and can be used, for `timeout` at most.
    /// After `Ok` the breaker is closed.
    ///
    /// # Cost
    /// One round trip, once each connection is open or has failed. As long as it fails, another
    /// try, each within the operation deadline. On a cluster two scripts for each partition more,
    /// at least: see [the guide](crate::guide::cluster). Nothing where there is no server.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) at once if the server answers but can never
    /// be used (a wrong password, a missing permission, a node of a cluster), with the command that
    /// was refused; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) after `timeout`, with
    /// the last failure.
    pub async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        match &self.runtime.store {
            Some(store) => store.ready(timeout).await,
            None => Ok(()),
        }
    }

    /// What this process knows about the store and about this cache, for readiness probes and
    /// dashboards. Costs no round trip.
    ///
    /// A cache that has not asked its server for anything yet begins to connect, if this is called
    /// within a tokio runtime, and is [`disconnected`](Health::disconnected) until a connection is
    /// open. What an ended runtime owed is retried from here as well. [`ready`](Self::ready) asks
    /// and waits.
    pub fn health(&self) -> Health {
        let store = self.runtime.store.as_ref().map(|store| store.health()).unwrap_or_default();
        Health {
            disconnected: store.disconnected,
            breaker_open: store.breaker_open,
            owes_invalidations: recovery::is_owing(&self.runtime),
            evicts_bookkeeping: store.evicts_bookkeeping,
            overwritten_bookkeeping: store.overwritten_bookkeeping,
            bypasses_copies: self.runtime.near.is_used() && (store.lacks_vouchers || self.runtime.debts.is_owing()),
        }
    }

    /// Ends the refreshes that run in the background, and the loads (`finish`, `load_timeout`) that
    /// no caller waits for, and lets none begin from now on, on any handle of this cache. For a
    /// process that is about to end, or to close its database. Calls go on as before: a stale value
    /// is served without a refresh, as long as its option allows.
    ///
    /// The last handle does the same when it is dropped. But a refresh holds a handle of its own if
    /// its function has `cache = self.cache`, or a cache among its arguments.
    ///
    /// Costs nothing: the leases are given back in the background.
    pub fn end_refreshes(&self) {
        self.runtime.end_background();
    }

    /// Makes this process ready to end: ends what runs in the background, and sends the
    /// invalidations that are still to be done. Returns those that could not be sent within
    /// `timeout`; it is empty if there are none.
    ///
    /// What ends: background refreshes, the schedules of [`Warmer`](crate::Warmer)s, and, for
    /// [peers](Self::peer) as well, the reaping that other processes go on with. What is sent:
    /// invalidations that failed before and are owed, and those under way, such as
    /// `#[invalidates(background)]` begins. Stop taking requests first: a function that writes and
    /// has not returned yet is not waited for.
    ///
    /// Calls go on as before, on any handle, for the last requests need the cache: they load, store
    /// and invalidate, and begin nothing in the background. So this may be called again, and then
    /// sends what has become due since. What it returns stays owed: while this process lives, it
    /// bypasses these names and tries again.
    ///
    /// [Tenants](Self::tenant) that are open send theirs as well. What one of them could not send
    /// is in another namespace, so this does not return it, and logs it at ERROR: to keep it, shut
    /// down each of [`tenants`](Self::tenants) first.
    ///
    /// Write what it returns to a file or an outbox: another process reads it and
    /// [invalidates](Self::invalidate) it later. More than 10,000 names become one invalidation of
    /// everything, which can be written down. All names are [held](Invalidation::hold) then if one
    /// of them was to be, and none if a pattern is among them.
    ///
    /// # Consistency
    /// Until that other process has invalidated, processes that reach the store may serve old
    /// values.
    ///
    /// # Cancel safety
    /// Dropped, it has ended what runs in the background, and whatever was not sent is still owed.
    ///
    /// # Cost
    /// None while nothing is owed or under way. Else the round trips of the invalidations, tried
    /// again until `timeout`. On a runtime without timers, one attempt, and nothing is waited for.
    ///
    /// # Example
    /// ```
    /// # use std::time::Duration;
    /// # use cache_core::{Cache, Invalidation};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::in_memory();
    /// # let file = format!("cache-core-owed-{}.json", std::process::id());
    /// # let file = std::env::temp_dir().join(file);
    /// let owed = cache.shutdown(Duration::from_secs(5)).await;
    /// if !owed.is_empty() {
    ///     std::fs::write(&file, owed.to_json()?)?;
    /// }
    /// // When the next process starts, before it serves:
    /// if let Ok(owed) = std::fs::read_to_string(&file) {
    ///     cache.invalidate(Invalidation::from_json(&owed)?).await?;
    ///     std::fs::remove_file(&file)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self, timeout: Duration) -> Invalidation {
        self.end_refreshes();
        let tenants = self.runtime.open_tenants();
        let all = || std::iter::once(&self.runtime).chain(tenants.iter().map(|(_, tenant)| tenant));
        for runtime in all() {
            runtime.schedules.close();
            if let Some(store) = &runtime.store {
                store.end_reaping();
            }
        }
        recovery::settle_within(all().cloned(), timeout).await;
        let unsent = tenants.iter().filter(|(_, tenant)| !tenant.debts.unsent().is_empty()).count();
        if unsent > 0 {
            tracing::error!(tenants = unsent, "tenants owe what was not sent: shut each down by itself to keep it");
        }
        Invalidation::to_be_kept(self.runtime.debts.unsent())
    }

    /// Counts of what this cache did in this process.
    pub fn stats(&self) -> Stats {
        let Runtime { counted, config, debts, store, .. } = &*self.runtime;
        let store = store.as_deref();
        let state = CacheState {
            owed: debts.count() as u64,
            is_breaker_open: store.is_some_and(Store::is_breaker_open),
            links: store.and_then(Store::links),
            memory: store.and_then(Store::memory),
        };
        counted.snapshot().of(&config.namespace, state)
    }

    /// What the embedded store holds, and how much of it had to give way; `None` for a cache on a
    /// server, which tells that itself (`INFO memory`), and for a [disabled](Self::disabled) one.
    ///
    /// Neither [`stats`](Self::stats), which count for each prefix and can be added up, nor
    /// [`health`](Self::health), which is a verdict: a full store is well, and evicts.
    ///
    /// Costs no more than a hit.
    pub fn memory(&self) -> Option<MemoryUse> {
        self.runtime.store.as_ref()?.memory()
    }
}

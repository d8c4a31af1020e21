//! One cache, as its calls see it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::debts::Debts;
use super::feed::Feed;
use super::load_tasks::LoadTasks;
use super::near::Near;
use super::owners::Owners;
use super::quota::Quota;
use super::refreshes::Refreshes;
use super::remembered::ReasonsByKey;
use super::schedules::Schedules;
use super::single_flight::Flights;
use super::tenants::{Tenancy, Tenants};
use super::verifications::Verifications;
use crate::clock;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::freshness::TtlClasses;
use crate::observe::{CounterTable, NotStored, Unreadable};
use crate::store::Store;

#[cfg(all(test, cache_loom))]
mod interleavings;

/// A store, and everything that this process knows about the store.
pub(crate) struct Runtime {
    /// Tells the caches of one process apart: the value of a load that calls another cache is not
    /// stored. Peers, and caches that were opened at the same place, share an id: a name means the
    /// same to all of them, and is fenced by one clock.
    pub(crate) id: u128,
    handles: AtomicUsize,
    pub(crate) config: Config,
    /// `None`: every call loads.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) near: Arc<Near>,
    pub(crate) refreshes: Arc<Refreshes>,
    pub(crate) verifications: Verifications,
    pub(crate) load_tasks: LoadTasks,
    pub(crate) schedules: Schedules,
    pub(crate) debts: Debts,
    pub(crate) owners: Owners,
    pub(crate) feed: Feed,
    /// Why the last value of a key was not stored.
    pub(crate) unstored: ReasonsByKey<NotStored>,
    /// Why what was stored under a key was not served.
    pub(crate) unreadable: ReasonsByKey<Unreadable>,
    pub(crate) counted: CounterTable,
    /// Of a cache and its tenants together.
    pub(crate) classes: Arc<RwLock<TtlClasses>>,
    pub(crate) tenants: Tenants<Handle>,
    /// Of a tenant, if it has one.
    pub(crate) quota: Option<Arc<Quota>>,
    /// Classes that were asked for and are in no table. They are names in source code, so there are
    /// few.
    warned_of_classes: Mutex<BTreeSet<String>>,
}

/// A handle of the cache. The last one to be dropped ends what runs in the background.
pub(crate) struct Handle(Arc<Runtime>);

impl Handle {
    pub(crate) fn new(runtime: &Arc<Runtime>) -> Self {
        runtime.handles.fetch_add(1, Ordering::Relaxed);
        Self(runtime.clone())
    }

    /// Whether nobody else has the cache (no handle, no call, nothing in the background), and it
    /// owes nothing.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && !self.0.debts.is_owing()
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The order of an `Arc`: what was done with the other handles stands before the end.
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.end_background();
        }
    }
}

/// An invalidation or a write of this process. Dropped, it has ended, whatever came of it.
pub(crate) struct ChangeUnderWay<'a>(&'a Runtime);

impl Drop for ChangeUnderWay<'_> {
    fn drop(&mut self) {
        let Self(runtime) = self;
        // A later call must not be served a copy that is as old. And it would wait in vain for a
        // load that began meanwhile: the store refuses that one.
        runtime.flights.close_epoch();
        runtime.near.doubt();
    }
}

impl Runtime {
    pub(crate) fn new(
        id: u128,
        store: Option<Arc<dyn Store>>,
        config: Config,
        classes: Arc<RwLock<TtlClasses>>,
        tenancy: Tenancy,
    ) -> Self {
        let near = Near::new(id, &config, store.clone());
        Self {
            id,
            handles: AtomicUsize::new(0),
            store,
            flights: Arc::default(),
            near,
            refreshes: Arc::default(),
            verifications: Verifications::default(),
            load_tasks: LoadTasks::default(),
            schedules: Schedules::default(),
            debts: Debts::new(config.recovery_names_max),
            owners: Owners::new(),
            feed: Feed::default(),
            unstored: ReasonsByKey::default(),
            unreadable: ReasonsByKey::default(),
            counted: CounterTable::new(config.slow_store_call),
            classes,
            quota: if tenancy.is_a_tenants() { Quota::new(config.tenant_entries_max) } else { None },
            tenants: Tenants::new(tenancy),
            warned_of_classes: Mutex::default(),
            config,
        }
    }

    pub(crate) fn store(&self) -> Result<&dyn Store, Error> {
        self.store.as_deref().ok_or_else(|| Error::new(ErrorKind::Unavailable, "this cache is disabled"))
    }

    /// Around every invalidation and every write.
    pub(crate) fn change(&self) -> ChangeUnderWay<'_> {
        // A call that comes now would wait in vain for a load that began earlier.
        self.flights.close_epoch();
        ChangeUnderWay(self)
    }

    /// Ends what runs without a caller, and lets nothing of the kind begin from now on.
    pub(crate) fn end_background(&self) {
        self.tenants.close();
        self.open_tenants().iter().for_each(|(_, tenant)| tenant.end_background());
        self.refreshes.close();
        self.verifications.close();
        self.load_tasks.close();
    }

    /// The tenant of this name; `open` opens it if it is not open.
    pub(crate) fn tenant(&self, name: &str, open: impl FnOnce() -> Arc<Runtime>) -> Result<Arc<Runtime>, Error> {
        let open = || {
            let opened = open();
            if self.tenants.is_closed() {
                opened.end_background();
            }
            Handle::new(&opened)
        };
        self.tenants.get(name, self.config.tenants_max, open, Handle::is_idle, |handle| handle.0.clone())
    }

    /// The tenants that are open, by name.
    pub(crate) fn open_tenants(&self) -> Vec<(String, Arc<Runtime>)> {
        self.tenants.all(|name, handle| (name.to_owned(), handle.0.clone()))
    }

    /// The time for the headers of entries, ms since the epoch.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.store.as_ref().map_or_else(clock::wall_ms, |store| store.wall_ms())
    }

    /// True the first time for each class.
    pub(crate) fn warns_of_class_once(&self, class: &str) -> bool {
        self.warned_of_classes.lock().unwrap_or_else(PoisonError::into_inner).insert(class.to_owned())
    }
}

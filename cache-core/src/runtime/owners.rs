//! Which function has the entries of a prefix.
//!
//! Nothing that is stored tells the entries of two functions apart if these share the prefix, the
//! shape of their keys and the type of their values: `orders(7)` would be served what `invoices(7)`
//! has loaded. A program meets its functions one by one, so this is found out when the second one
//! is called. From then on **neither of the two reads or stores anything** in this process: each
//! call loads, and removes what another process may have stored under its key.
//!
//! To give the second one, or both, keys or fingerprints of their own would not do. A process that
//! has called one of them alone gives none, and processes that call them in another order give
//! others: what one stores for `orders` another takes for one of `invoices`. And to make a
//! function's path a part of every fingerprint would empty the cache when a module moves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::entry::Fingerprint;
use crate::key::{CachedFunction, Holding, Loads, Owner};

pub(crate) struct Owners {
    /// Tells the caches of one process apart, peers too, for a peer stands for another process.
    id: u64,
    /// Whether anything is contested. If not, nobody has to look for it.
    has_clash: AtomicBool,
    /// Bounded by the functions and types in the program.
    by_prefix: RwLock<HashMap<Box<str>, Vec<Owned>>>,
}

struct Owned {
    shape: &'static str,
    holding: Holding,
    /// A function of one key and a function of many share entries on purpose.
    by_one: Option<&'static CachedFunction>,
    by_many: Option<&'static CachedFunction>,
    is_contested: bool,
}

/// Two functions that would be served each other's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) first: &'static str,
    pub(crate) second: &'static str,
}

impl Owners {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            has_clash: AtomicBool::new(false),
            by_prefix: RwLock::default(),
        }
    }

    /// A function is called. Returns the clash that this reveals, once.
    pub(crate) fn meet(&self, prefix: &str, owner: &Owner, fingerprint: Fingerprint) -> Option<Clash> {
        let (function, holding) = (owner.function, self.holding(owner, fingerprint));
        if function.first.get() == Some(&holding) {
            return None;
        }
        if self.knows(prefix, function, &holding) {
            let _ = function.first.set(holding);
            return None;
        }
        let mut by_prefix = self.by_prefix.write().unwrap_or_else(PoisonError::into_inner);
        let all = by_prefix.entry(prefix.into()).or_default();
        let at = all.iter().position(|owned| owned.is(function.shape, &holding)).unwrap_or_else(|| {
            all.push(Owned { shape: function.shape, holding, by_one: None, by_many: None, is_contested: false });
            all.len() - 1
        });
        let owned = &mut all[at];
        let place = match function.loads {
            Loads::One => &mut owned.by_one,
            Loads::Many => &mut owned.by_many,
        };
        let first = *place.get_or_insert(function);
        if first.name == function.name {
            // Not before it is noted here, for another function must find this one.
            let _ = function.first.set(holding);
            return None;
        }
        let is_new = !owned.is_contested;
        owned.is_contested = true;
        self.has_clash.store(true, Ordering::Release);
        is_new.then_some(Clash { first: first.name, second: function.name })
    }

    /// Whether the function was met before, and was the first one.
    fn knows(&self, prefix: &str, function: &CachedFunction, holding: &Holding) -> bool {
        let by_prefix = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = by_prefix.get(prefix).into_iter().flatten().filter(|owned| owned.is(function.shape, holding));
        all.any(|owned| {
            let known = if function.loads == Loads::One { owned.by_one } else { owned.by_many };
            known.is_some_and(|known| known.name == function.name)
        })
    }

    /// Whether another function would be served these entries.
    pub(crate) fn are_contested(&self, prefix: &str, owner: &Owner, fingerprint: Fingerprint) -> bool {
        if !self.has_clash.load(Ordering::Acquire) {
            return false;
        }
        let holding = self.holding(owner, fingerprint);
        let by_prefix = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = by_prefix.get(prefix).into_iter().flatten();
        all.any(|owned| owned.is(owner.function.shape, &holding) && owned.is_contested)
    }

    fn holding(&self, owner: &Owner, fingerprint: Fingerprint) -> Holding {
        Holding { owners: self.id, fingerprint, this: owner.this }
    }
}

impl Owned {
    fn is(&self, shape: &str, holding: &Holding) -> bool {
        self.holding == *holding && self.shape == shape
    }
}

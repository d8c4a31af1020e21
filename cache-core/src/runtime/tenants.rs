//! The tenants of one cache that this process keeps open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::identity::new_id;
use crate::config::{Config, NAME_BYTES_MAX};
use crate::error::{Error, ErrorKind};
use crate::store::Store;

/// Opens the namespace of a tenant over what the cache has opened already.
pub(crate) type OpenTenant = Box<dyn Fn(&Config) -> Arc<dyn Store> + Send + Sync>;

/// With the id of the caches on it.
type OpenStore = (u128, Weak<dyn Store>);

/// The stores of the tenants, which peers share as they share the cache's own store.
pub(crate) struct TenantStores {
    open: OpenTenant,
    /// By namespace.
    opened: Mutex<BTreeMap<Box<str>, OpenStore>>,
}

impl TenantStores {
    pub(crate) fn new(open: OpenTenant) -> Arc<Self> {
        Arc::new(Self { open, opened: Mutex::default() })
    }

    pub(crate) fn get(&self, config: &Config) -> (u128, Arc<dyn Store>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, store)) = opened.get(&*config.namespace).and_then(|(id, store)| Some((*id, store.upgrade()?)))
        {
            return (id, store);
        }
        let store = (self.open)(config);
        let id = new_id(Some(&*store));
        opened.retain(|_, (_, store)| store.strong_count() > 0);
        opened.insert(config.namespace.as_str().into(), (id, Arc::downgrade(&store)));
        (id, store)
    }
}

/// Whether a cache has tenants, and whose.
#[derive(Clone)]
pub(crate) enum Tenancy {
    /// It may have.
    Landlord(Arc<TenantStores>),
    /// It is disabled, and so are its tenants.
    Disabled,
    /// It is a tenant, which has none.
    Tenant(Box<str>),
}

impl Tenancy {
    pub(super) fn is_a_tenants(&self) -> bool {
        matches!(self, Self::Tenant(_))
    }
}

/// Those that are open, by name: each a handle of its cache.
pub(crate) struct Tenants<H> {
    pub(crate) tenancy: Tenancy,
    kept: Mutex<Kept<H>>,
    is_closed: AtomicBool,
}

struct Kept<H> {
    by_name: BTreeMap<Box<str>, KeptTenant<H>>,
    uses: u64,
}

struct KeptTenant<H> {
    handle: H,
    /// The number of its last use.
    used: u64,
}

impl<H> Tenants<H> {
    pub(super) fn new(tenancy: Tenancy) -> Self {
        let kept = Kept { by_name: BTreeMap::new(), uses: 0 };
        Self { tenancy, kept: Mutex::new(kept), is_closed: AtomicBool::new(false) }
    }

    /// What `of` makes of the tenant of this name; `open` opens it if it is not open. `most` are
    /// kept; one that is idle may be let go.
    pub(super) fn get<T>(
        &self,
        name: &str,
        most: usize,
        open: impl FnOnce() -> H,
        is_idle: fn(&H) -> bool,
        of: impl FnOnce(&H) -> T,
    ) -> Result<T, Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let used = kept.uses;
        if let Some(known) = kept.by_name.get_mut(name) {
            known.used = used;
            return Ok(of(&known.handle));
        }
        let let_go = if kept.by_name.len() >= most.max(1) { Some(kept.let_go(is_idle)?) } else { None };
        let handle = open();
        let opened = of(&handle);
        kept.by_name.insert(name.into(), KeptTenant { handle, used });
        drop(kept);
        // Where no lock is held: copies run their values' `Drop`.
        drop(let_go);
        Ok(opened)
    }

    /// What `of` makes of the open ones, by name.
    pub(super) fn all<T>(&self, of: impl Fn(&str, &H) -> T) -> Vec<T> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_name.iter().map(|(name, kept)| of(name, &kept.handle)).collect()
    }

    /// Whoever comes from now on does nothing in the background.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

impl<H> Kept<H> {
    /// Takes out the idle tenant that nobody has used for the longest time.
    fn let_go(&mut self, is_idle: fn(&H) -> bool) -> Result<H, Error> {
        let idle = self.by_name.iter().filter(|(_, kept)| is_idle(&kept.handle));
        let oldest = idle.min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone());
        oldest.and_then(|name| self.by_name.remove(&name)).map(|kept| kept.handle).ok_or_else(|| {
            let message = "so many tenants are in use at once, or owe invalidations: raise `tenants_max`";
            Error::new(ErrorKind::Limit, message)
        })
    }
}

/// The namespace of a tenant. `@` is in no namespace that a builder takes, and no name brings one,
/// so it is that of no other cache, nor of another tenant.
///
/// # Errors
/// `Config`: the name is empty, or too long.
pub(crate) fn namespace_of(landlord: &str, name: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Config, "the name of a tenant is not empty"));
    }
    let mut namespace = format!("{landlord}@");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => namespace.push(byte.into()),
            _ => namespace.push_str(&format!("%{byte:02X}")),
        }
        if namespace.len() > NAME_BYTES_MAX {
            return Err(Error::new(ErrorKind::Config, "the name of a tenant is too long"));
        }
    }
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_stays_readable_and_any_other_one_is_escaped() {
        let of = |name| namespace_of("shop", name).unwrap();
        assert_eq!(of("tenant-7"), "shop@tenant-7");
        assert_eq!(of("a:b"), "shop@a%3Ab");
        assert_eq!(of("a@b/é"), "shop@a%40b%2F%C3%A9");
        for wrong in ["", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(namespace_of("shop", wrong).unwrap_err().kind(), ErrorKind::Config);
        }
    }

    proptest! {
        /// Whatever a tenant is called, its keys are its own: none begins as one of another tenant,
        /// of another cache's tenant, or of a cache does.
        #[test]
        fn no_name_reaches_another_namespace(
            landlords in proptest::array::uniform2("[a-zA-Z0-9._/-]{1,4}"),
            names in proptest::array::uniform2("[a-b@%:*~.\\PC]{1,6}"),
        ) {
            let spaces = [0, 1].map(|at| namespace_of(&landlords[at], &names[at]).unwrap());
            let [one, other] = spaces.map(|space| format!("{space}:"));
            let same = landlords[0] == landlords[1] && names[0] == names[1];
            prop_assert_eq!(one.starts_with(&other) || other.starts_with(&one), same);
            for landlord in &landlords {
                let own = format!("{landlord}:");
                prop_assert!(!one.starts_with(&own) && !own.starts_with(&one));
            }
            prop_assert_eq!(one.find(':'), Some(one.len() - 1));
            let is_plain = one.is_ascii() && !one.contains(['*', '?', '[', '\\', '{', '~']);
            prop_assert!(is_plain);
        }
    }
}

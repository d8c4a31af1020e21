//! The tenants of a cache.

use std::sync::Arc;

use super::Cache;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::paths::recovery;
use crate::runtime::tenants::{Tenancy, namespace_of};
use crate::runtime::{Runtime, new_id};

impl Cache {
    /// The cache of one tenant: a namespace of its own over the connections of this cache. Opened
    /// when it is first asked for; asked for again, it is the same cache.
    ///
    /// What belongs to a tenant: entries, tags and dependencies, statistics, the clock and what it
    /// has invalidated. So no invalidation of one tenant refuses or delays a load of another, and
    /// [`clear`](Self::clear) removes the entries of that tenant alone. The cache itself and its
    /// tenants do not see each other's entries. What is shared: connections, the breaker, the
    /// settings, TTL classes included.
    ///
    /// A call of one tenant's cache inside a load of another's is a call of another cache: that
    /// load's value is not stored. So no tenant is ever served what was made from another's data.
    ///
    /// Not called `scope`, which [says which cache functions use](Self::scope). The two go
    /// together: `cache.tenant(id)?.scope(request)`. See [the guide](crate::guide::tenants).
    ///
    /// # Names
    /// Any text, such as what a user sends: it is escaped so that it names no other namespace. On a
    /// server the tenant `7` of the cache `shop` has the keys `shop@7:…`. A user of the server that
    /// may use certain keys only needs `~shop@*` beside `~shop:*`. On a cluster `~{shop/*` covers
    /// both.
    ///
    /// # Limits
    /// [`tenants_max`](crate::Builder::tenants_max) tenants are open in this process. Beyond it the
    /// one that was used least recently is let go, if nobody has a handle of it, no call is under
    /// way and it owes no invalidation. To its entries that is the end of a process: on a server
    /// they stay, on an embedded store they go. Its statistics begin at zero when it is opened
    /// again.
    ///
    /// On an embedded store each tenant has [`tenant_bytes_max`](crate::Builder::tenant_bytes_max)
    /// for its entries, and its copies (`near`) take as much at most on any store.
    ///
    /// # Cost
    /// Of an open one a look-up under a lock. Opening allocates about 14 KiB and sends nothing.
    /// Each prefix takes 3 KiB more. A call takes the round trips of one of the cache. With
    /// [`tenant_entries_max`](crate::Builder::tenant_entries_max) a fill or a write sometimes takes
    /// one more, two on a cluster, to ask for the number of entries. A new primary costs one small
    /// script for each open tenant, all in one round trip. On a cluster it is one for each
    /// partition, and tenants lie in the slots of their cache.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the name is empty or longer than about 1,000 bytes, or this cache is
    /// a tenant itself. [`ErrorKind::Limit`]: so many tenants are in use at once.
    ///
    /// # Example
    /// ```
    /// # use std::convert::Infallible;
    /// # use cache_core::Cache;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// let cache = Cache::in_memory();
    /// let (one, other) = (cache.tenant("7")?, cache.tenant("8")?);
    /// let load = |price: u32| move || async move { Ok::<_, Infallible>(price) };
    /// assert_eq!(one.get_or_load("price", load(10)).await, Ok(10));
    /// assert_eq!(other.get_or_load("price", load(99)).await, Ok(99));
    /// one.clear().await?;
    /// assert_eq!(one.peek::<u32>("price").await?, None);
    /// assert_eq!(other.peek::<u32>("price").await?, Some(99));
    /// assert_eq!(one.stats().prefix("price").loads, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tenant(&self, name: impl AsRef<str>) -> Result<Self, Error> {
        let (name, own) = (name.as_ref(), &self.runtime.config);
        let namespace = namespace_of(&own.namespace, name)?;
        if let Tenancy::Tenant(_) = self.runtime.tenants.tenancy {
            return Err(Error::new(ErrorKind::Config, "a tenant has no tenants: ask the cache that it is a tenant of"));
        }
        let runtime = self.runtime.tenant(name, || self.open_tenant(name, namespace))?;
        Ok(Self::of(runtime))
    }

    fn open_tenant(&self, name: &str, namespace: String) -> Arc<Runtime> {
        let own = &self.runtime.config;
        let config = Config {
            namespace,
            memory_bytes_max: own.memory_bytes_max.min(own.tenant_bytes_max),
            near_bytes_max: own.near_bytes_max.min(own.tenant_bytes_max),
            ..own.clone()
        };
        let (id, store) = match &self.runtime.tenants.tenancy {
            Tenancy::Landlord(stores) => {
                let (id, store) = stores.get(&config);
                (id, Some(store))
            }
            _ => (new_id(None), None),
        };
        let runtime = Runtime::new(id, store, config, self.runtime.classes.clone(), Tenancy::Tenant(name.into()));
        let runtime = Arc::new(runtime);
        recovery::heed_losses(&runtime);
        runtime
    }

    /// The tenants that are open in this process, each with its name, in the order of their names:
    /// to publish their statistics, or to [shut each down](Self::shutdown).
    pub fn tenants(&self) -> Vec<(String, Self)> {
        self.runtime.open_tenants().into_iter().map(|(name, runtime)| (name, Self::of(runtime))).collect()
    }

    /// The name that a tenant's cache was asked for by; `None`: this is no tenant.
    pub fn tenant_name(&self) -> Option<&str> {
        match &self.runtime.tenants.tenancy {
            Tenancy::Tenant(name) => Some(name),
            _ => None,
        }
    }
}

use cache_core::{Cache, CacheContext, in_context};

#[derive(Clone, CacheContext)]
pub struct Tenant {
    cache: Cache,
}

#[in_context(tenant: Tenant)]
mod carts {
    use super::Tenant;
    use cache_core::{Cache, cached, invalidates};

    #[cached(ttl = "60s", cache = Cache::global(), skip(tenant))]
    pub async fn cart(tenant: &Tenant, id: u64) -> u64 {
        let _ = tenant;
        id
    }

    #[invalidates(tags = ["carts"], context = other)]
    pub async fn empty(tenant: &Tenant, other: &Tenant) {
        let _ = (tenant, other);
    }
}

fn main() {}

use cache_core::{Cache, CacheContext, in_context};

#[derive(Clone, CacheContext)]
struct Tenant {
    cache: Cache,
}

#[derive(Clone, CacheContext)]
struct App {
    cache: Cache,
}

#[in_context(tenant: Tenant)]
mod carts {
    use super::App;
    use cache_core::cached;

    #[cached(ttl = "60s")]
    pub async fn cart(tenant: &App, id: u64) -> u64 {
        let _ = tenant;
        id
    }

    #[cached(ttl = "60s")]
    pub async fn any(tenant: &impl cache_core::CacheContext, id: u64) -> u64 {
        let _ = tenant;
        id
    }
}

#[in_context(self: Tenant)]
impl App {
    #[cache_core::invalidates(tags = ["carts"])]
    async fn empty(&self) {}
}

fn main() {}

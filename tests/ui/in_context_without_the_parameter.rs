use cache_core::{Cache, CacheContext, in_context};

#[derive(Clone, CacheContext)]
struct Tenant {
    cache: Cache,
}

#[in_context(tenant: Tenant)]
mod carts {
    use cache_core::{cached, invalidates};

    #[cached(ttl = "60s")]
    pub async fn cart(id: u64) -> u64 {
        id
    }

    pub mod admin {
        #[super::invalidates(tags = ["carts"])]
        pub async fn empty() {}
    }

    // Not cached: nothing to say.
    pub async fn plain() {}
}

#[in_context(self: Tenant)]
impl Tenant {
    #[cache_core::invalidates(tags = ["carts"])]
    async fn of_nobody() {}
}

fn main() {}

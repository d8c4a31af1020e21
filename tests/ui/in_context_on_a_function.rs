use cache_core::{Cache, cached, in_context};

#[in_context(cache: Cache)]
#[cached(ttl = "60s", context = cache)]
async fn cart(cache: &Cache, id: u64) -> u64 {
    id
}

#[in_context(cache = Cache)]
mod carts {}

fn main() {}

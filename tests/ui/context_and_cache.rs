use cache_core::{Cache, cached};

#[cached(ttl = "60s", context = cache, cache = cache)]
async fn get_flight(cache: &Cache, id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::{Cache, cached, write_through};

#[cached(ttl = "60s", skip(cache), cache = cache)]
async fn get(cache: &Cache, id: u64) -> u64 {
    let _ = cache;
    id
}

#[write_through(get(id))]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}

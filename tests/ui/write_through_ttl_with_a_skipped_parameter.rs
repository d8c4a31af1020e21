use cache_core::{cached, write_through};

#[cached(ttl = std::time::Duration::from_secs(depth), skip(depth))]
async fn get(id: u64, depth: u64) -> u64 {
    id + depth
}

#[write_through(get(id))]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::{cached, write_through};

#[cached(ttl = "60s", tags = ["depth:{depth}"], skip(depth))]
async fn get(id: u64, depth: u64) -> u64 {
    id + depth
}

#[write_through(get(id))]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}

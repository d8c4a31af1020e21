use cache_core::{cached, write_through};

#[cached(prefix = "flight", ttl = "60s")]
async fn get(id: u64) -> u64 {
    id
}

#[write_through(get(id), around = true)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}

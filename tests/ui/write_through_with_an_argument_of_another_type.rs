use cache_core::{cached, write_through};

#[cached(ttl = "60s")]
async fn get(id: u64) -> u64 {
    id
}

#[write_through(get(id))]
async fn set(id: u32) -> u64 {
    u64::from(id)
}

fn main() {}

use cache_core::{cached, write_through};

#[cached(ttl = "60s")]
async fn get(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s")]
#[write_through(get(id))]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::{cached, write_through};

#[cached(ttl = "60s")]
async fn get(id: u64) -> u64 {
    id
}

#[write_through(get(id))]
async fn set(id: Option<u64>) -> u64 {
    id.unwrap_or(0)
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s", codec = "postcrad")]
async fn near(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s", codec = "bincode")]
async fn far(id: u64) -> u64 {
    id
}

fn main() {}

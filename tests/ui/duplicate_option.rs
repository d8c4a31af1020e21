use cache_core::cached;

#[cached(ttl = "60s", prefix = "a", ttl = "5m")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

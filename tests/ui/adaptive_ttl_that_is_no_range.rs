use cache_core::cached;

#[cached(adaptive_ttl = "10s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

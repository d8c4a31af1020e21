use cache_core::cached;

#[cached(adaptive_ttl = "0s..1h")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

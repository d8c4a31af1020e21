use cache_core::cached;

#[cached(ttl = "60s", jitter = 1.5)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

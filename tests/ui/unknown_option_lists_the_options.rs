use cache_core::cached;

#[cached(ttl = "60s", lifetime = "60s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

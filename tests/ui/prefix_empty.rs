use cache_core::cached;

#[cached(prefix = "", ttl = "60s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

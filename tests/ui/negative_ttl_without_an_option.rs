use cache_core::cached;

#[cached(ttl = "60s", negative_ttl = "5s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

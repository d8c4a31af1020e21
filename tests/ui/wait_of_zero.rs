use cache_core::cached;

#[cached(ttl = "60s", wait = "0s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

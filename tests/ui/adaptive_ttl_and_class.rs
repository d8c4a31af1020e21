use cache_core::cached;

#[cached(class = "inventory", adaptive_ttl = "10s..1h")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s", stale_if_error = "10m")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

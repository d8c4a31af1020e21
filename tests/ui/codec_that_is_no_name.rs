use cache_core::cached;

#[cached(ttl = "60s", codec = 3)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

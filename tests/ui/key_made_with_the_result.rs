use cache_core::cached;

#[cached(ttl = "60s", key = "{id}:{result}")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

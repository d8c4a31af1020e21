use cache_core::cached;

struct Json;

#[cached(ttl = "60s", codec = Json)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

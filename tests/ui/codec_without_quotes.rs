use cache_core::cached;

#[cached(ttl = "60s", codec = postcard)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

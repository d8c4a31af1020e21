use cache_core::cached;

const TTL_SECONDS: u64 = 60;

#[cached(ttl = TTL_SECONDS)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

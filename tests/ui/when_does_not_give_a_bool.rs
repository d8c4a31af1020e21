use cache_core::cached;

#[cached(ttl = "60s", when = |value| *value)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

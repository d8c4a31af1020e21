use cache_core::cached;

#[cached(ttl = "60s", finish = true)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

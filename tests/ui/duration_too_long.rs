use cache_core::cached;

#[cached(ttl = "40000d")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "1.5 hours")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

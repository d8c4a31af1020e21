use cache_core::cached;

#[cached(ttl = "60s")]
async fn get(id: u64) -> impl Copy {
    id
}

fn main() {}

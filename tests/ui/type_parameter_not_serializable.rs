use cache_core::cached;

#[cached(ttl = "60s")]
async fn get<T: Copy>(id: T) -> u64 {
    let _ = id;
    0
}

fn main() {}

use cache_core::cached;
use serde::Serialize;

#[cached(ttl = "60s", stale_while_revalidate = "30s")]
async fn get<T: Serialize + Clone>(id: T) -> u64 {
    drop(id);
    1
}

fn main() {}

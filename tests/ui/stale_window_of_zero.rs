use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidate = "0s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

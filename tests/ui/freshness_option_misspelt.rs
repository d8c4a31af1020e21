use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidating = "30s")]
async fn revalidated(id: u64) -> u64 {
    id
}

#[cached(adaptive = "10s..1h")]
async fn adaptive(id: u64) -> u64 {
    id
}

fn main() {}

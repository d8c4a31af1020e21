use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidate = "30s")]
async fn depth(id: u64) -> u64 {
    if id == 0 { 0 } else { Box::pin(depth(id - 1)).await + 1 }
}

fn main() {}

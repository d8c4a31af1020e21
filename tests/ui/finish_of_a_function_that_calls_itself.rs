use cache_core::cached;

#[cached(ttl = "60s", finish)]
async fn depth(id: u64) -> u64 {
    if id == 0 { 0 } else { 1 + Box::pin(depth(id - 1)).await }
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidate = "30s")]
async fn get((from, to): (u64, u64)) -> u64 {
    from + to
}

fn main() {}

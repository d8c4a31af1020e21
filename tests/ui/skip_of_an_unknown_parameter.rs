use cache_core::cached;

#[cached(ttl = "60s", skip(pol))]
async fn get(pool: u32, id: u64) -> u64 {
    id + u64::from(pool)
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s", key = "{id}")]
async fn get(tenant: u32, id: u64) -> u64 {
    id + u64::from(tenant)
}

fn main() {}

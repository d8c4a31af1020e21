use cache_core::cached;

#[cached(ttl = "60s", tags = ["vendor:{vendor}"])]
async fn get(tenant: u32, id: u64) -> u64 {
    id + u64::from(tenant)
}

fn main() {}

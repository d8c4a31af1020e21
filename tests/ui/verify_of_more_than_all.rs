use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", verify = 1.5)]
async fn flight(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s", tags = ["next:{id + 1}"])]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

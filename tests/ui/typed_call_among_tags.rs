use cache_core::cached;

#[cached(ttl = "60s")]
async fn airport(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s", tags = [airport(id)])]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

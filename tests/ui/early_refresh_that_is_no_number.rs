use cache_core::cached;

#[cached(ttl = "60s", early_refresh = -1.0)]
async fn negative(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s", early_refresh = "1s")]
async fn text(id: u64) -> u64 {
    id
}

fn main() {}

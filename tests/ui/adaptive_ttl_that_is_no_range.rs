use cache_core::cached;

#[cached(adaptive_ttl = "10s")]
async fn get(id: u64) -> u64 {
    id
}

#[cached(adaptive_ttl = "10s..")]
async fn get_with_one_end(id: u64) -> u64 {
    id
}

#[cached(adaptive_ttl = "10s..=1h")]
async fn get_with_both_ends_meant(id: u64) -> u64 {
    id
}

fn main() {}

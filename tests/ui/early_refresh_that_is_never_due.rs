use cache_core::cached;

#[cached(ttl = "60s", early_refresh = 0)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}

use cache_core::cached;

#[cached(ttl = "60s")]
async fn get(id: u64) -> &'static str {
    let _ = id;
    "flight"
}

fn main() {}
